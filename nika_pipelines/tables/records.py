"""The records that cross the tables room's door: profile, quality score, facts of an upload.

Belongs here: what is stored as ``statistics.json`` and what `result.build_result` is made of.
Does not belong here: how the numbers are found (`statistics`, `quality`).
"""

from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

PROFILE_SCHEMA_VERSION = 1

Scalar = str | int | float | bool


@dataclass(frozen=True)
class TopValue:
    """A frequent value and how many rows hold it; dates and times as ISO 8601 text."""

    value: Scalar
    count: int


@dataclass(frozen=True)
class Histogram:
    """Bins of equal width, closed on the right; the first also holds its lower edge."""

    edges: list[float]
    counts: list[int]


@dataclass(frozen=True)
class ColumnProfile:
    """What one column holds. Keys that do not apply to the column's type are None.

    Attributes:
        count: values that are not null (infinities and NaN included).
        std: sample standard deviation, divided by n - 1.
        q1: lower quartile by linear interpolation (type 7), like `median` and `q3`.
        skewness: adjusted Fisher-Pearson G1.
        kurtosis: adjusted excess kurtosis G2.
        min: ISO 8601 text for dates and timestamps, as is `max`.
        top: the most frequent values, ties in ascending order.
        non_finite: values that are NaN or infinite; they take no part in the figures above.
        personal: whether the values tell of a person; masked, `top` holds masks and the figures
            that are values, or nearly so, are None.
    """

    name: str
    type: str
    semantic_type: str
    count: int
    nulls: int
    distinct: int
    mean: float | None = None
    std: float | None = None
    min: float | int | str | None = None
    q1: float | None = None
    median: float | None = None
    q3: float | None = None
    max: float | int | str | None = None
    skewness: float | None = None
    kurtosis: float | None = None
    top: list[TopValue] = field(default_factory=list)
    histogram: Histogram | None = None
    non_finite: int = 0
    personal: bool = False

    @property
    def is_constant(self) -> bool:
        """Whether all values that are not null are the same."""
        return self.distinct <= 1

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> "ColumnProfile":
        """Rebuild one column of `TableProfile.to_json`."""
        bins = document["histogram"]
        return cls(
            **document
            | {
                "top": [TopValue(**entry) for entry in document["top"]],
                "histogram": Histogram(**bins) if bins else None,
            }
        )


@dataclass(frozen=True)
class Correlation:
    """Pearson's r of two columns over the `n` rows where both hold a number."""

    a: str
    b: str
    pearson: float
    n: int


@dataclass(frozen=True)
class TimeAxis:
    """How the rows of a table run along its time column, in file order.

    Attributes:
        column: name of the time column.
        ordered_share: share of steps between neighbouring rows that do not go back in time.
        median_step_s: the usual step between distinct neighbouring stamps, in seconds.
        long_gaps: steps longer than ten usual ones.
        steps: steps between neighbouring rows that both have a stamp.
    """

    column: str
    ordered_share: float
    median_step_s: float | None
    long_gaps: int
    steps: int


@dataclass(frozen=True)
class TableProfile:
    """Statistics of a table; the content of ``statistics.json``.

    Attributes:
        duplicate_rows: rows that repeat an earlier row in every column; None if not counted.
        time_axis: the table's time column, if it has one.
        notes: what was left out, and why.
    """

    rows: int
    columns: list[ColumnProfile]
    correlations: list[Correlation]
    duplicate_rows: int | None
    time_axis: TimeAxis | None = None
    notes: list[str] = field(default_factory=list)
    schema_version: int = PROFILE_SCHEMA_VERSION

    def column(self, name: str) -> ColumnProfile:
        """The profile of the column called ``name``.

        Raises:
            KeyError: there is no such column.
        """
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dict."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> "TableProfile":
        """Rebuild the profile that `to_json` described."""
        axis = document["time_axis"]
        return cls(
            **document
            | {
                "columns": [ColumnProfile.from_json(column) for column in document["columns"]],
                "correlations": [Correlation(**pair) for pair in document["correlations"]],
                "time_axis": TimeAxis(**axis) if axis else None,
            }
        )


@dataclass(frozen=True)
class QualityPart:
    """One part of the quality score: 0-100, or None where it cannot be judged."""

    score: float | None
    weight: float
    explanation: str


@dataclass(frozen=True)
class QualityScore:
    """The quality of a table, 0-100, and the parts it is the weighted mean of."""

    total: float
    parts: dict[str, QualityPart]

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dict."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> "QualityScore":
        """Rebuild the score that `to_json` described."""
        return cls(
            total=document["total"],
            parts={name: QualityPart(**part) for name, part in document["parts"].items()},
        )


@dataclass(frozen=True)
class UploadFacts:
    """What is known about an uploaded file apart from its content; times are aware."""

    upload_id: str
    dataset: str
    version: int
    filename: str
    size_bytes: int
    sha256: str
    received_at: datetime
    processed_at: datetime
    run_id: str

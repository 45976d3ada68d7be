"""The records that cross the anomalies room's door: one finding, and all of a table.

Belongs here: what is stored as ``anomalies.json``. Does not belong here: how findings are made.
"""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

ANOMALIES_SCHEMA_VERSION = 1

Severity = Literal["low", "medium", "high", "critical"]
Kind = Literal["statistical_outlier", "missing_data_pattern"]

KIND_LABELS: dict[Kind, str] = {
    "statistical_outlier": "Statistical outlier",
    "missing_data_pattern": "Missing data",
}
FINDING_SCORE = 0.5
"""Anything that scores less is suppressed."""
_SEVERITIES: tuple[tuple[float, Severity], ...] = (
    (2.0, "critical"),
    (1.5, "high"),
    (1.0, "medium"),
)
SEVERITY_ORDER: tuple[Severity, ...] = ("critical", "high", "medium", "low")


def severity_of(score: float) -> Severity:
    """How bad a score is; the three outlier methods look at one tail, so votes do not raise it."""
    return next((name for limit, name in _SEVERITIES if score >= limit), "low")


@dataclass(frozen=True)
class Anomaly:
    """One span of neighbouring rows that does not fit its column.

    Attributes:
        id: ``a1``, ``a2``, ... in the order of the report; prefixed by the upload in result.json.
        score: surprise, -log10 of the number of flags this extreme to expect in such a file.
        confidence: 1 / (1 + 10^-score).
        column: one name, or several joined by ``,``.
        row_start: first data row, counted from 1, like `row_end`.
        value: the most extreme value; the number of missing values for a missing run.
        expected_range: where a value would have been no finding; None where a side is open.
        effect: distance from the median in robust sigmas; None for missing runs.
        suppressed: whether it is kept for reference only and not counted as found.
    """

    id: str
    type: str
    kind: Kind
    method: str
    severity: Severity
    score: float
    confidence: float
    column: str
    row_start: int
    row_end: int
    time_start: str | None
    time_end: str | None
    value: float | None
    expected_range: list[float | None]
    effect: float | None
    location: str
    explanation: str
    suppressed: bool


@dataclass(frozen=True)
class Unjudged:
    """A numeric column whose values were not, or only partly, searched for unusual ones.

    Attributes:
        reason: a few words that follow the name in brackets, e.g. ``20 values, 30 needed``.
        by_nature: whether it holds no measurements at all, such as identifiers.
        partly: whether the rest of the column was judged.
    """

    column: str
    reason: str
    by_nature: bool = False
    partly: bool = False


@dataclass(frozen=True)
class AnomalyReport:
    """The findings in a table; the content of ``anomalies.json``.

    Attributes:
        records: findings by severity, then score; after them the strongest suppressed ones.
        suppressed_count: all suppressed ones, stored or not.
        notes: what was not judged, and why, in sentences.
        not_judged: the numeric columns that were not judged, in the order of the table.
    """

    records: list[Anomaly]
    suppressed_count: int
    notes: list[str] = field(default_factory=list)
    not_judged: list[Unjudged] = field(default_factory=list)
    schema_version: int = ANOMALIES_SCHEMA_VERSION

    @property
    def findings(self) -> list[Anomaly]:
        """The records that are not suppressed."""
        return [record for record in self.records if not record.suppressed]

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dict."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> "AnomalyReport":
        """Rebuild the report that `to_json` described."""
        return cls(
            **document
            | {
                "records": [Anomaly(**record) for record in document["records"]],
                "not_judged": [Unjudged(**one) for one in document.get("not_judged", [])],
            }
        )

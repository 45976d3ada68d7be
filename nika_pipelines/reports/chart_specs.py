"""What a chart shows, without saying how it is drawn: the input of every chart back end.

Belongs here: frozen records of numbers and labels. Reading the numbers from a table belongs to the
system that owns the table; axes, colours and shapes belong to `chart_layout`.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal


class Severity(StrEnum):
    """How bad a finding is, worst first."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"

    @classmethod
    def of(cls, name: object) -> "Severity":
        """The severity of that name; an unknown name is the mildest one."""
        try:
            return cls(str(name))
        except ValueError:
            return cls.LOW


@dataclass(frozen=True)
class Mark:
    """A numbered place in a series: the finding of that number in the findings table.

    Attributes:
        number: shown in the mark.
        severity: gives colour and shape.
        x: where the mark stands; `x_end` closes a span that is shaded.
        y: height of the mark; None puts it at the top edge.
    """

    number: int
    severity: Severity
    x: float
    y: float | None = None
    x_end: float | None = None


@dataclass(frozen=True)
class SeriesChart:
    """A numeric column over time or row number, decimated to what a picture can show.

    Attributes:
        title: what the picture is, for readers that cannot see it.
        x: seconds since 1970 when `x_is_time`, else row numbers; ascending.
        y: as long as `x`.
        joined: whether neighbours are joined by a line; rows without an order are dots.
    """

    title: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    x_label: str
    y_label: str
    x_is_time: bool = False
    joined: bool = True
    marks: tuple[Mark, ...] = field(default_factory=tuple)


@dataclass(frozen=True)
class Histogram:
    """Counts between edges; ``len(edges) == len(counts) + 1``."""

    title: str
    edges: tuple[float, ...]
    counts: tuple[int, ...]
    x_label: str
    y_label: str = "rows"


@dataclass(frozen=True)
class BarChart:
    """A number for each label, longest label list first to be drawn on top."""

    title: str
    labels: tuple[str, ...]
    values: tuple[float, ...]
    x_label: str


ChartSpec = SeriesChart | Histogram | BarChart
Tone = Literal["neutral", "good", "attention", "bad"]

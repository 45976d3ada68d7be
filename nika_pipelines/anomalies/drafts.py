"""A finding before it is ranked, dated and put into words."""

from dataclasses import dataclass, replace

from nika_pipelines.anomalies.records import Kind


@dataclass(frozen=True)
class Draft:
    """What is known of one span of rows; most attributes are those of `records.Anomaly`.

    Attributes:
        flagged: rows of the span that are flagged themselves.
        effect: signed distance from the median in robust sigmas.
    """

    kind: Kind
    method: str
    columns: tuple[str, ...]
    score: float
    first: int
    last: int
    flagged: int
    value: float
    low: float | None
    high: float | None
    effect: float | None
    suppressed: bool

    @property
    def size(self) -> float:
        """Orders drafts of one score: how far out the value is, or how long the run."""
        return abs(self.value if self.effect is None else self.effect)

    def as_suppressed(self) -> "Draft":
        """The same, kept for reference only."""
        return replace(self, suppressed=True)

    def joined(self, other: "Draft") -> "Draft":
        """One draft for both, which cover the same rows of different columns."""
        return replace(
            self, columns=self.columns + other.columns, score=max(self.score, other.score)
        )

"""One measured figure beside the bar that it has to hold."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any


@dataclass(frozen=True)
class Figure:
    """A measured value; smaller is better for all of them."""

    name: str
    value: float
    unit: str
    bar: float | None = None
    samples: Sequence[float] = field(default_factory=tuple)

    def as_json(self) -> dict[str, Any]:
        """The figure as plain values, with whether it holds its bar (null without one)."""
        holds = None if self.bar is None else self.value <= self.bar
        return {**asdict(self), "value": round(self.value, 3), "holds": holds}


def median_of(name: str, samples: Sequence[float], unit: str, bar: float) -> Figure:
    """The median of several runs, with every one of them beside it."""
    rounded = tuple(round(sample, 3) for sample in samples)
    return Figure(name, median(samples), unit, bar, rounded)

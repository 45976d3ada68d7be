"""What a column may be: types with a format, and the evidence that speaks for each.

Belongs here: which hypotheses are worth counting. Does not belong here: counting them
(`type_evidence`), deciding between them (`column_types`).
"""

import re
from dataclasses import dataclass, field
from typing import Any

from nika_pipelines.intake.cell_readings import BOOLEAN_PAIRS
from nika_pipelines.intake.date_readings import (
    COMPACT_DATE,
    DATE_FORMATS,
    TIMESTAMP_FORMATS,
    date_pattern,
)
from nika_pipelines.intake.number_readings import NUMBER_FORMATS, SIGN_STYLES
from nika_pipelines.intake.records import ColumnType

SURVIVAL_SHARE = 0.5
"""A hypothesis below this share of the sample cannot reach the vote over the whole column."""


@dataclass(frozen=True)
class Hypothesis:
    """A type and format that a column may have; without a format the plain one."""

    type: ColumnType
    format: str | None = None


TEXT = Hypothesis("text")
PLAIN = (Hypothesis("integer"), Hypothesis("float"))


@dataclass
class Evidence:
    """What was counted about one column: facts by name, fitting cells by hypothesis."""

    facts: dict[str, Any] = field(default_factory=dict)
    fits: dict[Hypothesis, int] = field(default_factory=dict)

    @property
    def filled(self) -> int:
        """Cells that hold a value."""
        return int(self.facts.get("filled") or 0)


def hypotheses_of(found: Evidence) -> list[Hypothesis]:
    """What the column may be, simplest first."""
    listed: list[Hypothesis] = []
    if found.facts.get("compact_dates", 0) >= SURVIVAL_SHARE * max(found.filled, 1):
        listed.append(Hypothesis("date", COMPACT_DATE))
    if is_likely(found, "numbers"):
        listed += _number_hypotheses(found)
    if is_likely(found, "booleans"):
        listed += [
            Hypothesis("boolean", f"{yes}/{no}")
            for yes, no in BOOLEAN_PAIRS
            # A single letter alone is rather a code: N for north.
            if len(yes) > 1 or found.facts["words"] > 1
        ]
    if is_likely(found, "dates"):
        listed += _date_hypotheses(found.facts["examples"] or [])
    return listed


def is_likely(found: Evidence, family: str) -> bool:
    """Whether enough of a column belongs to a family for its formats to be counted."""
    return found.filled > 0 and found.facts[family] >= SURVIVAL_SHARE * found.filled


def _number_hypotheses(found: Evidence) -> list[Hypothesis]:
    facts = found.facts
    if facts["plain"] == found.filled:
        return [*PLAIN, Hypothesis("integer", "thousands dot")]
    units = [""]
    if facts["percents"] >= SURVIVAL_SHARE * found.filled:
        units.append("percent")
    if facts["first_currency"]:
        if facts["first_currency"] != facts["last_currency"]:
            return []  # Dollars and euros are no one quantity.
        units.append(f"currency {facts['first_currency']}")
    # Where every number is in brackets, or ends with a minus, they are rather labels or grades.
    signs = [
        style
        for style in SIGN_STYLES
        if facts[style] > 0 and (style == "unicode minus" or facts[style] < found.filled)
    ]
    return [
        Hypothesis(number, ", ".join(filter(None, (style, unit, *signs))) or None)
        for unit in units
        for style in NUMBER_FORMATS
        for number in (("integer", "float") if "decimal" not in (style or "") else ("float",))
    ]


def _date_hypotheses(examples: list[str]) -> list[Hypothesis]:
    """Formats that at least one of the examples has the shape of."""
    dates = [
        day
        for day in DATE_FORMATS
        if any(re.match(date_pattern(day), example) for example in examples)
    ]
    clocks = [" time"]
    if any(re.search(r"[ap]\.?m\.?$", example, re.IGNORECASE) for example in examples):
        clocks.append(" time am/pm")
    if any(re.search(r":.*(?:Z|UTC|GMT|[+-][0-9:]+)$", example) for example in examples):
        clocks.append(" time offset")
    stamps = [
        f"{day}{clock}" for clock in clocks for day in dates if f"{day}{clock}" in TIMESTAMP_FORMATS
    ]
    return [
        *(Hypothesis("date", day) for day in dates),
        *(Hypothesis("timestamp", stamp) for stamp in stamps),
    ]

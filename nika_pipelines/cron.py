"""Cron expressions: whether five fields make a schedule.

Belongs here: a check that needs no library, so that every start of a command can afford it. It
takes less than Dagster does (no ``@daily``, no ``L``), and nothing that Dagster refuses.
"""

import re

_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_WEEKDAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
_FIELDS: tuple[tuple[str, int, int, list[str]], ...] = (
    ("minute", 0, 59, []),
    ("hour", 0, 23, []),
    ("day of the month", 1, 31, []),
    ("month", 1, 12, _MONTHS),
    ("day of the week", 0, 6, _WEEKDAYS),
)
_PART = re.compile(r"(?:\*|(?P<first>\w+)(?:-(?P<last>\w+))?)(?:/(?P<step>\d{1,4}))?", re.ASCII)


def cron_problem(text: str) -> str | None:
    """What is wrong with a cron expression, as half a sentence; None if nothing is."""
    fields = text.split()
    if len(fields) != len(_FIELDS):
        return (
            "must have five fields (minute, hour, day of the month, month, day of the week), "
            f"not {len(fields)}"
        )
    for field, (name, low, high, words) in zip(fields, _FIELDS, strict=True):
        for part in field.lower().split(","):
            if not _is_part(part, low, high, words):
                return f"{name}: {part!r} is not *, or a number or range from {low} to {high}"
    return None


def _is_part(part: str, low: int, high: int, words: list[str]) -> bool:
    found = _PART.fullmatch(part)
    if found is None or (found["step"] and not 1 <= int(found["step"]) <= high):
        return False
    if found["first"] is None:
        return True
    if found["step"] and found["last"] is None:
        return False
    first = _number(found["first"], low, words)
    last = _number(found["last"] or found["first"], low, words)
    return first is not None and last is not None and low <= first <= last <= high


def _number(text: str, low: int, words: list[str]) -> int | None:
    if text in words:
        return words.index(text) + low
    return int(text) if text.isdecimal() and len(text) <= 2 else None

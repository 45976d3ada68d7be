"""How numbers, times and sizes are written in reports: one way everywhere.

Belongs here: a value turned into text for people. Does not belong here: rounding of stored results.
"""

import math
from collections.abc import Iterator
from datetime import UTC, datetime

_SIGNIFICANT = 5
_BYTE_UNITS = ("bytes", "KB", "MB", "GB", "TB")


def number(value: object, significant: int = _SIGNIFICANT) -> str:
    """A number with thousands separators and at most ``significant`` digits after rounding.

    Whole numbers keep all their digits; anything that is not a finite number is an en dash.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "\u2013"
    if isinstance(value, int) and abs(value) < 10**15:
        return f"{value:,}"
    return _decimal(float(value), significant)


def _decimal(value: float, significant: int) -> str:
    if not math.isfinite(value):
        return "\u2013"
    if value == 0:
        return "0"
    magnitude = math.floor(math.log10(abs(value)))
    if magnitude < -4 or magnitude >= 12:
        return f"{value:.{significant - 2}e}"
    places = max(significant - 1 - magnitude, 0)
    text = f"{value:,.{places}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def narrower(value: float) -> Iterator[str]:
    """Ways to write a number, the widest first, when its usual form finds no room."""
    if not math.isfinite(value):
        return
    if abs(value) < 10**9:
        yield from (number(float(value), digits) for digits in (4, 3, 2))
    for digits in (3, 2, 1, 0):
        mantissa, _, power = f"{value:.{digits}e}".partition("e")
        yield f"{mantissa}e{int(power)}"


def percent(part: float, whole: float) -> str:
    """A share in percent; shares that would round to nothing or all say so."""
    if not whole:
        return "\u2013"
    share = 100 * part / whole
    if 0 < share < 0.1:
        return "<0.1 %"
    if 99.9 < share < 100:
        return ">99.9 %"
    return f"{share:.1f} %" if share % 100 else f"{share:.0f} %"


def seconds(value: object) -> str:
    """A duration in the unit that reads best."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return "\u2013"
    if value < 1:
        return f"{value * 1000:.0f} ms"
    return f"{value:.2f} s" if value < 60 else f"{value / 60:.1f} min"


def size(value: object) -> str:
    """A size in bytes with a decimal unit."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "\u2013"
    amount, unit = float(value), 0
    while amount >= 1000 and unit < len(_BYTE_UNITS) - 1:
        amount, unit = amount / 1000, unit + 1
    return f"{amount:.0f} {_BYTE_UNITS[unit]}" if unit == 0 else f"{amount:.1f} {_BYTE_UNITS[unit]}"


def stamp(value: object) -> str:
    """An ISO 8601 time as ``2014-07-01 12:30``; seconds only where they say something."""
    if not isinstance(value, str) or not value:
        return "\u2013"
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return value
    if len(value) <= 10:
        return value
    return moment.strftime("%Y-%m-%d %H:%M:%S" if moment.second else "%Y-%m-%d %H:%M")


def epoch(value: object) -> float | None:
    """Seconds since 1970 of an ISO 8601 time; a time without an offset is taken as UTC."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def plural(count: int, noun: str, many: str | None = None) -> str:
    """A count with its noun: ``1 row``, ``2,000 rows``."""
    return f"{count:,} {noun if count == 1 else many or noun + 's'}"

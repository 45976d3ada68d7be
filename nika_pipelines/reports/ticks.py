"""Where an axis has its ticks and what they say, for numbers and for time."""

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from nika_pipelines.reports.numerals import number

Tick = tuple[float, str]
TickFinder = Callable[[float, float, int], list[Tick]]
"""Finds the ticks between two ends, about so many."""

_DAY = 86_400.0
_SECOND_STEPS = (
    0.001, 0.01, 0.1, 1, 5, 15, 30, 60, 300, 900, 1_800, 3_600, 10_800, 21_600, 43_200,
    _DAY, 2 * _DAY, 7 * _DAY, 14 * _DAY,
)  # fmt: skip
FEWEST_TICKS = 2
"""One number alone does not say how long a scale is."""
_FINER_TRIES = 3
_MOST_DIGITS = 17
_MONTH = 30.4 * _DAY
_MONTH_STEPS = (1, 2, 3, 6, 12, 24, 60, 120, 240, 600, 1_200, 12_000)


def number_ticks(low: float, high: float, most: int) -> list[Tick]:
    """Round numbers between two ends, about ``most`` and at least `FEWEST_TICKS`."""
    step = _nice_step((high - low) / max(most, 1))
    ticks = _numbers(low, high, step, most)
    for _ in range(_FINER_TRIES):
        if len(ticks) >= FEWEST_TICKS:
            break
        step = _nice_step(step * 0.4)
        ticks = _numbers(low, high, step, most)
    return ticks


def whole_ticks(low: float, high: float, most: int) -> list[Tick]:
    """The ticks of `number_ticks` that are whole numbers: there is no row 1.5."""
    ticks = number_ticks(low, high, most)
    return [(value, _tick_text(value, 0)) for value, _ in ticks if value == round(value)]


def _numbers(low: float, high: float, step: float, most: int) -> list[Tick]:
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    places = max(-math.floor(math.log10(step) + 1e-9), 0)
    values = [index * step for index in range(first, min(last, first + 4 * most) + 1)]
    texts = [_tick_text(value, places) for value in values]
    if len(set(texts)) < len(texts):
        texts = _telling_texts(values)
    return list(zip(values, texts, strict=True))


def _telling_texts(values: list[float]) -> list[str]:
    """Large numbers close to each other: as many digits as tell them apart."""
    for digits in range(3, _MOST_DIGITS):
        texts = [f"{value:.{digits}e}".replace("e+", "e") for value in values]
        if len(set(texts)) == len(texts):
            break
    return texts


def _nice_step(rough: float) -> float:
    if not math.isfinite(rough) or rough <= 0:
        return 1.0
    base = 10.0 ** math.floor(math.log10(rough))
    return next(factor * base for factor in (1, 2, 5, 10) if factor * base >= rough * (1 - 1e-9))


def _tick_text(value: float, places: int) -> str:
    if not value and places > 5:
        return "0"  # its neighbours are written with an exponent
    if value and not 1e-5 < abs(value) < 1e9:
        return number(value, 4)
    return f"{value:,.{places}f}"


def time_ticks(low: float, high: float, most: int) -> list[Tick]:
    """Round moments between two ends in seconds since 1970, labelled in UTC."""
    ticks = _moments(low, high, most)
    for finer in range(1, _FINER_TRIES + 1):
        if len(ticks) >= FEWEST_TICKS:
            break
        ticks = _moments(low, high, most * 2**finer)
    return ticks


def _moments(low: float, high: float, most: int) -> list[Tick]:
    rough = (high - low) / max(most, 1)
    if rough > _SECOND_STEPS[-1]:
        return _month_ticks(low, high, rough)
    step = next(step for step in _SECOND_STEPS if step >= rough)
    first, last = math.ceil(low / step), math.floor(high / step)
    moments = [index * step for index in range(first, min(last, first + 4 * most) + 1)]
    return [(at, _clock_text(at, step, at == moments[0])) for at in moments]


def _clock_text(at: float, step: float, first: bool) -> str:
    moment = _moment(at)
    if step >= _DAY:
        return moment.strftime("%d %b %Y" if first else "%d %b")
    if first or at % _DAY == 0:
        return moment.strftime("%d %b %H:%M")
    if step >= 60:
        return moment.strftime("%H:%M")
    return moment.strftime("%H:%M:%S") + (f".{moment.microsecond // 1000:03d}" if step < 1 else "")


def _month_ticks(low: float, high: float, rough: float) -> list[Tick]:
    step = next((step for step in _MONTH_STEPS if step * _MONTH >= 0.8 * rough), _MONTH_STEPS[-1])
    start = _moment(low)
    month = math.ceil((start.year * 12 + start.month - 1) / step) * step
    ticks: list[Tick] = []
    while month < 9_999 * 12:
        at = datetime(month // 12, month % 12 + 1, 1, tzinfo=UTC)
        if at.timestamp() > high:
            break
        if at.timestamp() >= low:
            text = f"{at.year}" if step >= 12 else at.strftime("%b ") + f"{at.year}"
            ticks.append((at.timestamp(), text))
        month += step
    return ticks


def _moment(at: float) -> datetime:
    seconds = min(max(at, -62_135_596_800.0), 253_402_300_799.0)
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)

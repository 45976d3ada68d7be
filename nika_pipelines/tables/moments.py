"""Mean, deviation, skewness, kurtosis and histogram of many columns in one scan.

Power sums of raw values cancel catastrophically (10,000,000.1 and .3 lose the deviation 0.1), so
each value is first shifted by its column's median and scaled by a power of two, which is exact,
to at most one in size. The sums are compensated (Kahan) and turned into central moments by the
binomial theorem; what is left to cancel is at most the distance of mean and median, which is
below one standard deviation. G1 and G2 as in D. N. Joanes and C. A. Gill, "Comparing measures of
sample skewness and kurtosis", The Statistician 47 (1998) 183-189.
"""

import math
import sys
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import TYPE_CHECKING, Any

from nika_pipelines.sql import identifier
from nika_pipelines.tables.records import Histogram

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

BATCH_COLUMNS = 20
MOST_BINS = 40
EXACT_INTEGER = 2**53
"""Beyond this a double skips integers, so differences are taken before the conversion."""


@dataclass(frozen=True)
class Spread:
    """Where the finite values of a numeric column lie."""

    is_integer: bool
    n: int
    low: float
    high: float
    quartiles: tuple[float, float, float]

    @property
    def exponent(self) -> int:
        """The least k for which no value is farther than 2**k from the median."""
        reach = max(self.high / 2 - self.median / 2, self.median / 2 - self.low / 2)
        return max(math.frexp(reach)[1] + 1, -1_000)

    @property
    def median(self) -> float:
        """The middle of the three quartiles."""
        return self.quartiles[1]


@dataclass(frozen=True)
class Moments:
    """The moments of one column; None where it has too few values or no spread."""

    mean: float | None
    std: float | None
    skewness: float | None
    kurtosis: float | None
    histogram: Histogram


def moments_of(
    con: "DuckDBPyConnection", source: str, spreads: dict[str, Spread]
) -> dict[str, Moments]:
    """The moments and histogram of every column in ``spreads``."""
    found: dict[str, Moments] = {}
    remaining = iter(spreads.items())
    while batch := dict(islice(remaining, BATCH_COLUMNS)):
        edges = {name: histogram_edges(spread) for name, spread in batch.items()}
        scaled = ", ".join(
            f"{scaled_expression(name, spread)} AS d{place}, {identifier(name)}::DOUBLE AS v{place}"
            for place, (name, spread) in enumerate(batch.items())
        )
        sums = ", ".join(_sums(place, edges[name]) for place, name in enumerate(batch))
        row = con.execute(f"SELECT {sums} FROM (SELECT {scaled} FROM {source})").fetchone()
        for (name, spread), values in zip(batch.items(), row or (), strict=True):
            found[name] = _moments(spread, values, edges[name])
    return found


def scaled_expression(name: str, spread: Spread) -> str:
    """SQL for a column minus its median, scaled to at most one; null where not finite."""
    column = identifier(name)
    scale = 2.0**-spread.exponent
    if spread.is_integer and max(abs(spread.low), abs(spread.high)) > EXACT_INTEGER:
        return f"({column}::HUGEINT - {_centre(spread):.0f})::DOUBLE * {double(scale)}"
    shifted = f"{column}::DOUBLE * {double(scale)} - {double(spread.median * scale)}"
    if spread.is_integer:
        return shifted
    return f"CASE WHEN isfinite({column}) THEN {shifted} END"


def double(number: float) -> str:
    """A float as SQL that DuckDB reads back as the same double (a bare 0.1 is a DECIMAL)."""
    return f"'{number!r}'::DOUBLE"


def histogram_edges(spread: Spread) -> list[float]:
    """The edges of bins of equal width from the least to the greatest value.

    Freedman-Diaconis width, at least Sturges' number of bins and at most `MOST_BINS`; the bins
    of integers are whole numbers wide and centred on them.
    """
    low, high = float(spread.low), float(spread.high)
    if low == high:
        half = max(0.5, abs(low) * 1e-9)
        return [max(low - half, -sys.float_info.max), min(high + half, sys.float_info.max)]
    if spread.is_integer and high - low < EXACT_INTEGER > max(abs(low), abs(high)):
        width = max(1, math.ceil((high - low + 1) / _bins(spread)))
        count = math.ceil((high - low + 1) / width)
        return [low - 0.5 + width * step for step in range(count + 1)]
    count = _bins(spread)
    inner = [low * (1 - step / count) + high * (step / count) for step in range(1, count)]
    edges = [low, *inner, high]
    rises = all(a < b for a, b in pairwise(edges))
    return edges if rises else [low, high]


def _bins(spread: Spread) -> int:
    sturges = math.ceil(math.log2(spread.n)) + 1
    width = (spread.quartiles[2] / 2 - spread.quartiles[0] / 2) * 4 / math.cbrt(spread.n)
    reach = (spread.high / 2 - spread.low / 2) * 2
    if width <= 0 or not math.isfinite(reach) or not math.isfinite(reach / width):
        return min(sturges, MOST_BINS)
    return max(1, min(max(sturges, math.ceil(reach / width)), MOST_BINS))


def _centre(spread: Spread) -> int:
    return round(spread.median)


def _sums(place: int, edges: list[float]) -> str:
    d = f"d{place}"
    bounds = ", ".join(double(edge) for edge in edges)
    return (
        f"{{'s1': fsum({d}), 's2': fsum({d}*{d}), 's3': fsum({d}*{d}*{d}), "
        f"'s4': fsum({d}*{d}*{d}*{d}), "
        f"'bins': histogram(v{place}, [{bounds}]) FILTER (WHERE isfinite(v{place}))}}"
    )


def _moments(spread: Spread, sums: dict[str, Any], edges: list[float]) -> Moments:
    n, exponent = spread.n, spread.exponent
    histogram = Histogram(edges, _bin_counts(sums["bins"], edges))
    if spread.low == spread.high:
        return Moments(float(spread.low), 0.0 if n > 1 else None, None, None, histogram)
    large = spread.is_integer and max(abs(spread.low), abs(spread.high)) > EXACT_INTEGER
    centre = float(_centre(spread)) if large else spread.median
    shift = sums["s1"] / n
    m2, m3, m4 = _central_sums(n, shift, sums)
    return Moments(
        mean=min(max(centre + _scaled(shift, exponent), float(spread.low)), float(spread.high)),
        std=finite(_scaled(math.sqrt(m2 / (n - 1)), exponent)),
        skewness=_skewness(n, m2, m3),
        kurtosis=_kurtosis(n, m2, m4),
        histogram=histogram,
    )


def _central_sums(n: int, shift: float, sums: dict[str, float]) -> tuple[float, float, float]:
    s2, s3, s4 = sums["s2"], sums["s3"], sums["s4"]
    m2 = s2 - n * shift**2
    m3 = s3 - 3 * shift * s2 + 2 * n * shift**3
    m4 = s4 - 4 * shift * s3 + 6 * shift**2 * s2 - 3 * n * shift**4
    return max(m2, 0.0), m3, max(m4, 0.0)


def _skewness(n: int, m2: float, m3: float) -> float | None:
    if n < 3 or m2 <= 0:
        return None
    g1 = math.sqrt(n) * m3 / m2 / math.sqrt(m2)
    return finite(g1 * math.sqrt(n * (n - 1)) / (n - 2))


def _kurtosis(n: int, m2: float, m4: float) -> float | None:
    if n < 4 or m2 <= 0:
        return None
    g2 = n * m4 / m2 / m2 - 3
    return finite((n - 1) / ((n - 2) * (n - 3)) * ((n + 1) * g2 + 6))


def _bin_counts(bins: dict[float, int] | None, edges: list[float]) -> list[int]:
    """DuckDB counts values up to each edge; the least value falls on or below the first."""
    counts = [count for _, count in sorted((bins or {}).items())]
    counts += [0] * (len(edges) - len(counts))
    return [counts[0] + counts[1], *counts[2 : len(edges)]]


def _scaled(number: float, exponent: int) -> float:
    """``number * 2**exponent``, infinite where a double cannot hold it."""
    try:
        return math.ldexp(number, exponent)
    except OverflowError:
        return math.inf


def finite(number: float) -> float | None:
    """The number, or None where JSON could not hold it."""
    return number if math.isfinite(number) else None

"""Text columns whose cells are numbers or dates in two formats, told to the user.

Belongs here: finding the two formats that read most cells together. Does not belong here: columns
that one format reads for the most part (`near_types`).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nika_pipelines.intake import cell_readings
from nika_pipelines.intake.column_counts import SAMPLE_ROWS, cleaned_cells
from nika_pipelines.intake.hypotheses import Evidence, Hypothesis, hypotheses_of
from nika_pipelines.intake.number_readings import LEADING_ZERO_OR_LONG
from nika_pipelines.intake.records import LINE_COLUMN
from nika_pipelines.sql import identifier, literal, parquet_rows

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_SHAPED_SHARE = 0.8
"""From this share of cells in the shape of numbers or dates on, formats are looked for."""
_TOGETHER = 0.9
_FEWEST_SHARE = 0.05
_FEWEST_CELLS = 2
_FAMILIES: tuple[tuple[str, frozenset[str]], ...] = (
    ("dates", frozenset({"date", "timestamp"})),
    # Floats read whole numbers, too.
    ("numbers", frozenset({"float"})),
)


@dataclass(frozen=True)
class MixedFormats:
    """A text column in two formats of one family.

    Attributes:
        name: the column's name.
        first: the format that reads most cells.
        second: the one that reads most of the others.
        filled: the column's cells that hold a value.
        fits: those of them that the first format reads.
        others: those of them that only the second one reads.
    """

    name: str
    first: Hypothesis
    second: Hypothesis
    filled: int
    fits: int
    others: int


def mixed_formats(
    con: "DuckDBPyConnection", text_parquet: Path, rows: int, name: str, found: Evidence
) -> MixedFormats | None:
    """The two formats that together read nearly all cells of a text column, if there are such.

    Args:
        con: a connection.
        text_parquet: the text table.
        rows: how many rows it has.
        name: the column's name.
        found: what was counted about it.
    """
    candidates = _candidates(found)
    if len(candidates) < _FEWEST_CELLS:
        return None
    step = -(-rows // SAMPLE_ROWS)
    sample = _cells(text_parquet, name, f"WHERE hash({identifier(LINE_COLUMN)}) % {step} = 0")
    fits = _counts(con, sample, [_reads(one) for one in candidates])
    first = candidates[fits.index(max(fits))]
    rest = [one for one in candidates if one != first]
    others = _counts(con, sample, [_only(one, first) for one in rest])
    second = rest[others.index(max(others))]
    exact = _counts(
        con,
        _cells(text_parquet, name),
        [
            "count(t0)",
            _reads(first),
            _only(second, first),
            f"count_if(regexp_full_match(t0, {literal(LEADING_ZERO_OR_LONG)}))",
        ],
    )
    mixed = MixedFormats(name, first, second, *exact[:3])
    is_code = first.type == "float" and exact[3] > 0
    return mixed if _is_worth_telling(mixed) and not is_code else None


def _is_worth_telling(mixed: MixedFormats) -> bool:
    fewest = max(_FEWEST_CELLS, _FEWEST_SHARE * mixed.filled)
    together = mixed.fits + mixed.others
    return mixed.others >= fewest and together >= _TOGETHER * mixed.filled


def _candidates(found: Evidence) -> list[Hypothesis]:
    """Formats of the family whose shape nearly all cells have."""
    # Of a large table the shapes were counted in a sample, as these cells were.
    cells = found.facts.get("cells") or 0
    sampled = Evidence(found.facts | {"filled": cells})
    for family, types in _FAMILIES:
        if cells and found.facts.get(family, 0) >= _SHAPED_SHARE * cells:
            return [one for one in hypotheses_of(sampled) if one.type in types]
    return []


def _cells(text_parquet: Path, name: str, where: str = "") -> str:
    return cleaned_cells(
        f"(SELECT {identifier(name)} AS c0 FROM {parquet_rows(text_parquet)} {where})", [0]
    )


def _counts(con: "DuckDBPyConnection", source: str, wanted: list[str]) -> list[int]:
    row = con.execute(f"SELECT {', '.join(wanted)} FROM {source}").fetchone() or ()
    return [int(count) for count in row]


def _reads(one: Hypothesis) -> str:
    return f"count({cell_readings.reading(one.type, one.format, 't0')})"


def _only(one: Hypothesis, first: Hypothesis) -> str:
    """Counts the cells that one format reads and the first does not."""
    taken = cell_readings.reading(first.type, first.format, "t0")
    value = cell_readings.reading(one.type, one.format, "t0")
    return f"count_if(({taken}) IS NULL AND ({value}) IS NOT NULL)"

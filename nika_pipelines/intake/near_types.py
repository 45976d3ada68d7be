"""Text columns that some cells keep from being numbers or dates, told to the user.

Belongs here: which of them are worth a word, the cells at fault, the sentence. Does not belong
here: the vote that left them text (`column_types`), finding two formats (`mixed_formats`).
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from nika_pipelines.intake import cell_readings
from nika_pipelines.intake.codes import WarningCode
from nika_pipelines.intake.column_counts import cleaned_cells
from nika_pipelines.intake.hypotheses import Hypothesis
from nika_pipelines.intake.masking import Masking
from nika_pipelines.intake.mixed_formats import MixedFormats
from nika_pipelines.intake.records import LINE_COLUMN, ColumnType, IntakeWarning
from nika_pipelines.intake.semantic_types import is_called_id, is_called_money
from nika_pipelines.settings import Settings
from nika_pipelines.sql import identifier, literal, parquet_rows

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

NEAR_SHARE = 0.8
"""From this share of fitting cells on, the others are rather mistakes than another kind of value."""

_MOSTLY_SHARE = 0.5
"""From this share on, they are told where the others do not look like codes."""
_FEWEST_FITS = 2
_FEWEST_MOSTLY_FITS = 5
_VERSION = r"[vV]?[0-9]+(?:[.-][0-9A-Za-z]+){2,}"
_COLUMNS_TOLD = 10
_CELLS_TOLD = 3
_CELL_CHARACTERS = 40


@dataclass(frozen=True)
class NearType:
    """A text column and the type it nearly has.

    Attributes:
        name: the column's name.
        type: the type that fits most of its cells.
        format: the format of that type.
        filled: its cells that hold a value.
        fits: those of them that the type can read.
        kept_by: what keeps it text: too few fits, too many rows lost in all, or the contract.
    """

    name: str
    type: ColumnType
    format: str | None
    filled: int
    fits: int
    kept_by: Literal["vote", "rows", "contract"]

    @property
    def misfits(self) -> int:
        """Cells that the type cannot read."""
        return self.filled - self.fits

    @property
    def is_worth_telling(self) -> bool:
        """Whether the misfits look like mistakes; a single one does in the shortest column.

        A column of words with a few ``yes`` and ``no`` too many lacks no statistics.
        """
        if self.type in ("text", "boolean") or self.fits < _FEWEST_FITS:
            return False
        return self.misfits == 1 or self.fits >= NEAR_SHARE * self.filled


def near_type_warnings(
    con: "DuckDBPyConnection",
    text_parquet: Path,
    rows: int,
    columns: Sequence[NearType],
    settings: Settings,
    masking: Masking,
) -> list[IntakeWarning]:
    """Warn of text columns that are nearly typed, with the first cells at fault.

    Args:
        con: a connection that preserves insertion order.
        text_parquet: the text table.
        rows: how many rows it has.
        columns: candidates, in the table's order.
        settings: shares of the vote and of rejected rows.
        masking: how the cells at fault are shown.
    """
    told = [
        column
        for column in columns
        if column.is_worth_telling or _is_mostly_typed(con, text_parquet, column)
    ]
    warnings = [
        _warning(
            _message(column, _shown(con, text_parquet, column, masking), rows, settings),
            column.misfits,
        )
        for column in told[:_COLUMNS_TOLD]
    ]
    more = ", ".join(repr(column.name) for column in told[_COLUMNS_TOLD:][:_COLUMNS_TOLD])
    if more:
        count = len(told) - _COLUMNS_TOLD
        text = f"{count} more columns are nearly numbers or dates, such as {more}."
        warnings.append(_warning(text, max(column.misfits for column in told)))
    return warnings


def mixed_format_warnings(
    con: "DuckDBPyConnection",
    text_parquet: Path,
    rows: int,
    columns: Sequence[MixedFormats],
    settings: Settings,
    masking: Masking,
) -> list[IntakeWarning]:
    """Warn of text columns in two formats, with the first cells in either; see the other one."""
    warnings = []
    for column in columns[:_COLUMNS_TOLD]:
        parts = []
        for one, count in ((column.first, column.fits), (column.second, column.others)):
            taken = [] if one is column.first else [_test(column.first, "NULL")]
            where = " AND ".join([_test(one, "NOT NULL"), *taken])
            shown = _masked(_examples(con, text_parquet, column.name, where), column.name, masking)
            parts.append(
                f"{count:,} of {column.filled:,} values ({_percent(count, column.filled)} %) are "
                f"{_type_name(one)}, such as {_listed(shown[:2])}"
            )
        lost = column.filled - column.fits
        affordable = _affordable(lost, rows, settings)
        outcome = "only the rows of the others" if affordable else "more rows than a file may lose"
        text = (
            f"Column {column.name!r} mixes formats: {' and '.join(parts)}; it stays text, without "
            f"statistics of its values. Write all in one format. Without mending, "
            f"{_sidecar_line(column.name, column.first)} forces a type and rejects {outcome}."
        )
        warnings.append(_warning(text, lost))
    return warnings


def option_line(name: str, one: NearType | Hypothesis) -> str:
    """The line of a sidecar that forces a type and format."""
    option = {"type": one.type} | ({"format": one.format} if one.format else {})
    return f"`columns: {json.dumps({name: option}, ensure_ascii=False)}`"


def _warning(message: str, doubtful: int) -> IntakeWarning:
    return IntakeWarning(WarningCode.FORMAT_MISMATCH.value, message, doubtful)


def _is_mostly_typed(con: "DuckDBPyConnection", text_parquet: Path, column: NearType) -> bool:
    """Whether at least half of the cells fit, and the others do not look like codes or versions."""
    if column.type in ("text", "boolean") or column.fits < _FEWEST_MOSTLY_FITS:
        return False
    if column.fits < _MOSTLY_SHARE * column.filled or is_called_id(column.name):
        return False
    if column.type in ("date", "timestamp") or is_called_money(column.name):
        return True
    row = con.execute(
        "SELECT count_if(regexp_matches(t0, '[0-9]')), "
        f"count_if(regexp_full_match(t0, {literal(_VERSION)})) "
        f"FROM {_cells(text_parquet, column.name)} WHERE {_misfit(column)}"
    ).fetchone()
    with_digits, versions = row or (0, 0)
    # Beside whole numbers, 12B is rather a code of the same kind than a broken number.
    codes = with_digits if column.type == "integer" else versions
    return bool(2 * codes < column.misfits)


def _shown(
    con: "DuckDBPyConnection", text_parquet: Path, column: NearType, masking: Masking
) -> list[tuple[str, int]]:
    """The first cells that do not fit, as they may be shown, with their lines."""
    if not column.misfits:
        return []
    found = _examples(con, text_parquet, column.name, _misfit(column))
    return _masked(found, column.name, masking)


def _masked(found: list[tuple[Any, ...]], column: str, masking: Masking) -> list[tuple[str, int]]:
    return [(str(masking.cell(column, cell)), line) for cell, line in found]


def _misfit(column: NearType) -> str:
    return f"t0 IS NOT NULL AND {_test(column, 'NULL')}"


def _test(one: NearType | Hypothesis, outcome: Literal["NULL", "NOT NULL"]) -> str:
    return f"({cell_readings.reading(one.type, one.format, 't0')}) IS {outcome}"


def _cells(text_parquet: Path, name: str) -> str:
    cells = (
        f"(SELECT {identifier(LINE_COLUMN)} AS line, {identifier(name)} AS c0 "
        f"FROM {parquet_rows(text_parquet)})"
    )
    return cleaned_cells(cells, [0])


def _examples(
    con: "DuckDBPyConnection", text_parquet: Path, name: str, where: str
) -> list[tuple[Any, ...]]:
    """The first cells that meet a condition, with their lines."""
    # Without ORDER BY the scan stops at the first ones; insertion order is preserved.
    return con.execute(
        f"SELECT c0, line FROM {_cells(text_parquet, name)} WHERE {where} LIMIT {_CELLS_TOLD}"
    ).fetchall()


def _message(
    column: NearType, examples: list[tuple[Any, ...]], rows: int, settings: Settings
) -> str:
    finding = (
        f"Column {column.name!r}: {column.fits:,} of {column.filled:,} values "
        f"({_percent(column.fits, column.filled)} %) are {_type_name(column)}, "
        f"{_why_text(column, settings)}; it stays text, without statistics of its values."
    )
    misfits, advice = _misfit_sentences(column, examples), _advice(column, rows, settings)
    return " ".join([finding, *misfits, *advice])


def _percent(part: int, whole: int) -> str:
    # Rounded down: 100 % are all of them.
    return f"{1000 * part // whole / 10:g}"


def _type_name(column: NearType | Hypothesis) -> str:
    return f"{column.type} ({column.format})" if column.format else column.type


def _why_text(column: NearType, settings: Settings) -> str:
    if column.kept_by == "vote":
        return f"fewer than the {100 * settings.type_vote_share:.4g} % that decide a type"
    if column.kept_by == "rows":
        return "but together with other columns it would cost too many rows"
    return "but the contract says text"


def _misfit_sentences(column: NearType, examples: list[tuple[Any, ...]]) -> Iterator[str]:
    if examples:
        more = column.misfits - len(examples)
        yield f"Not {column.type}: {_listed(examples)}{f' and {more:,} more' if more > 0 else ''}."


def _listed(examples: Sequence[tuple[Any, ...]]) -> str:
    return ", ".join(f"{_shortened(cell)} (line {line})" for cell, line in examples)


def _sidecar_line(name: str, one: NearType | Hypothesis) -> str:
    return f"{option_line(name, one)} in the sidecar `<file>.nika.yaml`"


def _affordable(lost: int, rows: int, settings: Settings) -> bool:
    return lost <= settings.max_bad_row_share * rows


def _shortened(cell: str) -> str:
    return repr(cell if len(cell) <= _CELL_CHARACTERS else f"{cell[:_CELL_CHARACTERS]}...")


def _advice(column: NearType, rows: int, settings: Settings) -> Iterator[str]:
    wanted = f"`type: {column.type}`"
    if column.format:
        wanted += f" with `format: {column.format!r}`"
    if not column.misfits:
        yield f"Set {wanted} in the contract, or accept the contract to keep the text."
        return
    yield f"Mend them and set {wanted} in the contract, or {_sidecar_line(column.name, column)};"
    if _affordable(column.misfits, rows, settings):
        yield "without mending, only their rows are then rejected, row by row."
    else:
        yield "without mending, too many rows would be rejected."
    yield "If they are codes, leave it as it is."

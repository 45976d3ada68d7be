"""Text columns that a few cells keep from being numbers or dates, told to the user.

Belongs here: which of them are worth a word, the cells at fault, the sentence. Does not belong
here: the vote that left them text (`column_types`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from nika_pipelines.intake import cell_readings
from nika_pipelines.intake.codes import WarningCode
from nika_pipelines.intake.column_counts import cleaned_cells
from nika_pipelines.intake.masking import Masking
from nika_pipelines.intake.records import LINE_COLUMN, ColumnType, IntakeWarning
from nika_pipelines.settings import Settings
from nika_pipelines.sql import identifier, parquet_rows

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

NEAR_SHARE = 0.8
"""From this share of fitting cells on, the others are rather mistakes than another kind of value."""

_FEWEST_FITS = 2
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
    told = [column for column in columns if column.is_worth_telling]
    messages = [
        _message(column, _shown(con, text_parquet, column, masking), rows, settings)
        for column in told[:_COLUMNS_TOLD]
    ]
    more = ", ".join(repr(column.name) for column in told[_COLUMNS_TOLD:][:_COLUMNS_TOLD])
    if more:
        count = len(told) - _COLUMNS_TOLD
        messages.append(f"{count} more columns are nearly numbers or dates, such as {more}.")
    return [IntakeWarning(WarningCode.FORMAT_MISMATCH.value, message) for message in messages]


def _shown(
    con: "DuckDBPyConnection", text_parquet: Path, column: NearType, masking: Masking
) -> list[tuple[str, int]]:
    """The first cells that do not fit, as they may be shown, with their lines."""
    found = _examples(con, text_parquet, column)
    return [(str(masking.cell(column.name, cell)), line) for cell, line in found]


def _examples(
    con: "DuckDBPyConnection", text_parquet: Path, column: NearType
) -> list[tuple[Any, ...]]:
    """The first cells that do not fit, with their lines."""
    if not column.misfits:
        return []
    cells = (
        f"(SELECT {identifier(LINE_COLUMN)} AS line, {identifier(column.name)} AS c0 "
        f"FROM {parquet_rows(text_parquet)})"
    )
    reading = cell_readings.reading(column.type, column.format, "t0")
    # Without ORDER BY the scan stops at the first ones; insertion order is preserved.
    return con.execute(
        f"SELECT c0, line FROM {cleaned_cells(cells, [0])} "
        f"WHERE t0 IS NOT NULL AND ({reading}) IS NULL LIMIT {_CELLS_TOLD}"
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


def _type_name(column: NearType) -> str:
    return f"{column.type} ({column.format})" if column.format else column.type


def _why_text(column: NearType, settings: Settings) -> str:
    if column.kept_by == "vote":
        return f"fewer than the {100 * settings.type_vote_share:.4g} % that decide a type"
    if column.kept_by == "rows":
        return "but together with other columns it would cost too many rows"
    return "but the contract says text"


def _misfit_sentences(column: NearType, examples: list[tuple[Any, ...]]) -> Iterator[str]:
    if examples:
        cells = ", ".join(f"{_shortened(cell)} (line {line})" for cell, line in examples)
        more = column.misfits - len(examples)
        yield f"Not {column.type}: {cells}{f' and {more:,} more' if more > 0 else ''}."


def _shortened(cell: str) -> str:
    return repr(cell if len(cell) <= _CELL_CHARACTERS else f"{cell[:_CELL_CHARACTERS]}...")


def _advice(column: NearType, rows: int, settings: Settings) -> Iterator[str]:
    wanted = f"`type: {column.type}`"
    if column.format:
        wanted += f" with `format: {column.format!r}`"
    if not column.misfits:
        yield f"Set {wanted} in the contract, or accept the contract to keep the text."
        return
    if column.misfits <= settings.max_bad_row_share * rows:
        yield f"Mend them and set {wanted} in the contract; without mending, only their rows are"
        yield "then rejected, row by row."
    else:
        yield f"Mend them and set {wanted} in the contract; without mending, too many rows would"
        yield "be rejected."
    yield "If they are codes, leave it as it is."

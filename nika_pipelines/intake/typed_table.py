"""The cast of a text table into the typed table, and the rows that do not fit.

Belongs here: writing ``table.parquet`` and the CAST rejects so that no row is lost. Does not
belong here: which types the columns have (`column_types`, `contract`).

DuckDB keeps some megabytes of vectors for every column that it casts, and a row group of every
column that it writes. Wide tables are therefore cast in slices of columns, which Arrow puts side
by side again in small batches.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nika_pipelines.intake import cell_readings
from nika_pipelines.intake.codes import RowCode
from nika_pipelines.intake.column_counts import cleaned_cells, count_rows, unoptimized
from nika_pipelines.intake.deadline import check_time
from nika_pipelines.intake.records import LINE_COLUMN, RAW_BYTES, REJECT_COLUMNS, Column
from nika_pipelines.sql import identifier, literal, parquet_rows

if TYPE_CHECKING:
    import pyarrow as pa
    from duckdb import DuckDBPyConnection
    from pyarrow.parquet import ParquetFile

SLICE_COLUMNS = 60
"""Columns cast at once; tables up to this width are cast in one go."""

_CELLS_PER_ROW_GROUP = 2_000_000
_ROW_GROUP_BYTES = 32_000_000
_CELLS_PER_BATCH = 1_000_000
_FEWEST_GROUP_ROWS = 512
_MISFITS = "nika_misfits"


@dataclass(frozen=True)
class CastOutcome:
    """What the cast did with the rows of the text table."""

    accepted: int
    rejected: int


def cast_table(
    con: "DuckDBPyConnection",
    text_parquet: Path,
    columns: Sequence[Column],
    out_parquet: Path,
    rejects_parquet: Path,
) -> CastOutcome:
    """Write the typed table in file order, and the rows that do not fit as rejects.

    A row is rejected when any of its cells holds a value that its column's type cannot read; the
    reject's reason names all such columns, its raw text is the first one's cell.

    Args:
        con: a connection whose time zone is UTC and that preserves insertion order.
        text_parquet: the text table.
        columns: one per column of the text table, by name.
        out_parquet: where the typed table goes.
        rejects_parquet: where the rows that do not fit go; written even when there are none.

    Returns:
        How many rows went where; together they are all rows of the text table.
    """
    rows = count_rows(con, parquet_rows(text_parquet))
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE {_MISFITS} "
        "(line BIGINT, slice INTEGER, name VARCHAR, type VARCHAR, cell VARCHAR, names VARCHAR)"
    )
    slices = [
        columns[start : start + SLICE_COLUMNS] for start in range(0, len(columns), SLICE_COLUMNS)
    ]
    with unoptimized(con):
        if len(slices) == 1:
            accepted = _cast_whole(con, text_parquet, columns, out_parquet)
            if accepted < rows:
                _note_misfits(con, text_parquet, columns, 0)
        else:
            accepted = _cast_slices(con, text_parquet, slices, out_parquet)
    _write_rejects(con, rejects_parquet)
    return CastOutcome(accepted, rows - accepted)


def clipped(text: str) -> str:
    """The SQL expression of a text cut to the reject's `RAW_BYTES`, whatever its characters."""
    # A quarter of the characters always fits, since UTF-8 takes at most four bytes for each.
    return (
        f"CASE WHEN strlen({text}) <= {RAW_BYTES} THEN {text} "
        f"ELSE left({text}, {RAW_BYTES // 4}) END"
    )


def _cast_whole(
    con: "DuckDBPyConnection", text_parquet: Path, columns: Sequence[Column], target: Path
) -> int:
    """Cast all columns at once and leave the misfits out; returns how many rows were written."""
    stored = ", ".join(f"v{n} AS {identifier(column.name)}" for n, column in enumerate(columns))
    group = max(_FEWEST_GROUP_ROWS, min(122_880, _CELLS_PER_ROW_GROUP // len(columns)))
    written = con.execute(
        f"COPY (SELECT {stored} FROM {_values(text_parquet, columns)} "
        f"WHERE NOT ({_misfit(columns)})) TO {literal(str(target))} "
        f"(FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, ROW_GROUP_SIZE {group}, "
        f"ROW_GROUP_SIZE_BYTES {_ROW_GROUP_BYTES})"
    ).fetchone()
    return int(written[0]) if written else 0


def _cast_slices(
    con: "DuckDBPyConnection",
    text_parquet: Path,
    slices: Sequence[Sequence[Column]],
    target: Path,
) -> int:
    """Cast slice by slice, misfits included, then write the good rows of all side by side."""
    parts = [target.with_name(f".{target.stem}.{n}.part") for n in range(len(slices))]
    group = max(_FEWEST_GROUP_ROWS, _CELLS_PER_BATCH // sum(map(len, slices)))
    try:
        for number, (columns, part) in enumerate(zip(slices, parts, strict=True)):
            stored = ", ".join(
                f"v{n} AS {identifier(column.name)}" for n, column in enumerate(columns)
            )
            con.execute(
                f"COPY (SELECT {stored}, {_misfit(columns)} AS misfit "
                f"FROM {_values(text_parquet, columns)}) TO {literal(str(part))} "
                f"(FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, ROW_GROUP_SIZE {group}, "
                f"ROW_GROUP_SIZE_BYTES {_ROW_GROUP_BYTES})"
            )
            if count_rows(con, f"{parquet_rows(part)} WHERE misfit"):
                _note_misfits(con, text_parquet, columns, number)
        return _join(parts, target, group)
    finally:
        for part in parts:
            part.unlink(missing_ok=True)


def _join(parts: Sequence[Path], target: Path, size: int) -> int:
    """Put the columns of the parts side by side, without the rows that any part calls misfit."""
    import pyarrow as pa
    import pyarrow.compute as pc
    from pyarrow import parquet

    files = [parquet.ParquetFile(part) for part in parts]
    # A column may itself be called misfit: the flag is always the last of its part.
    fields = [field for file in files for field in list(file.schema_arrow)[:-1]]
    schema = pa.schema(fields)
    written = 0
    try:
        with parquet.ParquetWriter(target, schema, compression="zstd") as writer:
            for together in zip(*(row_batches(file, size) for file in files), strict=True):
                good = pc.invert(together[0].column(together[0].num_columns - 1))
                for batch in together[1:]:
                    good = pc.and_(good, pc.invert(batch.column(batch.num_columns - 1)))
                cells = [column for batch in together for column in batch.columns[:-1]]
                rows = pa.Table.from_arrays(cells, schema=schema).filter(good)
                writer.write_table(rows, row_group_size=size)
                written += rows.num_rows
    finally:
        for file in files:
            file.close()
        pa.default_memory_pool().release_unused()
    return written


def row_batches(file: "ParquetFile", size: int) -> "Iterator[pa.Table]":
    """The rows of a part in equal batches, read a row group at a time.

    Arrow's own iterator keeps a reader of 50 kB open for every column: 100 MB for 2,000 columns.
    """
    import pyarrow as pa

    rest = file.schema_arrow.empty_table()
    for number in range(file.num_row_groups):
        check_time()
        rest = pa.concat_tables([rest, file.read_row_group(number, use_threads=False)])
        while rest.num_rows >= size:
            yield rest.slice(0, size)
            rest = rest.slice(size)
    if rest.num_rows:
        yield rest


def _values(text_parquet: Path, columns: Sequence[Column]) -> str:
    """The FROM item with the line, and ``c<n>``, ``t<n>``, ``v<n>``: raw, cleaned, typed cells."""
    raw = ", ".join(f"{identifier(column.name)} AS c{n}" for n, column in enumerate(columns))
    lines = f"(SELECT {identifier(LINE_COLUMN)} AS line, {raw} FROM {parquet_rows(text_parquet)})"
    values = ", ".join(
        f"{cell_readings.value_of(column, f't{n}', f'c{n}')} AS v{n}"
        for n, column in enumerate(columns)
    )
    return f"(SELECT *, {values} FROM {cleaned_cells(lines, _typed(columns))})"


def _typed(columns: Sequence[Column]) -> list[int]:
    return [n for n, column in enumerate(columns) if column.type != "text"]


def _is_misfit(position: int) -> str:
    return f"(t{position} IS NOT NULL AND v{position} IS NULL)"


def _misfit(columns: Sequence[Column]) -> str:
    return "(" + (" OR ".join(_is_misfit(n) for n in _typed(columns)) or "false") + ")"


def _note_misfits(
    con: "DuckDBPyConnection", text_parquet: Path, columns: Sequence[Column], number: int
) -> None:
    """Remember the misfits of a slice of columns: the first of each row, and the names of all."""
    typed = _typed(columns)
    cases = " ".join(
        f"WHEN {_is_misfit(n)} THEN {{'name': {literal(columns[n].name)}, "
        f"'type': {literal(_reading_name(columns[n]))}, 'cell': {clipped(f'c{n}')}}}"
        for n in typed
    )
    names = ", ".join(
        f"CASE WHEN {_is_misfit(n)} THEN {literal(columns[n].name)} END" for n in typed
    )
    con.execute(
        f"INSERT INTO {_MISFITS} SELECT line, {number}, first.name, first.type, first.cell, names "
        f"FROM (SELECT line, CASE {cases} END AS first, concat_ws(', ', {names}) AS names "
        f"FROM {_values(text_parquet, columns)} WHERE {_misfit(columns)})"
    )


def _write_rejects(con: "DuckDBPyConnection", target: Path) -> None:
    """One reject per row, in the layout of `records.REJECT_COLUMNS`."""
    columns = ", ".join(
        f"{identifier(name)}::{kind} AS {identifier(name)}" for name, kind in REJECT_COLUMNS.items()
    )
    con.execute(
        f'COPY (SELECT {columns} FROM (SELECT line, arg_min(name, slice) AS "column", '
        f"{literal(RowCode.CAST.value)} AS code, concat('not ', arg_min(type, slice), "
        "CASE WHEN string_agg(names, ', ') <> arg_min(name, slice) "
        "THEN concat('; all misfits: ', string_agg(names, ', ' ORDER BY slice)) END) AS reason, "
        f"arg_min(cell, slice) AS raw FROM {_MISFITS} GROUP BY line) ORDER BY line) "
        f"TO {literal(str(target))} (FORMAT parquet, COMPRESSION zstd)"
    )


def _reading_name(column: Column) -> str:
    return f"{column.type} ({column.format})" if column.format else column.type

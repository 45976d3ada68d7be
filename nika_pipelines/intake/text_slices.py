"""Writing a text table column by column where all columns at once would take too much memory.

Belongs here: cutting a wide table into slices and putting them side by side again. Does not belong
here: what the cells are.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nika_pipelines.intake.records import LINE_COLUMN
from nika_pipelines.intake.typed_table import row_batches
from nika_pipelines.sql import identifier, literal

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

SLICE_COLUMNS = 100
"""Tables up to this width are written in one go."""

_CELLS_PER_GROUP = 2_000_000
_GROUP_BYTES = 32_000_000
_CELLS_PER_BATCH = 1_000_000
_FEWEST_GROUP_ROWS, _MOST_GROUP_ROWS = 512, 122_880

Select = Callable[[range], tuple[list[str], str]]
"""Given places of columns: an SQL expression for each, and the FROM clause with ``line``."""


def write_text(
    con: "DuckDBPyConnection", names: Sequence[str], select: Select, target: Path
) -> int:
    """Write a text table in the order of its source; returns how many rows."""
    width = len(names)
    group = max(_FEWEST_GROUP_ROWS, min(_MOST_GROUP_ROWS, _CELLS_PER_GROUP // width))
    if width <= SLICE_COLUMNS:
        return _write(con, names, select, range(width), target, group)
    slices = [
        range(start, min(start + SLICE_COLUMNS, width)) for start in range(0, width, SLICE_COLUMNS)
    ]
    parts = [target.with_name(f".{target.stem}.{n}.part") for n in range(len(slices))]
    size = max(_FEWEST_GROUP_ROWS, _CELLS_PER_BATCH // width)
    try:
        for places, part in zip(slices, parts, strict=True):
            _write(con, names, select, places, part, size)
        return _join(parts, target, size)
    finally:
        for part in parts:
            part.unlink(missing_ok=True)


def _write(
    con: "DuckDBPyConnection",
    names: Sequence[str],
    select: Select,
    places: range,
    target: Path,
    group: int,
) -> int:
    """Write some columns, and the line as the last one."""
    cells, source = select(places)
    listed = ", ".join(
        f"{cell} AS {identifier(names[place])}" for place, cell in zip(places, cells, strict=True)
    )
    written = con.execute(
        f"COPY (SELECT {listed}, line AS {identifier(LINE_COLUMN)} FROM {source}) "
        f"TO {literal(str(target))} (FORMAT parquet, ROW_GROUP_SIZE {group}, "
        f"ROW_GROUP_SIZE_BYTES {_GROUP_BYTES})"
    ).fetchone()
    return int(written[0]) if written else 0


def _join(parts: Sequence[Path], target: Path, size: int) -> int:
    """Put the columns of the parts side by side; the line comes from the last part."""
    import pyarrow as pa
    from pyarrow import parquet

    files = [parquet.ParquetFile(part) for part in parts]
    fields = [field for file in files for field in list(file.schema_arrow)[:-1]]
    schema = pa.schema([*fields, files[-1].schema_arrow.field(LINE_COLUMN)])
    written = 0
    try:
        with parquet.ParquetWriter(target, schema) as writer:
            for together in zip(*(row_batches(file, size) for file in files), strict=True):
                cells = [column for batch in together for column in batch.columns[:-1]]
                cells.append(together[-1].columns[-1])
                rows = pa.Table.from_arrays(cells, schema=schema)
                writer.write_table(rows, row_group_size=size)
                written += rows.num_rows
    finally:
        for file in files:
            file.close()
        pa.default_memory_pool().release_unused()
    return written

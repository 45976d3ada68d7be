"""Very wide tables and very long records: Arrow reads the canonical copy in small batches.

Belongs here: tables of so many columns that DuckDB's Parquet writer, which keeps buffers for each
of them, would break the memory limit (2,000 columns took over 400 MB), or of records so long that
its vectors of 2,048 would (records of 30 kB took over 200 MB). Does not belong here:
anything that decides what a record is; the copy holds only accepted records.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from nika_pipelines.intake.deadline import check_time
from nika_pipelines.intake.records import LINE_COLUMN

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WIDE_COLUMNS = 300
_BATCH_BYTES = 4_000_000


def write_wide(
    copy: Path,
    target: Path,
    names: list[str],
    width: int,
    bytes_of: tuple[str, str | None],
    lines: "NDArray[np.int64]",
    longest: int,
    stand_in: str | None = None,
) -> int:
    """Write a canonical copy as Parquet; returns how many rows were read.

    Args:
        copy: records of exactly ``width`` cells.
        target: the Parquet file.
        names: final column names; those beyond ``width`` head empty columns.
        width: cells of a record.
        bytes_of: delimiter, and quote if there is one.
        lines: the physical line of each record.
        longest: bytes of the longest record.
        stand_in: text to put in place of the delimiter inside cells, if it stood in for that.

    Raises:
        pyarrow.ArrowInvalid: a record does not have ``width`` cells.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    from pyarrow import csv, parquet

    schema = pa.schema([*((name, pa.string()) for name in names), (LINE_COLUMN, pa.int64())])
    cells = [f"c{place}" for place in range(width)]
    reader = csv.open_csv(
        copy,
        read_options=csv.ReadOptions(
            column_names=cells, block_size=max(_BATCH_BYTES, 2 * longest), use_threads=False
        ),
        parse_options=csv.ParseOptions(
            delimiter=bytes_of[0],
            quote_char=bytes_of[1] or False,
            double_quote=True,
            newlines_in_values=True,
            ignore_empty_lines=False,
        ),
        convert_options=csv.ConvertOptions(
            column_types=dict.fromkeys(cells, pa.string()),
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=True,
        ),
    )
    done = 0
    with parquet.ParquetWriter(target, schema) as writer:
        for batch in reader:
            check_time()
            count = int(batch.num_rows)
            empty = [pa.nulls(count, pa.string())] * (len(names) - width)
            placed = pa.array(lines[done : done + count], pa.int64())
            if len(placed) < count:
                return done + count
            cells_read = batch.columns
            if stand_in is not None:
                cells_read = [
                    pc.replace_substring(cell, bytes_of[0], stand_in) for cell in cells_read
                ]
            columns = [*cells_read, *empty, placed]
            writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))
            done += count
    pa.default_memory_pool().release_unused()
    return done

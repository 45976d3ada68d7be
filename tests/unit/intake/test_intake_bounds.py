"""Memory and time of intake are bounded, whatever the table holds."""

from pathlib import Path

import pytest

from nika_pipelines.intake import typed_table
from nika_pipelines.intake.take_in import take_in
from nika_pipelines.settings import Settings


def floats(folder: Path, rows: int, columns: int, factor: float = 1.0) -> Path:
    """A clean CSV of decimal numbers, all columns different."""
    import numpy as np

    path = folder / "floats.csv"
    numbers = np.random.default_rng(7).normal(50, 10, (1_000, columns)) * factor
    block = "".join(",".join(f"{cell:.6f}" for cell in row) + "\n" for row in numbers.tolist())
    header = ",".join(f"m{n}" for n in range(columns)) + "\n"
    path.write_text(header + block * (rows // 1_000), encoding="utf-8")
    return path


def test_a_long_table_of_decimals_is_typed_within_the_memory_limit(tmp_path: Path) -> None:
    source = floats(tmp_path, rows=60_000, columns=20)
    out = tmp_path / "out"
    out.mkdir()

    report = take_in(source, source.name, out, Settings(duckdb_memory_mb=96), None, "floats")

    assert report.n_rows == 60_000
    assert {column.type for column in report.columns} == {"float"}


@pytest.mark.parametrize("size", [1, 3, 7, 100])
def test_parts_come_in_equal_batches_whatever_their_row_groups(tmp_path: Path, size: int) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    path = tmp_path / "part.parquet"
    parquet.write_table(pa.table({"a": range(20)}), path, row_group_size=6)

    with parquet.ParquetFile(path) as file:
        batches = [batch["a"].to_pylist() for batch in typed_table._batches(file, size)]

    assert [cell for batch in batches for cell in batch] == list(range(20))
    assert {len(batch) for batch in batches[:-1]} <= {size}

"""Memory and time of intake are bounded, whatever the table holds."""

import json
import time
from pathlib import Path

import pytest

from nika_pipelines.engine import connect
from nika_pipelines.intake import classify, contract_file, deadline, typed_table
from nika_pipelines.intake.codes import UploadRejected
from nika_pipelines.intake.deadline import check_time, interruptible, time_limit
from nika_pipelines.intake.take_in import inspect, take_in
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
        batches = [batch["a"].to_pylist() for batch in typed_table.row_batches(file, size)]

    assert [cell for batch in batches for cell in batch] == list(range(20))
    assert {len(batch) for batch in batches[:-1]} <= {size}


def test_a_drifting_file_is_judged_about_as_fast_as_it_is_cast(tmp_path: Path) -> None:
    path = tmp_path / "contract.yaml"
    seconds: dict[str, float] = {}
    for number, factor in enumerate((1.0, 1_000.0)):
        out = tmp_path / str(number)
        out.mkdir()
        source = floats(tmp_path, rows=60_000, columns=20, factor=factor)
        report = take_in(source, source.name, out, Settings(), path, "floats", seconds.__setitem__)

    assert [warning.code for warning in report.warnings] == ["NEW_VALUES"] * 20
    assert "60,000 values above" in report.warnings[0].message
    assert contract_file.load_contract(path).version == 1
    # Twice as long; with every failure written down by Pandera, eight times and more.
    assert seconds["contract"] < 5 * seconds["casting"]


LITTLE_TIME = Settings(file_timeout_seconds=0.05)


@pytest.fixture
def no_time_for_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadline, "SECONDS_PER_MB", 0.0)


def test_time_grows_with_the_file(tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(bytes(2_000_000))
    with time_limit(tmp_path / "big", Settings(file_timeout_seconds=1)):
        limit = deadline._limit.get()
    assert limit is not None
    assert limit.seconds == 3.0
    check_time()


def test_a_query_is_interrupted_when_time_is_over(tmp_path: Path) -> None:
    (tmp_path / "small").touch()
    endless = "SELECT max(hash(a.range, b.range)) FROM range(1000000) a, range(1000000) b"
    started = time.monotonic()

    with (
        pytest.raises(UploadRejected, match=r"0\.05 seconds") as caught,
        time_limit(tmp_path / "small", LITTLE_TIME),
        connect(LITTLE_TIME) as con,
        interruptible(con),
    ):
        con.execute(endless)

    assert caught.value.code == "TIMEOUT"
    assert time.monotonic() - started < 5
    with connect(LITTLE_TIME) as con:
        assert con.execute("SELECT 1").fetchone() == (1,)


def test_an_error_in_time_stays_what_it_is(tmp_path: Path) -> None:
    import duckdb

    (tmp_path / "small").touch()
    with (
        pytest.raises(duckdb.ParserException),
        time_limit(tmp_path / "small", Settings()),
        connect(Settings()) as con,
        interruptible(con),
    ):
        con.execute("SELEC")


@pytest.mark.usefixtures("no_time_for_size")
def test_a_file_that_takes_too_long_is_refused_and_leaves_no_contract(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = floats(tmp_path, rows=1_000, columns=3)
    blocks = classify.blocks

    def slow(*arguments: object) -> object:
        time.sleep(0.1)
        return blocks(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(classify, "blocks", slow)
    out = tmp_path / "out"
    out.mkdir()

    with pytest.raises(UploadRejected) as caught:
        take_in(source, source.name, out, LITTLE_TIME, tmp_path / "c.yaml", "floats")

    assert caught.value.code == "TIMEOUT"
    assert list(out.iterdir()) == []
    assert not (tmp_path / "c.yaml").exists()
    assert not inspect(source, source.name, out, LITTLE_TIME)
    assert json.loads((out / "intake.json").read_text())["error_code"] == "TIMEOUT"


def test_long_texts_are_read_within_the_memory_limit(tmp_path: Path) -> None:
    words = "x" * 2_000
    source = tmp_path / "texts.csv"
    with source.open("w", encoding="utf-8") as out:
        out.write(",".join(f"t{n}" for n in range(10)) + "\n")
        for row in range(4_000):
            out.write(",".join(f"{row} {n} {words}" for n in range(10)) + "\n")
    out_dir = tmp_path / "out"
    out_dir.mkdir()

    report = take_in(source, source.name, out_dir, Settings(duckdb_memory_mb=128), None, "texts")

    with connect(Settings()) as con:
        found = con.execute(
            "SELECT count(*), count_if(t9 = concat(file_row_number, ' 9 ', ?)) "
            f"FROM read_parquet('{report.table_parquet}', file_row_number = true)",
            [words],
        ).fetchone()
    assert found == (4_000, 4_000)


def test_a_file_beyond_the_engines_memory_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    source = tmp_path / "texts.csv"
    line = ",".join("y" * 40_000 for _ in range(5)) + "\n"
    source.write_text("a,b,c,d,e\n" + line * 400, encoding="utf-8")
    out = tmp_path / "out"
    out.mkdir()

    with pytest.raises(UploadRejected, match="16 MB of memory") as caught:
        take_in(source, source.name, out, Settings(duckdb_memory_mb=16), None, "texts")

    assert caught.value.code == "TOO_LARGE"
    assert list(out.iterdir()) == []

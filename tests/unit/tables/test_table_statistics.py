"""Statistics of a table, against NIST's certified values, exact arithmetic and scipy."""

import csv
import json
import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import stats

from nika_pipelines.intake.records import Column
from nika_pipelines.settings import Settings
from nika_pipelines.tables import statistics
from nika_pipelines.tables.records import TableProfile
from nika_pipelines.tables.statistics import profile_table

NIST = Path(__file__).parents[2] / "fixtures" / "nist"
# NumAcc4's values are 10,000,000.1 to .3: written as doubles they carry nine digits of the 0.1.
CERTIFIED_DIGITS = {
    "lew": (14, 14),
    "michelson": (14, 12),
    "numacc1": (15, 15),
    "numacc2": (14, 13),
    "numacc4": (15, 8),
    "pidigits": (14, 14),
}
TYPES = {
    "BIGINT": "integer", "DOUBLE": "float", "VARCHAR": "text", "BOOLEAN": "boolean",
    "TIMESTAMP": "timestamp", "DATE": "date",
}  # fmt: skip


@pytest.fixture(scope="module")
def con() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute("SET threads = 2; SET memory_limit = '192MB'")
    return connection


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tables")


def store(con: duckdb.DuckDBPyConnection, folder: Path, sql: str) -> tuple[Path, list[Column]]:
    path = folder / "table.parquet"
    con.execute(f"COPY ({sql}) TO '{path}'")
    described = con.execute(f"DESCRIBE FROM '{path}'").fetchall()
    return path, [Column(row[0], TYPES[row[1]], "measure") for row in described]  # type: ignore[arg-type]


def profile_sql(con: duckdb.DuckDBPyConnection, folder: Path, sql: str) -> TableProfile:
    path, columns = store(con, folder, sql)
    return profile_table(con, path, columns, Settings())


def profile_values(
    con: duckdb.DuckDBPyConnection, folder: Path, values: list[Any], kind: str = "DOUBLE"
) -> TableProfile:
    con.execute(f"CREATE OR REPLACE TEMP TABLE given (x {kind})")
    con.execute(f"INSERT INTO given SELECT unnest($1::{kind}[])", [values])
    return profile_sql(con, folder, "FROM given")


def digits(found: float | None, certified: Fraction) -> float:
    assert found is not None
    error = abs(Fraction(found) - certified) / abs(certified)
    return 16.0 if error == 0 else -math.log10(error)


@pytest.mark.parametrize("name", sorted(CERTIFIED_DIGITS))
def test_mean_and_deviation_agree_with_nist(
    con: duckdb.DuckDBPyConnection, folder: Path, name: str
) -> None:
    with (NIST / f"{name}.csv").open() as file:
        values = [float(row["y"]) for row in csv.DictReader(file)]
    certified = json.loads((NIST / f"{name}.json").read_text())
    found = profile_values(con, folder, values).columns[0]
    mean_digits, sd_digits = CERTIFIED_DIGITS[name]
    assert found.count == certified["n"]
    assert digits(found.mean, Fraction(certified["mean"])) >= mean_digits
    assert digits(found.std, Fraction(certified["sd"])) >= sd_digits
    exact = [Fraction(value) for value in values]
    centre = sum(exact) / len(exact)
    variance = sum((value - centre) ** 2 for value in exact) / (len(exact) - 1)
    assert found.std == pytest.approx(math.sqrt(variance), rel=1e-11)


@pytest.mark.parametrize("name", ["normal", "lognormal", "integers", "far from zero", "with gaps"])
def test_every_figure_of_a_numeric_column_agrees_with_scipy(
    con: duckdb.DuckDBPyConnection, folder: Path, name: str
) -> None:
    rng = np.random.default_rng(5)
    values = {
        "normal": rng.normal(3, 2, 1_001),
        "lognormal": np.exp(rng.normal(0, 1, 800)),
        "integers": rng.poisson(4, 999).astype(float),
        "far from zero": rng.normal(1e9, 1e-2, 500),
        "with gaps": np.where(rng.random(700) < 0.2, np.nan, rng.normal(size=700)),
    }[name]
    given = [None if np.isnan(value) else float(value) for value in values]
    found = profile_values(con, folder, given).columns[0]
    data = values[~np.isnan(values)]
    assert (found.count, found.nulls) == (len(data), len(values) - len(data))
    assert found.distinct == len(np.unique(data))
    assert (found.min, found.max) == (data.min(), data.max())
    assert found.mean == pytest.approx(math.fsum(data) / len(data), rel=1e-15)
    assert found.std == pytest.approx((data - np.median(data)).std(ddof=1), rel=1e-11)
    assert [found.q1, found.median, found.q3] == pytest.approx(
        np.quantile(data, [0.25, 0.5, 0.75]), rel=1e-15
    )
    # scipy subtracts a rounded mean; near zero the oracle is exact enough.
    near = data - np.median(data)
    assert found.skewness == pytest.approx(stats.skew(near, bias=False), rel=1e-9, abs=1e-12)
    assert found.kurtosis == pytest.approx(stats.kurtosis(near, bias=False), rel=1e-9, abs=1e-12)
    assert found.histogram is not None
    right_closed = np.histogram(-data, bins=-np.array(found.histogram.edges)[::-1])[0][::-1]
    assert found.histogram.counts == right_closed.tolist()


finite = st.floats(allow_nan=False, allow_infinity=False)
numbers = st.one_of(finite, st.sampled_from([math.nan, math.inf, -math.inf]), st.none())


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(values=st.lists(numbers, min_size=1, max_size=40))
def test_no_column_of_floats_breaks_the_profile(
    con: duckdb.DuckDBPyConnection, folder: Path, values: list[float | None]
) -> None:
    profile = profile_values(con, folder, values)
    found = profile.columns[0]
    json.dumps(profile.to_json(), allow_nan=False)
    kept = [value for value in values if value is not None and math.isfinite(value)]
    assert found.count - found.non_finite == len(kept)
    if not kept:
        assert found.mean is None
        return
    assert found.histogram is not None
    assert sum(found.histogram.counts) == len(kept)
    assert found.mean is not None
    assert min(kept) <= found.mean <= max(kept)
    mean = sum(map(Fraction, kept)) / len(kept)
    scale = max(abs(value) for value in kept)
    assert abs(Fraction(found.mean) - mean) <= Fraction(scale) * Fraction(1e-14) + Fraction(5e-324)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(values=st.lists(st.integers(-(2**63), 2**63 - 1), min_size=2, max_size=30))
def test_large_integers_keep_their_deviation(
    con: duckdb.DuckDBPyConnection, folder: Path, values: list[int]
) -> None:
    found = profile_values(con, folder, values, "BIGINT").columns[0]
    assert (found.min, found.max) == (min(values), max(values))
    mean = Fraction(sum(values), len(values))
    variance = sum((value - mean) ** 2 for value in values) / (len(values) - 1)
    assert found.std == pytest.approx(math.sqrt(variance), rel=1e-9)


def test_neighbouring_integers_beyond_double_precision_keep_their_deviation(
    con: duckdb.DuckDBPyConnection, folder: Path
) -> None:
    found = profile_values(con, folder, [2**62 + step for step in range(5)], "BIGINT").columns[0]
    assert found.std == pytest.approx(math.sqrt(2.5), rel=1e-12)


def test_quartiles_by_external_sort_are_the_same(
    con: duckdb.DuckDBPyConnection, folder: Path
) -> None:
    sql = (
        "SELECT CASE WHEN i % 7 > 0 THEN hash(i) / 1e15 END AS x, i % 13 AS k FROM range(501) t(i)"
    )
    path, columns = store(con, folder, sql)
    in_memory = profile_table(con, path, columns, Settings())
    small = Settings().model_copy(update={"duckdb_memory_mb": 0})
    assert profile_table(con, path, columns, small) == in_memory


def test_text_boolean_and_time_columns_have_their_own_keys(
    con: duckdb.DuckDBPyConnection, folder: Path
) -> None:
    profile = profile_sql(
        con,
        folder,
        "SELECT * FROM (VALUES ('b', true, DATE '2024-02-29', TIMESTAMP '2024-01-01 10:00:00'),"
        "('a', NULL, DATE '2024-03-01', NULL), ('a', false, NULL, NULL), ('b', true, NULL, NULL))"
        " AS t(name, flag, day, moment)",
    )
    name, flag, day, at = profile.columns
    assert [(top.value, top.count) for top in name.top] == [("a", 2), ("b", 2)]
    assert (name.min, name.mean, name.histogram) == (None, None, None)
    assert [(top.value, top.count) for top in flag.top] == [(True, 2), (False, 1)]
    assert (day.min, day.max) == ("2024-02-29", "2024-03-01")
    assert (at.min, at.nulls, at.distinct) == ("2024-01-01T10:00:00", 3, 1)
    assert profile.correlations == []


def test_names_and_cells_are_data_and_never_sql(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    folder = tmp_path / "it's [new] *?"
    folder.mkdir()
    names = ['a"; DROP TABLE x; --', "file_row_number", "c0", "select", "it's", "\u202eö"]
    quoted = ", ".join(
        f'{place} + i AS "{name.replace(chr(34), chr(34) * 2)}"' for place, name in enumerate(names)
    )
    path = folder / "table.parquet"
    escaped = str(path).replace("'", "''")
    con.execute(f"COPY (SELECT {quoted} FROM range(50) t(i)) TO '{escaped}'")
    columns = [Column(name, "integer", "measure") for name in names]
    profile = profile_table(con, path, columns, Settings())
    assert [column.name for column in profile.columns] == names
    assert [column.min for column in profile.columns] == list(range(6))
    assert len(profile.correlations) == 15


def test_long_cells_are_cut_in_the_frequent_values(
    con: duckdb.DuckDBPyConnection, folder: Path
) -> None:
    profile = profile_sql(con, folder, "SELECT repeat('x', 100_000) AS t")
    assert profile.columns[0].top[0].value == "x" * statistics.TOP_TEXT_CHARACTERS


def test_correlations_use_the_rows_where_both_columns_hold_numbers(
    con: duckdb.DuckDBPyConnection, folder: Path
) -> None:
    rng = np.random.default_rng(2)
    a = rng.normal(1e8, 1, 300)
    b = a + rng.normal(0, 0.5, 300)
    a[::5], b[::7] = np.nan, np.nan
    con.execute("CREATE OR REPLACE TEMP TABLE pair (a DOUBLE, b DOUBLE, k DOUBLE)")
    con.execute("INSERT INTO pair SELECT unnest($1), unnest($2), 4", [a.tolist(), b.tolist()])
    (found,) = profile_sql(con, folder, "FROM pair").correlations
    both = ~np.isnan(a) & ~np.isnan(b)
    assert (found.a, found.b, found.n) == ("a", "b", both.sum())
    assert found.pearson == pytest.approx(stats.pearsonr(a[both], b[both])[0], rel=1e-9)


def test_a_wide_table_is_profiled_whole_and_says_what_it_left_out(
    con: duckdb.DuckDBPyConnection, folder: Path
) -> None:
    columns = ", ".join(
        f"hash(i + {place}) % 1000 / 7.0::DOUBLE AS c{place}" for place in range(130)
    )
    profile = profile_sql(con, folder, f"SELECT {columns} FROM range(40) t(i)")
    assert len(profile.columns) == 130
    assert all(column.std for column in profile.columns)
    assert len(profile.correlations) == 780
    assert "first 40 of 130" in profile.notes[0]


def test_duplicate_rows_and_the_time_axis_are_found(
    con: duckdb.DuckDBPyConnection, folder: Path
) -> None:
    stamps = "TIMESTAMP '2024-01-01' + to_minutes(i * 10 + CASE WHEN i > 60 THEN 5000 ELSE 0 END)"
    sql = f"SELECT {stamps} AS at, 1::BIGINT AS k FROM range(100) t(i)"
    profile = profile_sql(con, folder, f"{sql} UNION ALL SELECT * FROM ({sql} LIMIT 4)")
    assert profile.duplicate_rows == 4
    axis = profile.time_axis
    assert axis is not None
    assert (axis.column, axis.median_step_s, axis.long_gaps, axis.steps) == ("at", 600.0, 1, 103)
    assert axis.ordered_share == pytest.approx(102 / 103)


def test_a_profile_survives_json(con: duckdb.DuckDBPyConnection, folder: Path) -> None:
    sql = "SELECT i, i / 3.0::DOUBLE AS x, 'a' AS t, DATE '2024-01-01' + i::INT AS d FROM range(9) t(i)"
    profile = profile_sql(con, folder, sql)
    assert TableProfile.from_json(json.loads(json.dumps(profile.to_json()))) == profile


def test_an_empty_table_has_an_empty_profile(con: duckdb.DuckDBPyConnection, folder: Path) -> None:
    profile = profile_sql(con, folder, "SELECT 1.5::DOUBLE AS x, 'a' AS t WHERE false")
    assert [(c.count, c.nulls, c.distinct, c.mean) for c in profile.columns] == [
        (0, 0, 0, None)
    ] * 2

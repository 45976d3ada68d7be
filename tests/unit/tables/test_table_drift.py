"""A table is compared with earlier versions by their sketches alone."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet
from scipy import special, stats
from text_tables import engine

from nika_pipelines.intake.records import Column
from nika_pipelines.settings import Settings
from nika_pipelines.tables import sketch as sketches
from nika_pipelines.tables.drift import (
    Baseline,
    TableDrift,
    _chi_square_beyond,
    compare,
    kolmogorov_smirnov,
    population_stability,
)
from nika_pipelines.tables.sketch import ColumnSketch, TableSketch, distribution, sketch_table
from nika_pipelines.tables.statistics import profile_table

THEN, NOW = "2026-01-01T00:00:00.000000Z", "2026-01-03T12:00:00.000000Z"
COLUMNS = [
    Column("day", "date", "date"),
    Column("amount", "float", "measure"),
    Column("kind", "text", "category"),
    Column("mail", "text", "email", personal=True),
]
quick = settings(max_examples=25, deadline=None)


def column_sketch(values: Any) -> ColumnSketch:
    points, ranks, sampled, is_exact = distribution(np.asarray(values, dtype=float))
    return ColumnSketch("x", "float", "measure", 0, len(points), None, None, points, ranks,
                        sampled, is_exact)  # fmt: skip


def table(
    folder: Path, rows: int, shift: float = 0.0, kinds: str = "ab", seed: int = 1
) -> TableSketch:
    rng = np.random.default_rng(seed)
    path = folder / f"{seed}.parquet"
    days = np.datetime64("2026-01-01") + np.arange(rows) // 24
    written = {
        "day": pa.array(days),
        "amount": pa.array(rng.normal(10 + shift, 1, rows)),
        "kind": pa.array([kinds[n % len(kinds)] for n in range(rows)]),
        "mail": pa.array([f"p{n % 7}@example.org" for n in range(rows)]),
    }
    parquet.write_table(pa.table(written), path)
    with engine() as con:
        profile = profile_table(con, path, COLUMNS, Settings())
        return sketch_table(con, path, COLUMNS, profile, rejected=0)


def drift(now: TableSketch, then: TableSketch) -> TableDrift:
    return compare(now, NOW, then, Baseline("u-1", 1, THEN))


def changed(found: TableDrift) -> dict[str, str]:
    return {column.name: column.level for column in found.columns if column.level != "stable"}


numbers = st.lists(st.integers(-20, 20), min_size=2, max_size=60)


@given(then=numbers, now=numbers)
@quick
def test_the_distance_is_scipy_s(then: list[int], now: list[int]) -> None:
    expected = stats.ks_2samp(then, now, method="asymp")

    distance, _ = kolmogorov_smirnov(column_sketch(then), column_sketch(now))

    assert distance == pytest.approx(expected.statistic)


@pytest.mark.parametrize("shift", [0.0, 0.1, 0.5])
def test_the_distance_of_large_samples_is_close_to_scipy_s(shift: float) -> None:
    rng = np.random.default_rng(7)
    then, now = rng.lognormal(size=8_000), rng.lognormal(shift, size=5_000)
    expected = stats.ks_2samp(then, now, method="asymp")

    distance, chance = kolmogorov_smirnov(column_sketch(then), column_sketch(now))

    assert distance == pytest.approx(expected.statistic, abs=0.006)
    assert (chance < 0.001) == (expected.pvalue < 0.001)


@pytest.mark.parametrize("share", [0.3, 0.4, 0.5, 0.6, 0.7])
def test_a_value_that_comes_very_often_is_no_distance(share: float) -> None:
    rng = np.random.default_rng(5)
    capped = [np.where(rng.random(20_000) < share, 1.0, rng.random(20_000)) for _ in range(6)]
    shifted = np.where(rng.random(20_000) < share, 1.0, rng.random(20_000) * 0.9)

    found = [
        kolmogorov_smirnov(column_sketch(then), column_sketch(now))
        for then, now in zip(capped[::2], capped[1::2], strict=True)
    ]

    assert max(distance for distance, _ in found) < 0.025
    distance, _ = kolmogorov_smirnov(column_sketch(capped[0]), column_sketch(shifted))
    assert distance == pytest.approx(stats.ks_2samp(capped[0], shifted).statistic, abs=0.006)


def test_a_sample_does_not_fall_in_step_with_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sketches, "SAMPLE_ROWS", 500)
    path = tmp_path / "hours.parquet"
    parquet.write_table(pa.table({"hour": [float(n % 24) for n in range(12_000)]}), path)
    columns = [Column("hour", "float", "measure")]

    with engine() as con:
        profile = profile_table(con, path, columns, Settings())
        points = sketch_table(con, path, columns, profile, 0).columns[0].points

    assert points == list(range(24))


def test_the_chance_of_a_distance_is_scipy_s() -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        then, now = rng.normal(size=90), rng.normal(0.2, size=70)
        expected = stats.ks_2samp(then, now, method="exact").pvalue
        assert kolmogorov_smirnov(column_sketch(then), column_sketch(now))[1] == pytest.approx(
            expected, abs=0.05
        )


def test_the_stability_index_is_the_symmetric_divergence() -> None:
    then, now = [10, 20, 70], [30, 30, 40]
    shares = np.array([[0.1, 0.2, 0.7], [0.3, 0.3, 0.4]])

    expected = stats.entropy(*shares) + stats.entropy(*shares[::-1])

    assert population_stability(then, now) == pytest.approx(expected)
    assert population_stability(now, then) == pytest.approx(expected)
    assert population_stability([5, 0, 5], [500, 0, 500]) == 0
    assert population_stability([5, 5], [10, 0]) > 0.25


@pytest.mark.parametrize("degrees", [1, 4, 30])
def test_the_chance_of_a_chi_square_is_scipy_s(degrees: int) -> None:
    for value in (0.5 * degrees, degrees, 3 * degrees + 5):
        expected = special.chdtrc(degrees, value)
        assert _chi_square_beyond(value, degrees) == pytest.approx(expected, abs=0.01)


def test_an_equal_table_has_not_drifted(tmp_path: Path) -> None:
    found = drift(table(tmp_path, 400, seed=2), table(tmp_path, 480))

    assert (found.level, changed(found), found.compared) == ("stable", {}, 4)
    assert (found.rows_then, found.rows_now) == (480, 400)
    assert found.gap_s == 2.5 * 86_400
    assert found.data_gap_s == -3 * 86_400


def test_a_shift_a_new_category_and_empty_cells_are_seen(tmp_path: Path) -> None:
    then, now = table(tmp_path, 480), table(tmp_path, 480, shift=1.0, kinds="acc", seed=2)
    columns = [replace(c, nulls=120) if c.name == "mail" else c for c in now.columns]

    found = drift(replace(now, columns=columns), then)

    assert changed(found) == {"amount": "strong", "kind": "strong", "mail": "strong"}
    amount, kind = found.columns[1], found.columns[2]
    assert amount.median_now == pytest.approx(11, abs=0.2)
    assert amount.psi == pytest.approx(1.0, abs=0.35)  # two normal curves, one sigma apart
    assert (kind.new_categories, kind.vanished_categories) == (["c"], ["b"])


@pytest.mark.parametrize("rows", [5, 12, 40])
def test_small_tables_do_not_drift_by_chance(tmp_path: Path, rows: int) -> None:
    first = table(tmp_path, rows, kinds="abcdefgh")

    levels = [
        drift(table(tmp_path, rows, kinds="hgfedcba", seed=seed), first).level
        for seed in range(2, 12)
    ]

    assert levels == ["stable"] * 10


def test_other_columns_are_a_strong_change(tmp_path: Path) -> None:
    then = table(tmp_path, 48)
    columns = [replace(c, type="integer") if c.name == "amount" else c for c in then.columns[:0:-1]]
    now = replace(then, columns=[*columns, replace(columns[0], name="new")])

    found = drift(now, then)

    assert (found.missing, found.extra, found.level) == (["day"], ["new"], "strong")
    assert found.retyped == [{"column": "amount", "then": "float", "now": "integer"}]
    assert found.reordered


def test_a_sketch_is_small_and_holds_no_personal_value(tmp_path: Path) -> None:
    import json

    found = table(tmp_path, 20_000)
    text = json.dumps(found.to_json())

    assert len(text) < 12_000
    assert "example.org" not in text
    assert TableSketch.from_json(json.loads(text)) == found


def test_a_large_table_is_sampled_over_its_whole_length(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "t.parquet"
    parquet.write_table(pa.table({"x": pa.array(np.arange(10_000, dtype=float))}), path)
    column = Column("x", "float", "measure")
    monkeypatch.setattr(sketches, "SAMPLE_ROWS", 1_000)
    with engine() as con:
        profile = profile_table(con, path, [column], Settings())
        (found,) = sketch_table(con, path, [column], profile, 0).columns

    assert found.sampled == pytest.approx(1_000, abs=100)
    assert found.points is not None
    assert len(found.points) == sketches.POINTS
    assert found.points == pytest.approx(np.linspace(0, 9_999, sketches.POINTS), abs=500)

"""The fitted tail: monotone, invertible, free of units, and quiet on clean data."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from nika_pipelines.anomalies.tails import FEWEST_EXCEEDANCES, Tail, fit_tail


def half_normal_tail(n: int, seed: int = 0) -> Tail:
    distances = np.random.default_rng(seed).normal(size=n)
    tail = fit_tail(distances[distances > 0], n)
    assert tail is not None
    return tail


def test_survival_falls_with_distance_and_starts_at_the_threshold() -> None:
    tail = half_normal_tail(1_000)
    places = np.linspace(0, 20, 400)
    logs = tail.log10_survival(places)
    assert (logs[places <= tail.threshold] == 0).all()
    assert (np.diff(logs[places > tail.threshold]) <= 1e-12).all()
    assert np.isfinite(logs).all()


def test_many_values_are_scored_as_one_at_a_time() -> None:
    tail = half_normal_tail(500)
    places = np.linspace(0.1, 15, 300)
    single = [tail.log10_survival(np.array([place]))[0] for place in places]
    assert tail.log10_survival(places) == pytest.approx(single, abs=0.02)


@pytest.mark.parametrize("log10_probability", [-2.0, -4.0, -8.0])
def test_distance_inverts_survival(log10_probability: float) -> None:
    tail = half_normal_tail(2_000)
    distance = tail.distance(log10_probability)
    assert tail.log10_survival(np.array([distance]))[0] == pytest.approx(
        log10_probability, abs=1e-3
    )


def test_a_normal_tail_is_close_to_the_truth_where_data_are() -> None:
    tail = half_normal_tail(20_000)
    for place in (1.8, 2.2, 2.6, 3.0):
        truth = math.log10(stats.norm.sf(place))
        assert tail.log10_survival(np.array([place]))[0] == pytest.approx(truth, abs=0.2)


def test_one_percent_of_outliers_do_not_hide_each_other() -> None:
    """All of them stay beyond the limit of a finding, which is 0.05 expected on each side."""
    limit = math.log10(0.05 / 1_000)
    for seed in range(20):
        distances = np.abs(np.random.default_rng(seed).normal(size=500))
        distances[:10] = 40.0
        tail = fit_tail(distances, 1_000)
        assert tail is not None
        assert tail.log10_survival(np.array([40.0]))[0] < limit


def test_too_few_values_have_no_tail() -> None:
    assert fit_tail(np.arange(1.0, FEWEST_EXCEEDANCES), 1_000) is None
    assert fit_tail(np.empty(0), 30) is None


@settings(max_examples=60, deadline=None)
@given(
    exponent=st.integers(-200, 200),
    seed=st.integers(0, 1_000),
    family=st.sampled_from(["normal", "lognormal", "poisson", "cauchy"]),
)
def test_the_unit_of_a_column_does_not_matter(exponent: int, seed: int, family: str) -> None:
    rng = np.random.default_rng(seed)
    distances = {
        "normal": lambda: np.abs(rng.normal(size=300)),
        "lognormal": lambda: np.exp(rng.normal(size=300)),
        "poisson": lambda: rng.poisson(2, 300) + 1.0,
        "cauchy": lambda: np.abs(rng.standard_cauchy(300)),
    }[family]()
    factor = 2.0**exponent
    plain, scaled = fit_tail(distances, 600), fit_tail(distances * factor, 600)
    assert (plain is None) == (scaled is None)
    if plain is None or scaled is None:
        return
    places = distances.max() * np.array([0.5, 1, 2, 10])
    assert scaled.log10_survival(places * factor) == pytest.approx(plain.log10_survival(places))


@pytest.mark.parametrize(
    "family, allowed", [("normal", 4), ("uniform", 2), ("exponential", 8), ("t3", 20)]
)
def test_clean_columns_rarely_hold_anything_impossible(family: str, allowed: int) -> None:
    """Nominal are 0.05 per column and side: 5 among these 100."""
    rng = np.random.default_rng(11)
    draw = {
        "normal": lambda: rng.normal(size=1_000),
        "uniform": lambda: rng.random(1_000),
        "exponential": lambda: rng.exponential(size=1_000),
        "t3": lambda: rng.standard_t(3, 1_000),
    }[family]
    flagged = 0
    for _ in range(100):
        values = draw()
        distances = values - np.median(values)
        tail = fit_tail(distances[distances > 0], 1_000)
        assert tail is not None
        flagged += int((tail.log10_survival(distances) <= math.log10(0.05 / 1_000)).sum())
    assert flagged <= allowed

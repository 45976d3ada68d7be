"""Settings that are text are checked when they are read, not when they are first used."""

import pytest
from dagster._utils.schedules import is_valid_cron_string
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from nika_pipelines.cron import cron_problem
from nika_pipelines.settings import Settings

number = st.integers(0, 61).map(str) | st.sampled_from(["mon", "SUN", "jan", "x", "007", ""])
part = (
    st.just("*")
    | number
    | st.builds("{}-{}".format, number, number)
    | st.builds("{}/{}".format, st.just("*") | st.builds("{}-{}".format, number, number), number)
)
field = st.lists(part, min_size=1, max_size=2).map(",".join)


@given(st.lists(field, min_size=4, max_size=6).map(" ".join))
@example("0 6 * * *")
@example("*/15 8-18 1,15 jan-jun mon-fri")
def test_what_is_taken_as_a_schedule_dagster_takes(text: str) -> None:
    assert cron_problem(text) is not None or is_valid_cron_string(text)


@pytest.mark.parametrize("text", ["0 6 * * *", "*/15 8-18 1,15 jan-jun MON-fri", "0 0 1 1 0"])
def test_usual_schedules_are_taken(text: str) -> None:
    assert Settings(digest_cron=text).digest_cron == text


@pytest.mark.parametrize(
    "text, problem",
    [
        ("", "five fields"),
        ("0 6 * *", "not 4"),
        ("@daily", "five fields"),
        ("0 25 * * *", "hour: '25'"),
        ("x 6 * * *", "minute: 'x'"),
        ("*/0 6 * * *", "minute: '\\*/0'"),
        ("0 6 5-2 * *", "day of the month: '5-2'"),
    ],
)
def test_a_wrong_schedule_is_told_with_its_field(text: str, problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        Settings(digest_cron=text)


@pytest.mark.parametrize("name", ["UTC", "Europe/Berlin"])
def test_time_zones_are_taken(name: str) -> None:
    assert Settings(digest_time_zone=name).digest_time_zone == name


@pytest.mark.parametrize("name", ["", "Mars/Olympus", "../etc/passwd", "America", "/etc/hosts"])
def test_a_wrong_time_zone_is_told(name: str) -> None:
    with pytest.raises(ValidationError, match="must be an IANA time zone"):
        Settings(digest_time_zone=name)

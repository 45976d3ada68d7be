"""The planner: which files are stable, and which uploads go to which run."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from nika_pipelines.intake.listing import Entry
from nika_pipelines.intake.planner import (
    LARGE_BYTES,
    Offer,
    Seen,
    backoff_seconds,
    plan_claims,
    plan_offers,
)
from nika_pipelines.intake.states import Upload, UploadState
from nika_pipelines.settings import Settings

SETTINGS = Settings()
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
NOW_TEXT = "2026-01-02T03:04:05.000000Z"


def entry(path: str, changed_ago: float, size: int = 1) -> Entry:
    changed = int((NOW.timestamp() - changed_ago) * 1e9)
    return Entry(path, path, None, 1, size, changed, changed)


def upload(number: int, **changes: object) -> Upload:
    base = Upload(
        upload_id=f"u{number:03d}",
        feed="tables",
        original_name="a.csv",
        stored_name="a.csv",
        dataset="a",
        state=UploadState.RECEIVED,
        received_at=NOW_TEXT,
        updated_at=NOW_TEXT,
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def offers(
    uploads: list[Upload],
    live_batches: frozenset[str] = frozenset(),
    live_runs: frozenset[str] = frozenset(),
    queue_length: int = 0,
    registered: list[str] | None = None,
) -> list[Offer]:
    return plan_offers(
        uploads,
        live_batches=live_batches,
        live_runs=live_runs,
        queue_length=queue_length,
        registered={key: place for place, key in enumerate(registered or [])},
        now=NOW_TEXT,
        settings=SETTINGS,
    )


def test_a_file_that_changed_long_ago_is_taken_at_the_first_look() -> None:
    plan = plan_claims([entry("a", changed_ago=10)], {}, NOW, SETTINGS)
    assert [one.path for one in plan.take] == ["a"]


def test_a_file_that_just_changed_settles_first() -> None:
    plan = plan_claims([entry("a", changed_ago=0.5)], {}, NOW, SETTINGS)
    assert plan.take == []
    assert [one.path for one in plan.settling] == ["a"]


def test_a_file_whose_companion_just_changed_settles_with_it() -> None:
    old = entry("a", changed_ago=60)
    fresh_ns = int((NOW.timestamp() - 0.5) * 1e9)
    described = replace(old, companions=(("a.nika.yaml", "2:1:1:1"),), changed_ns=fresh_ns)
    plan = plan_claims([described], {}, NOW, SETTINGS)
    assert plan.take == []
    seen = {one.path: one for one in plan.settling}
    later = NOW + timedelta(seconds=SETTINGS.settle_seconds)
    changed_again = replace(described, companions=(("a.nika.yaml", "2:1:1:9"),))
    assert plan_claims([changed_again], seen, later, SETTINGS).take == [changed_again]
    still_fresh = replace(changed_again, changed_ns=int(later.timestamp() * 1e9))
    assert plan_claims([still_fresh], seen, later, SETTINGS).take == []
    assert plan_claims([described], seen, later, SETTINGS).take == [described]


def test_a_file_with_a_clock_in_the_future_is_taken_once_it_was_seen_unchanged() -> None:
    future = entry("a", changed_ago=-3600)
    before = plan_claims([future], {}, NOW, SETTINGS).settling
    later = NOW + timedelta(seconds=SETTINGS.settle_seconds)
    plan = plan_claims([future], {one.path: one for one in before}, later, SETTINGS)
    assert [one.path for one in plan.take] == ["a"]


def test_a_file_that_keeps_growing_keeps_settling_and_is_reported_in_the_end() -> None:
    seen: dict[str, Seen] = {}
    moment = NOW
    for second in range(0, 3600, 60):
        moment = NOW + timedelta(seconds=second)
        changed = int(moment.timestamp() * 1e9)
        growing = Entry("a", "a", None, 1, second, changed, changed)
        plan = plan_claims([growing], seen, moment, SETTINGS)
        assert plan.take == []
        seen = {one.path: one for one in plan.settling}
    assert plan.settling_longer_than(SETTINGS, moment) == ["a"]


def test_up_to_three_new_uploads_get_a_run_each() -> None:
    assert [len(offer.upload_ids) for offer in offers([upload(n) for n in range(3)])] == [1, 1, 1]


def test_more_are_batched_and_a_look_offers_no_more_than_its_limit() -> None:
    sizes = [len(offer.upload_ids) for offer in offers([upload(n) for n in range(500)])]
    assert sizes == [50, 50, 50, 50]


def test_nothing_is_offered_while_enough_runs_are_live() -> None:
    assert offers([upload(1)], queue_length=SETTINGS.max_live_runs) == []


def test_uploads_of_a_live_batch_are_left_alone() -> None:
    mine = upload(1, batch_id="b", attempt=1)
    assert offers([mine], live_batches=frozenset({"b"}), live_runs=frozenset({"r"})) == []


def test_uploads_are_not_offered_before_their_time() -> None:
    early = upload(1, not_before="2026-01-02T03:04:06.000000Z", attempt=1)
    assert offers([early]) == []


def test_lost_uploads_are_offered_again_with_the_next_attempt_number() -> None:
    keys = [f"u{n:03d}" for n in range(5)]
    lost = [upload(n, batch_id="gone", attempt=1) for n in (1, 2, 3)]
    (offer,) = offers(lost, registered=keys)
    assert offer.upload_ids == ("u001", "u002", "u003")
    assert offer.attempt == 2


def test_a_gap_in_the_registered_range_starts_another_run() -> None:
    keys = [f"u{n:03d}" for n in range(5)]
    lost = [upload(n, attempt=1) for n in (0, 1, 3)]
    assert [offer.upload_ids for offer in offers(lost, registered=keys)] == [
        ("u000", "u001"),
        ("u003",),
    ]


def test_a_suspect_is_offered_alone() -> None:
    keys = [f"u{n:03d}" for n in range(4)]
    lost = [upload(n, attempt=1, worker_deaths=int(n == 1)) for n in range(4)]
    groups = [offer.upload_ids for offer in offers(lost, registered=keys)]
    assert ("u001",) in groups
    assert all(group == ("u001",) or "u001" not in group for group in groups)


def test_a_file_that_came_twice_is_offered_once_its_first_upload_is_final() -> None:
    first, second = upload(1, size_bytes=7), upload(2, size_bytes=7)
    others = [upload(3, size_bytes=8), upload(4, size_bytes=7, tag="north"), upload(5)]
    taken = [key for offer in offers([first, second, *others]) for key in offer.upload_ids]
    assert taken == ["u001", "u003", "u004", "u005"]
    in_work = replace(first, batch_id="b", attempt=1)
    assert offers([in_work, second], live_batches=frozenset({"b"})) == []
    (offer,) = offers([second])
    assert offer.upload_ids == ("u002",)


def test_large_files_run_alone_and_are_marked() -> None:
    planned = offers([upload(n, size_bytes=LARGE_BYTES if n == 2 else 1) for n in range(6)])
    assert [(offer.upload_ids, offer.large) for offer in planned if offer.large] == [
        (("u002",), True)
    ]


def test_a_run_key_is_never_used_twice_for_the_same_upload() -> None:
    first, second = upload(1), upload(1, updated_at="2026-01-02T03:05:00.000000Z")
    assert offers([first])[0].run_key != offers([second])[0].run_key


def test_the_first_retry_is_immediate_and_later_ones_wait_longer_up_to_five_minutes() -> None:
    waits = [backoff_seconds(attempt) for attempt in range(1, 12)]
    assert waits[0] == 0
    assert waits == sorted(waits)
    assert waits[-1] == 300


@given(
    st.lists(
        st.tuples(
            st.integers(0, 2), st.integers(0, 2), st.booleans(), st.sampled_from([None, "b1", "b2"])
        ),
        max_size=120,
    ),
    st.randoms(use_true_random=False),
)
def test_no_upload_is_offered_twice_nor_in_a_range_with_strangers(
    shapes: list[tuple[int, int, bool, str | None]], random: object
) -> None:
    uploads = [
        upload(n, attempt=attempt, worker_deaths=deaths if attempt else 0, batch_id=batch)
        for n, (attempt, deaths, _known, batch) in enumerate(shapes)
    ]
    keys = [f"u{n:03d}" for n, (attempt, *_rest) in enumerate(shapes) if attempt]
    random.shuffle(keys)  # type: ignore[attr-defined]
    planned = offers(uploads, live_batches=frozenset({"b1"}), registered=keys)
    offered = [key for offer in planned for key in offer.upload_ids]
    assert len(offered) == len(set(offered))
    assert not {u.upload_id for u in uploads if u.batch_id == "b1"} & set(offered)
    order = keys + [key for key in offered if key not in keys]
    for offer in planned:
        start = order.index(offer.upload_ids[0])
        assert tuple(order[start : start + len(offer.upload_ids)]) == offer.upload_ids

"""The ledger: states, attempts, versions, and that many processes may share it."""

import multiprocessing
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nika_pipelines.intake.listing import Notice
from nika_pipelines.intake.planner import Seen
from nika_pipelines.intake.states import Upload, UploadState
from resources.clock import utc_now
from resources.ledger import (
    Ledger,
    LedgerVersionError,
    UploadIdTakenError,
    open_ledger,
)


def upload(upload_id: str, **changes: object) -> Upload:
    now = utc_now()
    base = Upload(upload_id, "tables", "a.csv", "a.csv", "a", UploadState.WAITING, now, now)
    return replace(base, **changes)  # type: ignore[arg-type]


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger.sqlite")


def test_an_upload_comes_back_as_it_was_written(ledger: Ledger) -> None:
    written = upload(
        "u1", tag="north", source_path="/x\ny", source_inode=2**60, summary={"rows": 3}
    )
    ledger.register(written)
    assert ledger.get("u1") == written
    assert ledger.get("u2") is None


def test_every_state_is_noted_with_its_time(ledger: Ledger) -> None:
    ledger.register(upload("u1"))
    ledger.advance("u1", UploadState.RECEIVED)
    done = ledger.advance("u1", UploadState.REPORT_READY, summary={"anomalies": 2})
    assert [state for state, _at in ledger.transitions("u1")] == [
        UploadState.WAITING,
        UploadState.RECEIVED,
        UploadState.REPORT_READY,
    ]
    assert done.finished_at is not None
    assert done.summary == {"anomalies": 2}


def test_an_unknown_upload_cannot_advance(ledger: Ledger) -> None:
    with pytest.raises(KeyError):
        ledger.advance("nobody", UploadState.FAILED)


def test_versions_count_up_per_dataset_and_stay_after_a_rerun(ledger: Ledger) -> None:
    for upload_id, dataset in [("u1", "a"), ("u2", "b"), ("u3", "a")]:
        ledger.register(upload(upload_id, dataset=dataset))
    assert [ledger.assign_version(u) for u in ("u1", "u2", "u3", "u1")] == [1, 1, 2, 1]


def test_only_a_finished_upload_of_the_same_name_is_an_original(ledger: Ledger) -> None:
    first, second = upload("u1", identity="i"), upload("u2")
    ledger.register(first)
    ledger.register(second)
    assert ledger.original_of(second, "i") is None
    ledger.advance("u1", UploadState.REPORT_READY)
    found = ledger.original_of(second, "i")
    assert found is not None
    assert found.upload_id == "u1"
    assert ledger.original_of(replace(second, original_name="b.csv"), "i") is None


@pytest.mark.parametrize("charge, deaths", [(True, 1), (False, 0)])
def test_a_dead_run_charges_only_the_upload_in_work(
    ledger: Ledger, charge: bool, deaths: int
) -> None:
    for upload_id in ("done", "in_work", "next"):
        ledger.register(upload(upload_id))
        ledger.advance(upload_id, UploadState.RECEIVED)
    ledger.advance("done", UploadState.REPORT_READY, run_id="r")
    ledger.advance("in_work", UploadState.PROCESSING, run_id="r")
    freed = ledger.release_run("r", charge=charge)
    assert [(one.upload_id, one.state, one.worker_deaths) for one in freed] == [
        ("in_work", UploadState.RECEIVED, deaths)
    ]
    untouched = ledger.get("next")
    assert untouched is not None
    assert untouched.worker_deaths == 0


def test_notices_are_new_once(ledger: Ledger) -> None:
    notice = Notice("/inbox/\udcff", "LINK", "no links")
    assert ledger.inbox.replace_notices("tables", [notice]) == [notice]
    assert ledger.inbox.replace_notices("tables", [notice]) == []
    assert ledger.inbox.notices() == [notice]
    ledger.inbox.replace_notices("tables", [])
    assert ledger.inbox.notices() == []


def test_feeds_do_not_wipe_each_others_notices(ledger: Ledger) -> None:
    tables, images = Notice("/inbox/tables/a", "LINK", "x"), Notice("/inbox/images/b", "LINK", "x")
    ledger.inbox.replace_notices("tables", [tables])
    ledger.inbox.replace_notices("images", [images])
    assert ledger.inbox.replace_notices("tables", [tables]) == []
    assert ledger.inbox.notices() == [tables, images]


def test_an_upload_is_in_the_hands_of_one_living_run(ledger: Ledger) -> None:
    ledger.register(upload("u1"))
    ledger.advance("u1", UploadState.PROCESSING, run_id="first")
    assert ledger.begin_work("u1", "second", is_alive=lambda _run: True) is None
    taken = ledger.begin_work("u1", "second", is_alive=lambda _run: False)
    assert taken is not None
    assert taken.run_id == "second"


def test_an_id_is_given_once(ledger: Ledger) -> None:
    ledger.register(upload("u1"))
    with pytest.raises(UploadIdTakenError):
        ledger.register(upload("u1"))


def test_a_later_upload_is_never_the_original_of_an_earlier_one(ledger: Ledger) -> None:
    first = upload("u1", received_at="2026-01-01T00:00:00.000000Z")
    second = upload("u2", received_at="2026-01-02T00:00:00.000000Z", identity="i")
    ledger.register(first)
    ledger.register(second)
    ledger.advance("u2", UploadState.REPORT_READY)
    assert ledger.original_of(first, "i") is None


def test_settling_files_are_remembered_whatever_their_name(ledger: Ledger) -> None:
    seen = Seen("/inbox/\udcff", "1:2:3:4", 1.5, 0.5)
    ledger.inbox.replace_settling("tables", [seen])
    assert ledger.inbox.settling("tables") == {seen.path: seen}


def test_errors_are_found_by_their_time(ledger: Ledger) -> None:
    ledger.record_error("INTERNAL", "boom", run_id="r", upload_id="u")
    (error,) = ledger.errors(since="2000-01-01")
    assert (error.code, error.message, error.run_id, error.upload_id) == (
        "INTERNAL",
        "boom",
        "r",
        "u",
    )
    assert ledger.errors(until="2000-01-01") == []


def test_a_ledger_of_another_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    with open_ledger(path):
        pass
    with sa.create_engine(f"sqlite:///{path}").begin() as connection:
        connection.execute(sa.text("UPDATE meta SET value = '999'"))
    with pytest.raises(LedgerVersionError, match="999"):
        Ledger(path)


def _number_uploads(path: Path, name: str) -> None:
    with open_ledger(path) as ledger:
        for n in range(20):
            ledger.register(upload(f"{name}{n}"))
            ledger.assign_version(f"{name}{n}")


def test_processes_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_number_uploads, args=(path, name)) for name in "abc"]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    with open_ledger(path) as ledger:
        versions = sorted(one.version or 0 for one in ledger.uploads())
    assert versions == list(range(1, 61))


@given(st.lists(st.sampled_from(list(UploadState)), min_size=1, max_size=12))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
def test_after_any_sequence_the_last_state_counts_and_only_changes_are_noted(
    ledger: Ledger, states: list[UploadState]
) -> None:
    before = ledger.counts()
    upload_id = f"u{sum(before.values())}"
    ledger.register(upload(upload_id))
    for state in states:
        now = ledger.advance(upload_id, state)
        assert now.is_final == (now.finished_at is not None)
    path = [state for state, _at in ledger.transitions(upload_id)]
    assert path[0] == UploadState.WAITING
    assert path[-1] == states[-1]
    assert all(one != other for one, other in pairwise(path))
    assert ledger.counts() == dict(Counter(before) + Counter({states[-1]: 1}))


def test_paths_from_which_files_came_are_known_with_and_without_extension(ledger: Ledger) -> None:
    for number, path in enumerate(("/in/a.csv", "/in/b", "/in/50% off_x.csv")):
        ledger.register(upload(f"u{number}", source_path=path))
    asked = ["/in/a", "/in/a.csv", "/in/b", "/in/50% off_x", "/in/50%", "/in/_", "/in/", "/in/B"]
    assert ledger.came_from(asked) == {"/in/a", "/in/a.csv", "/in/b", "/in/50% off_x"}
    assert ledger.came_from([]) == set()


def test_an_alias_has_the_whole_extension_of_its_original(ledger: Ledger) -> None:
    facts = {"identity": "i", "state": UploadState.REPORT_READY}
    first = upload("u1", original_name="a.csv.gz", stored_name="a.csv.gz", **facts)
    ledger.register(first)
    for name, is_alias in (("b.CSV.GZ", True), ("b.json.gz", False), ("b.csv", False)):
        other = upload("u2", original_name=name, stored_name=name, identity="i")
        found = ledger.original_of(other, "i", under_any_name=True)
        assert (found is not None) == is_alias

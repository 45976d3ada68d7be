"""Taking files: renamed once, registered before, and whole again after any crash."""

import errno
import os
from pathlib import Path

import pytest

from nika_pipelines.intake.states import UploadState
from nika_pipelines.settings import Settings
from resources.archive import Archive
from resources.inbox import Inbox
from resources.ledger import Ledger


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data=tmp_path / "data", settle_seconds=0)


@pytest.fixture
def ledger(settings: Settings) -> Ledger:
    return Ledger(settings.data / "ledger.sqlite")


@pytest.fixture
def inbox(settings: Settings, ledger: Ledger) -> Inbox:
    return Inbox(settings, ledger)


def bytes_of(settings: Settings, upload_id: str, ledger: Ledger) -> bytes:
    upload = ledger.get(upload_id)
    assert upload is not None
    return Archive(settings.data).locate(upload).read_bytes()


def test_a_stable_file_is_moved_out_of_the_inbox(
    inbox: Inbox, ledger: Ledger, settings: Settings
) -> None:
    (inbox.folder("tables") / "a.csv").write_bytes(b"x\n1\n")
    (taken,) = inbox.look("tables").taken
    assert taken.state == UploadState.RECEIVED
    assert list(inbox.folder("tables").iterdir()) == []
    assert bytes_of(settings, taken.upload_id, ledger) == b"x\n1\n"


def test_a_dropped_file_is_taken_without_settling(
    inbox: Inbox, ledger: Ledger, tmp_path: Path, settings: Settings
) -> None:
    patient = Inbox(settings.model_copy(update={"settle_seconds": 3600}), ledger)
    source = tmp_path / "a.csv"
    source.write_bytes(b"x\n1\n")
    dropped = patient.drop(source, "tables")
    assert [one.upload_id for one in patient.look("tables").taken] == [dropped.upload_id]
    assert source.exists()


def test_two_files_of_one_name_are_both_taken(inbox: Inbox, tmp_path: Path) -> None:
    source = tmp_path / "a.csv"
    for content in (b"x\n1\n", b"x\n2\n"):
        source.write_bytes(content)
        inbox.drop(source, "tables")
    taken = inbox.look("tables").taken
    assert len({one.upload_id for one in taken}) == 2
    assert {one.dataset for one in taken} == {"a"}


def test_a_claim_cut_off_before_the_rename_is_completed(
    inbox: Inbox, ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (inbox.folder("tables") / "a.csv").write_bytes(b"x\n1\n")

    def die(*_args: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", die)
        patch.setattr(Ledger, "forget", die)
        with pytest.raises(KeyboardInterrupt):
            inbox.look("tables")
    assert ledger.counts() == {UploadState.WAITING: 1}
    assert [one.state for one in inbox.look("tables").taken] == [UploadState.RECEIVED]
    assert ledger.counts() == {UploadState.RECEIVED: 1}


def test_a_claim_cut_off_after_the_rename_is_completed(
    inbox: Inbox, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    (inbox.folder("tables") / "a.csv").write_bytes(b"x\n1\n")

    def die(*_args: object, **_kwargs: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "advance", die)
        with pytest.raises(KeyboardInterrupt):
            inbox.look("tables")
    assert list(inbox.folder("tables").iterdir()) == []
    assert [one.state for one in inbox.look("tables").taken] == [UploadState.RECEIVED]


def test_a_file_that_vanishes_is_forgotten(
    inbox: Inbox, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = inbox.folder("tables") / "a.csv"
    path.write_bytes(b"x\n1\n")
    rename = Path.rename

    def vanish(self: Path, target: Path) -> Path:
        self.unlink()
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", vanish)
    assert inbox.look("tables").taken == []
    monkeypatch.undo()
    path.write_bytes(b"x\n2\n")
    assert len(inbox.look("tables").taken) == 1


def test_a_file_that_cannot_be_moved_blocks_no_other(
    inbox: Inbox, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("bad.csv", "good.csv"):
        (inbox.folder("tables") / name).write_bytes(b"x\n1\n")
    rename = Path.rename

    def refuse(self: Path, target: Path) -> Path:
        if self.name == "bad.csv":
            raise OSError(errno.EIO, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)
    look = inbox.look("tables")
    assert [one.original_name for one in look.taken] == ["good.csv"]
    assert [notice.code for notice in look.notices] == ["NOT_MOVABLE"]
    monkeypatch.undo()
    assert [one.original_name for one in inbox.look("tables").taken] == ["bad.csv"]


def test_hostile_names_are_taken_under_safe_ones(
    inbox: Inbox, ledger: Ledger, settings: Settings
) -> None:
    hostile = ["line\nbreak.csv", os.fsdecode(b"\xff\xfe.csv"), "x" * 251 + ".csv"]
    for name in hostile:
        (inbox.folder("tables") / name).write_bytes(b"x\n1\n")
    taken = inbox.look("tables").taken
    assert len(taken) == 3
    for one in taken:
        assert bytes_of(settings, one.upload_id, ledger) == b"x\n1\n"


def test_a_copy_for_an_immediate_run_leaves_the_file_as_it_is(
    inbox: Inbox, ledger: Ledger, tmp_path: Path, settings: Settings
) -> None:
    source = tmp_path / "a.csv"
    source.write_bytes(b"x\n1\n")
    upload = inbox.take_copy(source, "tables", run_id="r")
    assert source.read_bytes() == bytes_of(settings, upload.upload_id, ledger)
    assert upload.attempt == 1


@pytest.mark.parametrize("cut_off", ["rename", "advance"])
def test_a_copy_that_is_cut_off_is_taken_or_forgotten(
    inbox: Inbox, ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cut_off: str
) -> None:
    import resources.inbox as module

    source = tmp_path / "a.csv"
    source.write_bytes(b"x\n1\n")

    def die(*_args: object, **_kwargs: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(*((Path, "rename") if cut_off == "rename" else (Ledger, "advance")), die)
        with pytest.raises(KeyboardInterrupt):
            inbox.take_copy(source, "tables", run_id="r")
    assert ledger.counts() == {UploadState.WAITING: 1}

    monkeypatch.setattr(module, "_ARRIVAL_SECONDS", 0)
    taken = inbox.look("tables").taken
    assert [one.state for one in taken] == ([UploadState.RECEIVED] if cut_off == "advance" else [])
    assert len(ledger.uploads()) == len(taken)
    assert source.exists()

"""Files that cannot be moved: copied by the run, removed where that is possible, taken once."""

import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from privileges import NOBODY, is_root, without_privileges

from nika_pipelines.intake.states import Upload, UploadState
from nika_pipelines.settings import Settings
from resources.archive import Archive, StillBeingWrittenError
from resources.inbox import Inbox
from resources.ledger import Ledger
from resources.originals import Originals, SourceGoneError

CONTENT = b"day,amount\n2026-01-01,1\n"
SHM = Path("/dev/shm")


class Place:
    """A data folder whose inbox lies on another file system."""

    def __init__(self, data: Path) -> None:
        self.settings = Settings(data=data, settle_seconds=0)
        self.ledger = Ledger(data / "ledger.sqlite")
        self.inbox = Inbox(self.settings, self.ledger)
        self.archive = Archive(data)
        self.originals = Originals(self.archive, self.ledger)
        self.folder = self.inbox.folder("tables")

    def put(self, content: bytes = CONTENT, name: str = "sales.csv") -> Path:
        path = self.folder / name
        path.write_bytes(content)
        return path

    def take(self) -> Upload:
        (taken,) = self.inbox.look("tables").taken
        return taken

    def now(self, upload: Upload) -> Upload:
        found = self.ledger.get(upload.upload_id)
        assert found is not None
        return found

    def work(self, upload: Upload) -> Upload:
        """What the first stage does, and the end of the run."""
        read = self.originals.read_in(self.now(upload))
        noted = self.ledger.advance(
            upload.upload_id, UploadState.VALIDATING, sha256=read.sha256, size_bytes=read.size_bytes
        )
        self.archive.admit(noted)
        self.originals.release(noted)
        return self.ledger.advance(upload.upload_id, UploadState.REPORT_READY)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    data = tmp_path / "data"
    data.mkdir()
    if not os.access(SHM, os.W_OK) or SHM.stat().st_dev == data.stat().st_dev:
        pytest.skip(f"{SHM} is no second file system here")
    mount = Path(tempfile.mkdtemp(dir=SHM, prefix="nika-test-"))
    (data / "inbox").symlink_to(mount)
    yield Place(data)
    shutil.rmtree(mount)


def test_a_file_on_another_file_system_ends_in_the_archive_and_nowhere_else(place: Place) -> None:
    source = place.put()
    upload = place.take()
    assert source.exists()
    assert place.inbox.look("tables").taken == []
    done = place.work(upload)
    assert done.sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert place.archive.locate(done).read_bytes() == CONTENT
    assert list(place.folder.iterdir()) == []
    assert list((place.settings.data / "claimed").iterdir()) == []
    assert place.inbox.look("tables").taken == []


def test_a_file_that_comes_again_after_its_original_was_removed_is_taken(place: Place) -> None:
    place.put()
    place.work(place.take())
    place.put()
    assert place.take().state == UploadState.RECEIVED


def test_a_file_that_is_replaced_after_it_was_copied_is_left_and_taken_next(place: Place) -> None:
    source = place.put()
    upload = place.take()
    place.originals.read_in(upload)
    place.put(b"another\n1\n", name="draft")
    (place.folder / "draft").replace(source)
    done = place.work(upload)
    assert place.archive.locate(done).read_bytes() == CONTENT
    assert source.read_bytes() == b"another\n1\n"
    assert place.archive.locate(place.work(place.take())).read_bytes() == b"another\n1\n"


def test_a_file_that_is_replaced_at_the_moment_of_its_removal_is_put_back(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    import resources.originals as module

    source = place.put()
    upload = place.take()
    rename_new = module.rename_new

    def replaced_meanwhile(old: Path, new: Path) -> None:
        if old == source:
            source.unlink()
            source.write_bytes(b"newer and longer than what was copied\n")
        rename_new(old, new)

    monkeypatch.setattr(module, "rename_new", replaced_meanwhile)
    place.work(upload)
    monkeypatch.undo()
    assert source.read_bytes() == b"newer and longer than what was copied\n"
    assert [one.name for one in place.folder.iterdir()] == ["sales.csv"]
    assert place.take().original_name == "sales.csv"


@pytest.mark.parametrize("step", ["fetch", "admit", "release"])
def test_a_crash_at_any_step_leaves_the_bytes_in_reach(
    place: Place, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    place.put()
    upload = place.take()
    owner = {"fetch": Archive, "admit": Archive, "release": Originals}[step]
    original = getattr(owner, step)

    def die_after(*args: object, **options: object) -> None:
        original(*args, **options)
        raise KeyboardInterrupt

    monkeypatch.setattr(owner, step, die_after)
    with pytest.raises(KeyboardInterrupt):
        place.work(upload)
    monkeypatch.undo()
    assert place.inbox.look("tables").taken == []
    done = place.work(upload)
    assert place.archive.locate(done).read_bytes() == CONTENT
    assert list(place.folder.iterdir()) == []


def test_a_crash_between_moving_aside_and_removing_is_finished(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.put()
    upload = place.take()

    def die(*_args: object, **_options: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", die)
        with pytest.raises(KeyboardInterrupt):
            place.work(upload)
    place.work(upload)
    assert list(place.folder.iterdir()) == []


def test_a_file_that_is_taken_away_before_it_was_copied_is_gone_and_may_come_back(
    place: Place,
) -> None:
    source = place.put()
    upload = place.take()
    source.unlink()
    with pytest.raises(SourceGoneError, match=r"sales\.csv"):
        place.originals.read_in(upload)
    assert list((place.settings.data / "claimed").iterdir()) == []


def make_link(path: Path) -> None:
    path.symlink_to("/etc/passwd")


@pytest.mark.parametrize("make", [os.mkfifo, make_link])
def test_a_pipe_or_link_in_place_of_the_file_is_never_read(place: Place, make: object) -> None:
    source = place.put()
    upload = place.take()
    source.unlink()
    make(source)  # type: ignore[operator]
    with pytest.raises(SourceGoneError):
        place.originals.read_in(upload)


def test_a_file_that_is_written_while_it_is_copied_is_not_taken_for_whole(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = place.put()
    upload = place.take()
    fsync, fstat, calls = os.fsync, os.fstat, []

    def write_meanwhile(descriptor: int) -> os.stat_result:
        calls.append(descriptor)
        if len(calls) == 2:
            with source.open("ab") as writer:
                writer.write(b"2026-01-02,2\n")
                fsync(writer.fileno())
        return fstat(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr("resources.archive.os.fstat", write_meanwhile)
        with pytest.raises(StillBeingWrittenError):
            place.originals.read_in(upload)
    assert not place.archive.holds(upload)
    done = place.work(upload)
    assert place.archive.locate(done).read_bytes() == CONTENT + b"2026-01-02,2\n"
    assert list(place.folder.iterdir()) == []


def test_a_full_disk_leaves_no_half_copy_and_the_next_try_works(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = place.put()
    upload = place.take()

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("resources.archive.os.fsync", full)
        with pytest.raises(OSError, match="space"):
            place.originals.read_in(upload)
    assert [path for path in (place.settings.data / "claimed").rglob("*") if path.is_file()] == []
    assert source.exists()
    assert place.archive.locate(place.work(upload)).read_bytes() == CONTENT


def _read_only_scenario(data: Path) -> None:
    """Run by a user who may read the inbox and not change it."""
    place = Place(data)
    source = place.folder / "sales.csv"
    with pytest.raises(PermissionError):
        source.unlink()
    done = place.work(place.take())
    assert done.source_fingerprint is not None
    assert place.archive.locate(done).read_bytes() == CONTENT
    assert source.read_bytes() == CONTENT
    assert place.inbox.look("tables").taken == []
    source.write_bytes(CONTENT + b"2026-01-02,2\n")  # the file itself may be written
    again = place.work(place.take())
    assert place.archive.locate(again).read_bytes() == CONTENT + b"2026-01-02,2\n"
    assert place.inbox.look("tables").taken == []


def test_a_file_in_a_read_only_folder_stays_and_is_taken_once_per_content(tmp_path: Path) -> None:
    Place(tmp_path / "warm").put()  # what is imported late is not readable to the other user
    with tempfile.TemporaryDirectory(prefix="nika-test-") as name:
        data = Path(name) / "data"
        folder = data / "inbox" / "tables"
        folder.mkdir(parents=True)
        (folder / "sales.csv").write_bytes(CONTENT)
        (folder / "sales.csv").chmod(0o666)
        folder.chmod(0o555)
        Path(name).chmod(0o755)
        if is_root():
            os.chown(data, NOBODY, NOBODY)
        without_privileges(_read_only_scenario, data)
        folder.chmod(0o755)


def test_a_file_that_the_system_will_not_move_within_its_own_file_system_is_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place(tmp_path / "data")
    place.put()

    def read_only(_self: Path, _target: Path) -> Path:
        raise OSError(errno.EROFS, "Read-only file system")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", read_only)
        upload = place.take()
    assert upload.source_fingerprint is not None
    assert place.archive.locate(place.work(upload)).read_bytes() == CONTENT


def test_a_torn_copy_is_kept_only_when_it_is_asked_for(place: Place) -> None:
    source = place.put()
    upload = place.take()
    place.originals.keep_bytes(upload)
    assert place.archive.locate(upload).read_bytes() == CONTENT
    source.unlink()
    place.originals.keep_bytes(place.now(upload))
    assert place.archive.locate(upload).read_bytes() == CONTENT

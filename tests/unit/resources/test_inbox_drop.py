"""Dropping: the file's own name where it is free, companions first, and nobody written over."""

import io
from pathlib import Path

import pytest

from nika_pipelines.intake.states import UploadState
from nika_pipelines.settings import Settings
from resources.inbox import Inbox
from resources.ledger import Ledger
from resources.sidecars import beside


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data=tmp_path / "data", settle_seconds=3600)


@pytest.fixture
def ledger(settings: Settings) -> Ledger:
    return Ledger(settings.data / "ledger.sqlite")


@pytest.fixture
def inbox(settings: Settings, ledger: Ledger) -> Inbox:
    return Inbox(settings, ledger)


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    path = tmp_path / "mine" / "sales.csv"
    path.parent.mkdir()
    path.write_text("a;b\n1;2\n")
    return path


def names_in(inbox: Inbox) -> list[str]:
    return sorted(path.name for path in inbox.folder("tables").iterdir())


def test_companions_come_along_under_the_name_of_their_file(inbox: Inbox, mine: Path) -> None:
    mine.with_name("sales.nika.yaml").write_text('delimiter: ";"\n')
    mine.with_name("sales.csv.analysis.yaml").write_text("x: 1\n")
    inbox.drop(mine, "tables")
    assert names_in(inbox) == ["sales.csv", "sales.csv.analysis.yaml", "sales.nika.yaml"]
    found = beside(inbox.folder("tables") / "sales.csv")
    assert found is not None
    assert found.options().delimiter == ";"


def test_the_companion_is_there_before_the_file(
    inbox: Inbox, mine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import resources.inbox as module

    mine.with_name("sales.nika.yaml").write_text('delimiter: ";"\n')
    seen: list[list[str]] = []
    rename_new = module.rename_new

    def look(source: Path, target: Path) -> None:
        seen.append([name for name in names_in(inbox) if not name.startswith(".")])
        rename_new(source, target)

    monkeypatch.setattr(module, "rename_new", look)
    inbox.drop(mine, "tables")
    assert seen == [["sales.nika.yaml"]]


def test_a_newer_companion_replaces_the_standing_one_once_nobody_may_read_that(
    inbox: Inbox, ledger: Ledger, mine: Path
) -> None:
    mine.with_name("sales.nika.yaml").write_text('delimiter: ";"\n')
    first = inbox.drop(mine, "tables")
    (claimed,) = inbox.look("tables").taken
    mine.with_name("sales.nika.yaml").write_text('delimiter: "|"\n')
    second = inbox.drop(mine, "tables")
    folder = inbox.folder("tables")
    # The first one is claimed and not read yet: its companion has to stay as it was.
    assert Path(second.source_path or "").name == "sales (2).csv"
    assert (folder / "sales.nika.yaml").read_text() == 'delimiter: ";"\n'
    assert (folder / "sales (2).nika.yaml").read_text() == 'delimiter: "|"\n'
    assert second.dataset == first.dataset == "sales"
    for one in (claimed.upload_id, inbox.look("tables").taken[0].upload_id):
        ledger.advance(one, UploadState.REPORT_READY)
    inbox.drop(mine, "tables")
    assert (folder / "sales.nika.yaml").read_text() == 'delimiter: "|"\n'


def test_a_companion_that_is_no_file_stops_the_drop(inbox: Inbox, mine: Path) -> None:
    mine.with_name("sales.nika.yaml").mkdir()
    with pytest.raises(OSError, match="companion"):
        inbox.drop(mine, "tables")
    assert names_in(inbox) == []


def test_a_file_that_appears_under_the_name_just_then_is_not_written_over(
    inbox: Inbox, ledger: Ledger, mine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import resources.inbox as module

    rename_new = module.rename_new
    theirs = inbox.folder("tables") / "sales.csv"

    def race(source: Path, target: Path) -> None:
        if target == theirs and not theirs.exists():
            theirs.write_text("their own copy\n")
        rename_new(source, target)

    monkeypatch.setattr(module, "rename_new", race)
    dropped = inbox.drop(mine, "tables")
    assert theirs.read_text() == "their own copy\n"
    assert names_in(inbox) == ["sales (2).csv", "sales.csv"]
    assert [one.upload_id for one in ledger.uploads()] == [dropped.upload_id]
    assert dropped.original_name == "sales.csv"
    assert [one.upload_id for one in inbox.look("tables").taken] == [dropped.upload_id]


def test_a_drop_that_fails_leaves_nothing_behind(
    inbox: Inbox, ledger: Ledger, mine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_args: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("resources.inbox.rename_new", refuse)
    with pytest.raises(PermissionError):
        inbox.drop(mine, "tables")
    assert names_in(inbox) == []
    assert ledger.uploads() == []


def test_a_source_that_is_written_while_it_is_copied_is_not_processed(
    inbox: Inbox, ledger: Ledger, mine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import resources.archive as module

    fstat, calls = module.os.fstat, []

    def write_meanwhile(descriptor: int) -> object:
        calls.append(descriptor)
        if len(calls) == 2:
            with mine.open("a") as writer:
                writer.write("3;4\n")
        return fstat(descriptor)

    monkeypatch.setattr(module.os, "fstat", write_meanwhile)
    with pytest.raises(OSError, match="writing"):
        inbox.take_copy(mine, "tables", run_id="r")
    monkeypatch.undo()
    assert ledger.uploads() == []
    assert inbox.take_copy(mine, "tables", run_id="r").size_bytes == 12


def test_a_given_file_is_remembered_by_its_whole_path_so_that_its_sidecar_is_found_again(
    inbox: Inbox, mine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(mine.parent)
    assert inbox.take_copy(Path("sales.csv"), "tables", run_id="r").source_path == str(mine)
    link = mine.with_name("link.csv")
    link.symlink_to(mine)
    taken = inbox.take_copy(link, "tables", run_id="r")
    assert (taken.source_path, taken.original_name) == (str(link), "link.csv")


def test_a_file_of_a_tag_folder_keeps_its_tag(inbox: Inbox, mine: Path) -> None:
    inbox.drop(mine, "tables", tag="north")
    (taken,) = inbox.look("tables").taken
    assert (taken.tag, taken.dataset) == ("north", "north/sales")


def test_a_file_that_somebody_is_writing_to_is_not_dropped(
    inbox: Inbox, ledger: Ledger, mine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import resources.inbox as module

    read_once = module.read_once

    class Sink(io.BytesIO):
        """What the copy goes to; while it is written, the original grows."""

        def write(self, chunk: object) -> int:
            with mine.open("a") as file:
                file.write("3;4\n")
            return super().write(chunk)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "read_once", lambda path, _sink: read_once(path, Sink()))
    with pytest.raises(OSError, match="somebody is writing to it"):
        inbox.drop(mine, "tables")
    assert names_in(inbox) == []
    assert ledger.uploads() == []

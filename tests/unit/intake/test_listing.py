"""Listing the inbox: candidates, notices, and surviving whatever lies there."""

import os
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from nika_pipelines.intake.listing import Listing, list_feed
from nika_pipelines.settings import Settings

SETTINGS = Settings()


def look(folder: Path) -> Listing:
    return list_feed(folder, datetime.now(UTC), SETTINGS)


def codes(listing: Listing) -> dict[str, str]:
    return {Path(notice.path).name: notice.code for notice in listing.notices}


def test_files_and_files_one_folder_down_are_candidates(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x\n1\n")
    (tmp_path / "north").mkdir()
    (tmp_path / "north" / "b.csv").write_text("x\n1\n")
    entries = look(tmp_path).entries
    assert [(entry.name, entry.tag) for entry in entries] == [("a.csv", None), ("b.csv", "north")]


def test_deeper_folders_get_a_notice_and_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "north" / "deep").mkdir(parents=True)
    (tmp_path / "north" / "deep" / "c.csv").write_text("x\n")
    listing = look(tmp_path)
    assert listing.entries == []
    assert codes(listing) == {"deep": "TOO_DEEP"}


def test_links_pipes_and_hard_links_get_a_notice(tmp_path: Path) -> None:
    (tmp_path / "real.csv").write_text("x\n1\n")
    (tmp_path / "link.csv").symlink_to("/etc/passwd")
    (tmp_path / "dangling.csv").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "one.csv").write_text("x\n1\n")
    os.link(tmp_path / "one.csv", tmp_path / "two.csv")
    listing = look(tmp_path)
    assert [entry.name for entry in listing.entries] == ["real.csv"]
    assert codes(listing) == {
        "link.csv": "LINK",
        "dangling.csv": "LINK",
        "pipe.csv": "NOT_A_FILE",
        "one.csv": "HARD_LINK",
        "two.csv": "HARD_LINK",
    }


def test_a_linked_folder_is_not_entered(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.csv").write_text("x\n1\n")
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    (inbox / "tag").symlink_to(outside)
    listing = look(inbox)
    assert listing.entries == []
    assert codes(listing) == {"tag": "LINK"}


def test_unfinished_copies_get_a_notice_only_when_they_are_old(tmp_path: Path) -> None:
    fresh, old = tmp_path / "fresh.part", tmp_path / "old.part"
    fresh.write_text("")
    old.write_text("")
    long_ago = time.time() - 25 * 3600
    os.utime(old, (long_ago, long_ago))
    assert codes(look(tmp_path)) == {"old.part": "STALE_PARTIAL"}


def test_names_with_newlines_255_bytes_and_broken_utf8_are_listed(tmp_path: Path) -> None:
    wanted = ["line\nbreak.csv", "x" * 251 + ".csv", os.fsdecode(b"\xff\xfe.csv")]
    for name in wanted:
        (tmp_path / name).write_text("x\n1\n")
    assert sorted(entry.name for entry in look(tmp_path).entries) == sorted(wanted)


def test_sidecars_are_neither_candidates_nor_notices(tmp_path: Path) -> None:
    (tmp_path / "a.nika.yaml").write_text("header: 1\n")
    listing = look(tmp_path)
    assert (listing.entries, listing.notices) == ([], [])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_read_permission_gets_a_notice(tmp_path: Path) -> None:
    (tmp_path / "closed.csv").write_text("x\n1\n")
    (tmp_path / "closed.csv").chmod(0)
    assert codes(look(tmp_path)) == {"closed.csv": "NOT_READABLE"}


def test_a_folder_that_cannot_be_listed_raises_instead_of_looking_empty(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        look(tmp_path / "gone")


def test_an_entry_that_the_system_refuses_to_describe_gets_a_notice_and_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nika_pipelines.intake import listing as module

    class Broken:
        name = "broken.csv"
        path = str(tmp_path / "broken.csv")

        def is_dir(self, *, follow_symlinks: bool) -> bool:
            raise OSError(5, "Input/output error")

    (tmp_path / "north").mkdir()
    for folder in (tmp_path, tmp_path / "north"):
        (folder / "good.csv").write_text("x\n1\n")
    scan = module._scan
    monkeypatch.setattr(module, "_scan", lambda folder: iter([Broken(), *scan(folder)]))

    found = look(tmp_path)

    assert [(entry.name, entry.tag) for entry in found.entries] == [
        ("good.csv", None),
        ("good.csv", "north"),
    ]
    assert [notice.code for notice in found.notices] == ["NOT_READABLE", "NOT_READABLE"]
    assert "Input/output error" in found.notices[0].message

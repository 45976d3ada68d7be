"""Listing the inbox: candidates, notices, and surviving whatever lies there."""

import contextlib
import os
import socket
import stat
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from privileges import without_privileges

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


def _look_at_closed_things(folder: Path) -> None:
    listing = look(folder)
    assert [entry.name for entry in listing.entries] == ["open.csv"]
    assert codes(listing) == {"closed.csv": "NOT_READABLE", "closed": "FOLDER_UNREADABLE"}


def test_files_and_folders_without_read_permission_get_a_notice() -> None:
    with tempfile.TemporaryDirectory(prefix="nika-test-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        for one in ("closed.csv", "open.csv"):
            (folder / one).write_text("x\n1\n")
        (folder / "closed.csv").chmod(0)
        (folder / "closed").mkdir(mode=0)
        without_privileges(_look_at_closed_things, folder)
        (folder / "closed").chmod(0o755)


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


def far_from_now(folder: Path, hours: float) -> Listing:
    return list_feed(folder, datetime.now(UTC) + timedelta(hours=hours), SETTINGS)


def test_a_file_knows_its_companions_by_stem_and_folder(tmp_path: Path) -> None:
    (tmp_path / "north").mkdir()
    for name in ("a.csv", "a.nika.yaml", "a.csv.analysis.yaml", "b.csv", "north/b.nika.yaml"):
        (tmp_path / name).write_text("")
    a, b = look(tmp_path).entries
    assert [name for name, _mark in a.companions] == ["a.nika.yaml", "a.csv.analysis.yaml"]
    assert b.companions == ()
    before = a.fingerprint
    (tmp_path / "a.nika.yaml").write_text("header_rows: 1\n")
    after = look(tmp_path).entries[0]
    assert (after.own_fingerprint, after.fingerprint == before) == (a.own_fingerprint, False)
    assert after.changed_ns == (tmp_path / "a.nika.yaml").stat().st_ctime_ns


def test_a_companion_without_its_file_gets_a_notice_after_a_day(tmp_path: Path) -> None:
    for name in ("a.csv", "a.nika.yaml", "gone.analysis.yaml"):
        (tmp_path / name).write_text("")
    (tmp_path / "north").mkdir()
    (tmp_path / "north" / "a.nika.yaml").write_text("")
    assert codes(far_from_now(tmp_path, 23)) == {}
    found = far_from_now(tmp_path, 25).notices
    assert {(Path(one.path).parent.name, Path(one.path).name) for one in found} == {
        (tmp_path.name, "gone.analysis.yaml"),
        ("north", "a.nika.yaml"),
    }
    assert {one.code for one in found} == {"COMPANION_ALONE"}


def test_a_linked_companion_gets_a_notice_and_still_belongs_to_its_file(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x\n1\n")
    (tmp_path / "a.nika.yaml").symlink_to("/etc/passwd")
    listing = look(tmp_path)
    assert codes(listing) == {"a.nika.yaml": "LINK"}
    assert [name for name, _mark in listing.entries[0].companions] == ["a.nika.yaml"]


def test_sockets_and_devices_get_a_notice(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket.csv"))
        wanted = {"socket.csv": "NOT_A_FILE"}
        if os.geteuid() == 0:
            with contextlib.suppress(PermissionError):  # not every container may make one
                os.mknod(tmp_path / "device.csv", stat.S_IFCHR | 0o600, os.makedev(1, 3))
                wanted["device.csv"] = "NOT_A_FILE"
        listing = look(tmp_path)
    assert listing.entries == []
    assert codes(listing) == wanted


def test_names_that_differ_in_case_or_composition_only_are_files_of_their_own(
    tmp_path: Path,
) -> None:
    wanted = ["Sales.csv", "sales.csv", "caf\u00e9.csv", "cafe\u0301.csv"]
    for name in wanted:
        (tmp_path / name).write_text("x\n1\n")
    if len(list(tmp_path.iterdir())) < len(wanted):
        pytest.skip("this file system takes them for the same name")
    assert sorted(entry.name for entry in look(tmp_path).entries) == sorted(wanted)


def test_a_file_that_vanishes_while_it_is_looked_at_is_nothing_to_tell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nika_pipelines.intake import listing as module

    (tmp_path / "gone.csv").write_text("x\n")
    (tmp_path / "stays.csv").write_text("x\n")
    scan = module._scan

    def scan_and_remove(folder: str) -> list["os.DirEntry[str]"]:
        found = list(scan(folder))
        (tmp_path / "gone.csv").unlink()
        return found

    monkeypatch.setattr(module, "_scan", scan_and_remove)
    listing = look(tmp_path)
    assert ([entry.name for entry in listing.entries], listing.notices) == (["stays.csv"], [])

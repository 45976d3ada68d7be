"""Leftovers of killed processes go; whatever may be in use stays."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from resources import leftovers
from resources.leftovers import LeftoverSweep, remove_leftovers

HOURS = 3600.0


def put(path: Path, age: float = 0.0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x")
    moment = time.time() - age
    os.utime(path, (moment, moment))
    os.utime(path.parent, (moment, moment))
    return path


@pytest.fixture
def dead() -> int:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def test_what_a_dead_process_left_goes_after_a_while(tmp_path: Path, dead: int) -> None:
    spill = put(tmp_path / f"spill-{dead}" / "block.tmp", age=HOURS).parent
    fresh = put(tmp_path / f"spill-{dead}0000" / "block.tmp").parent
    mine = put(tmp_path / f"spill-{os.getpid()}" / "block.tmp", age=HOURS).parent
    draft = put(tmp_path / f".nika-drop-{dead}-sales.part", age=HOURS)
    assert set(remove_leftovers([spill, fresh, mine, draft])) == {spill, draft}
    assert (spill.exists(), fresh.exists(), mine.exists()) == (False, True, True)


def test_drafts_without_an_owner_go_once_nobody_has_touched_them_for_long(tmp_path: Path) -> None:
    data = tmp_path
    old = put(data / "lake" / "tables" / ".u1.part" / "table.parquet", age=7 * HOURS).parent
    in_work = put(data / "lake" / "tables" / ".u2.part" / "table.parquet", age=7 * HOURS).parent
    put(in_work / "rejects.parquet")
    published = put(data / "lake" / "tables" / "u3" / "table.parquet", age=7 * HOURS).parent
    copy = put(data / "tmp" / "u4.part", age=7 * HOURS)
    theirs = put(data / "inbox" / "tables" / "theirs.part", age=7 * HOURS)
    # An original on its way out: it may have been replaced just then, so it is not ours to remove.
    aside = put(data / "inbox" / "tables" / ".nika-2024-05-x.part", age=7 * HOURS)
    dropped = put(data / "inbox" / "tables" / ".nika-drop-1-x.part", age=7 * HOURS)
    assert set(LeftoverSweep(data).run_when_due()) == {old, copy, dropped}
    assert all(one.exists() for one in (in_work, published, theirs, aside))


def test_a_sweep_is_not_made_at_every_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = LeftoverSweep(tmp_path)
    assert sweep.run_when_due() == []
    copy = put(tmp_path / "tmp" / "u4.part", age=7 * HOURS)
    assert sweep.run_when_due() == []
    now = time.monotonic()
    monkeypatch.setattr(leftovers.time, "monotonic", lambda: now + 2 * HOURS)
    assert sweep.run_when_due() == [copy]


def test_a_link_among_the_leftovers_is_removed_and_not_followed(tmp_path: Path) -> None:
    kept = put(tmp_path / "kept" / "file", age=7 * HOURS)
    link = tmp_path / "tmp" / "link.part"
    link.parent.mkdir()
    link.symlink_to(kept.parent)
    old = time.time() - 7 * HOURS
    os.utime(link, (old, old), follow_symlinks=False)
    assert remove_leftovers([link]) == [link]
    assert kept.exists()

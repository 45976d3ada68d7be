"""Run locks: freed by the kernel on any death, and the file tells that a worker was there."""

import subprocess
import sys
from pathlib import Path

from resources.run_locks import RunLocks

HOLDER = """
import sys
from pathlib import Path
from resources.run_locks import RunLocks
with RunLocks(Path(sys.argv[1])).hold("r"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_killed_holder_leaves_a_free_lock(tmp_path: Path) -> None:
    locks = RunLocks(tmp_path)
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[3],
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        assert locks.held() == {"r"}
        holder.kill()
    assert locks.held() == frozenset()
    assert locks.taken() == ["r"]
    assert locks.died("r")


def test_a_lock_that_was_given_back_was_released_just_now(tmp_path: Path) -> None:
    locks = RunLocks(tmp_path)
    with locks.hold("r"):
        assert locks.is_held("r")
    assert not locks.is_held("r")
    assert not locks.died("r")
    assert locks.released_for("r") < 5
    locks.clear("r")
    assert locks.taken() == []

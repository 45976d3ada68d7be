"""The real `nika` command, run and measured from outside."""

import json
import os
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NIKA = Path(sys.executable).with_name("nika")
_RSS_UNIT = 1 if sys.platform == "darwin" else 1024


@dataclass(frozen=True)
class Usage:
    """What one command used, its children included."""

    exit_code: int
    wall_s: float
    cpu_s: float
    peak_rss_mb: float


def environment(data: Path, **settings: object) -> dict[str, str]:
    """The environment of a command that works in this data folder."""
    chosen = {f"NIKA_{name.upper()}": str(value) for name, value in settings.items()}
    return {**os.environ, "NIKA_DATA": str(data), **chosen}


def measured(arguments: list[str], data: Path, log: Path) -> Usage:
    """Run `nika` to its end.

    The peak is the largest of any one process, as the kernel counts it.
    """
    started = time.monotonic()
    with log.open("ab") as stream:
        process = subprocess.Popen(
            [NIKA, *arguments], env=environment(data), stdout=stream, stderr=stream
        )
        _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return Usage(process.returncode, time.monotonic() - started, _cpu(used), _peak(used))


def answer(arguments: list[str], data: Path) -> tuple[int, Any]:
    """Run `nika ... --json` and return its exit code and its document."""
    done = subprocess.run(
        [NIKA, *arguments, "--json"], env=environment(data), stdout=subprocess.PIPE, check=False
    )
    return done.returncode, json.loads(done.stdout)


def _cpu(used: resource.struct_rusage) -> float:
    return used.ru_utime + used.ru_stime


def _peak(used: resource.struct_rusage) -> float:
    return used.ru_maxrss * _RSS_UNIT / 1e6

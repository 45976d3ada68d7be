"""From a 1,000-row CSV in the inbox of an idle `nika up` to its PDF."""

import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from commands import NIKA, environment
from figures import Figure, measured_and_told, median_of
from service import Service, running
from tables import write_table

ROWS = 1_000
RUNS = 5
_PATIENCE_S = 60
_REST_S = 3


def measure(work: Path) -> list[Figure]:
    """Five files through `nika drop`, five copied in, one after the other."""
    with running(work) as service:
        _time_to_pdf(service, work, "warm-up", 0, _drop)
        dropped = [
            _time_to_pdf(service, work, f"dropped-{run}", 10 + run, _drop) for run in range(RUNS)
        ]
        copied = [
            _time_to_pdf(service, work, f"copied-{run}", 20 + run, _copy) for run in range(RUNS)
        ]
    return [
        median_of("nika drop to PDF, 1,000 rows", dropped, "s", 9),
        median_of("cp to PDF, 1,000 rows", copied, "s", 11),
    ]


def _time_to_pdf(
    service: Service, work: Path, name: str, seed: int, give: Callable[[Service, Path], None]
) -> float:
    """Seconds from the start of the command to the finished PDF."""
    table = write_table(work / f"{name}.csv", ROWS, seed)
    before = len(service.reports())
    time.sleep(_REST_S + seed % 3 * 0.7)  # idle again, and not in step with the looks at the inbox
    started = time.monotonic()
    give(service, table)
    service.wait_for_reports(before + 1, _PATIENCE_S)
    return time.monotonic() - started


def _drop(service: Service, table: Path) -> None:
    subprocess.run(
        [NIKA, "drop", table],
        env=environment(service.data),
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _copy(service: Service, table: Path) -> None:
    shutil.copyfile(table, service.inbox / table.name)


if __name__ == "__main__":
    sys.exit(measured_and_told(measure))

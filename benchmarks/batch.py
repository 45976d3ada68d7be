"""200 files of 1,000 rows at once: time, memory of the whole tree, errors, balance."""

import re
import shutil
import sys
import time
from pathlib import Path

from commands import answer
from figures import Figure, measured_and_told
from service import PeakMemory, Service, running
from tables import write_table

FILES = 200
ROWS = 1_000
_PATIENCE_S = 300
_LOCK_ERROR = re.compile(
    rb"database is locked|could not set lock|conflicting lock|lock.*(?:error|exception)",
    flags=re.IGNORECASE,
)
_LOGS = (".log", ".out", ".err")


def measure(work: Path) -> list[Figure]:
    """Copy all in as fast as the disk allows; the clock starts with the first copy."""
    source = work / "source"
    source.mkdir()
    tables = [write_table(source / f"plant-{n:03}.csv", ROWS, 1_000 + n) for n in range(FILES)]
    with running(work) as service:
        write_table(service.inbox / "warm-up.csv", ROWS, 1)
        service.wait_for_reports(1, _PATIENCE_S)
        time.sleep(3)
        with PeakMemory(service.process) as memory:
            first, last = _process(service, tables)
        time.sleep(5)
        doctor_exit, _ = answer(["doctor"], service.data)
        _, failed = answer(["list", "--state", "failed"], service.data)
    return [
        Figure("200 files to all PDFs", last, "s", 90),
        Figure("200 files to the first PDF", first, "s", 15),
        Figure("200 files, whole process tree (PSS)", memory.pss_mb, "MB", 1_600),
        Figure("200 files, whole process tree (RSS, shared pages repeated)", memory.rss_mb, "MB"),
        Figure("200 files, processes at most", memory.processes, "processes"),
        Figure("200 files, lock errors in logs", _lock_errors(service), "lines", 0),
        Figure("200 files, failed uploads", len(failed), "uploads", 0),
        Figure("200 files, exit code of `nika doctor`", doctor_exit, "code", 0),
    ]


def _process(service: Service, tables: list[Path]) -> tuple[float, float]:
    """Seconds to the first and to the last PDF."""
    before = len(service.reports())
    started = time.monotonic()
    for table in tables:
        shutil.copyfile(table, service.inbox / table.name)
    service.wait_for_reports(before + 1, _PATIENCE_S)
    first = time.monotonic() - started
    service.wait_for_reports(before + len(tables), _PATIENCE_S)
    return first, time.monotonic() - started


def _lock_errors(service: Service) -> int:
    logs = [path for path in service.data.rglob("*") if path.suffix in _LOGS and path.is_file()]
    return sum(
        1
        for log in [service.log, *logs]
        for line in log.read_bytes().splitlines()
        if _LOCK_ERROR.search(line)
    )


if __name__ == "__main__":
    sys.exit(measured_and_told(measure))

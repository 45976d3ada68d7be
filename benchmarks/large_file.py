"""A CSV of 100 MB and 1 M rows through `nika run`: peak memory of the worker."""

import sys
from pathlib import Path

from commands import measured
from figures import Figure, measured_and_told
from tables import write_wide_table

ROWS = 1_000_000


def measure(work: Path) -> list[Figure]:
    """One file, once."""
    table = write_wide_table(work / "large.csv", ROWS, 7)
    usage = measured(["run", str(table)], work / "data", work / "run.log")
    if usage.exit_code != 0:
        raise RuntimeError((work / "run.log").read_text(errors="replace")[-2000:])
    return [
        Figure("1 M rows, size of the file", table.stat().st_size / 1e6, "MB"),
        Figure("1 M rows, worker's peak memory", usage.peak_rss_mb, "MB", 512),
        Figure("1 M rows, processor time", usage.cpu_s, "CPU s"),
        Figure("1 M rows, wall time", usage.wall_s, "s"),
    ]


if __name__ == "__main__":
    sys.exit(measured_and_told(measure))

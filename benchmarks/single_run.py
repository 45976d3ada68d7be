"""`nika run` of one 1,000-row file: processor time from start to exit, children included."""

import sys
from pathlib import Path

from commands import measured
from figures import Figure, measured_and_told, median_of
from tables import write_table

ROWS = 1_000
RUNS = 5


def measure(work: Path) -> list[Figure]:
    """Five different files, one command each, in one data folder."""
    usages = []
    for run in range(RUNS):
        table = write_table(work / f"single-{run}.csv", ROWS, 100 + run)
        usage = measured(["run", str(table)], work / "data", work / "run.log")
        if usage.exit_code != 0:
            raise RuntimeError((work / "run.log").read_text(errors="replace")[-2000:])
        usages.append(usage)
    return [
        median_of("nika run, 1,000 rows", [usage.cpu_s for usage in usages], "CPU s", 7),
        Figure("nika run, 1,000 rows, wall time", min(usage.wall_s for usage in usages), "s"),
    ]


if __name__ == "__main__":
    sys.exit(measured_and_told(measure))

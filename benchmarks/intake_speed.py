"""Intake of a clean CSV of 100 MB beside DuckDB's own way from CSV to Parquet, in the same run.

Processor time of the stages `raw_upload` and `validated_table`, hashing, archiving and imports
included, as `nika run` calls them; DuckDB's is that of ``COPY (FROM read_csv(..)) TO ..``. Each
runs in a process of its own, in turns, and the start of the process counts for neither.
"""

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

from commands import environment
from figures import Figure, measured_and_told
from tables import write_wide_table

ROWS = 1_000_000
RUNS = 3
_SIDES = ("nika", "duckdb")


def measure(work: Path) -> list[Figure]:
    """Three turns of both."""
    table = write_wide_table(work / "clean.csv", ROWS, 11)
    turns: dict[str, list[dict[str, float]]] = {side: [] for side in _SIDES}
    for turn in range(RUNS):
        for side in _SIDES:
            folder = work / f"{side}-{turn}"
            folder.mkdir()
            turns[side].append(_in_a_process(side, table, folder))
    intake, reference = ([round(one["cpu_s"], 3) for one in turns[side]] for side in _SIDES)
    wall = {side: median(one["wall_s"] for one in turns[side]) for side in _SIDES}
    peak = max(one["peak_rss_mb"] for one in turns["nika"])
    return [
        Figure("intake of 100 MB, size of the file", table.stat().st_size / 1e6, "MB"),
        Figure("intake of 100 MB, processor time", median(intake), "CPU s", samples=intake),
        Figure("DuckDB's CSV to Parquet", median(reference), "CPU s", samples=reference),
        Figure(
            "intake of 100 MB, processor time beside DuckDB's",
            median(intake) / median(reference),
            "times",
            1.35,
        ),
        Figure("intake of 100 MB, wall time", wall["nika"], "s"),
        Figure("DuckDB's CSV to Parquet, wall time", wall["duckdb"], "s"),
        Figure("intake of 100 MB, peak memory of the worker", peak, "MB", 400),
    ]


def _in_a_process(side: str, table: Path, folder: Path) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, __file__, "--side", side, str(table), str(folder)],
        env=environment(folder / "data"),
        stdout=subprocess.PIPE,
        check=True,
    )
    measured: dict[str, float] = json.loads(done.stdout)
    return measured


def _one_side(side: str, table: Path, folder: Path) -> None:
    used = _through_intake(table) if side == "nika" else _through_duckdb(table, folder)
    # In KB on Linux, in bytes on macOS.
    unit = 1 if sys.platform == "darwin" else 1_024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
    print(json.dumps({**used, "peak_rss_mb": peak}))


def _through_intake(table: Path) -> dict[str, float]:
    """The first two stages, as the loop of a run calls them."""
    from assets.stages import StageInput
    from assets.tables import TABLES_CHAIN
    from nika_pipelines.settings import load_settings
    from resources.workspace import open_workspace

    with open_workspace(load_settings()) as workspace:
        upload = workspace.inbox.take_copy(table, "tables", "measured")
        clock = _Clock()
        for stage in TABLES_CHAIN.stages[:2]:
            known = workspace.ledger.get(upload.upload_id)
            assert known is not None
            stage.run(StageInput(known, workspace, "measured", {}))
        return clock.told()


def _through_duckdb(table: Path, folder: Path) -> dict[str, float]:
    import duckdb

    with duckdb.connect() as con:
        clock = _Clock()
        con.execute(f"COPY (FROM read_csv('{table}')) TO '{folder / 'table.parquet'}'")
        return clock.told()


class _Clock:
    """Processor and wall time from here on, children included."""

    def __init__(self) -> None:
        self._cpu, self._wall = _cpu_seconds(), time.perf_counter()

    def told(self) -> dict[str, float]:
        return {
            "cpu_s": _cpu_seconds() - self._cpu,
            "wall_s": time.perf_counter() - self._wall,
        }


def _cpu_seconds() -> float:
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def main(arguments: list[str]) -> Any:
    """Measure both sides, or be the process of one."""
    if arguments[:1] == ["--side"]:
        _one_side(arguments[1], Path(arguments[2]), Path(arguments[3]))
        return 0
    return measured_and_told(measure)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

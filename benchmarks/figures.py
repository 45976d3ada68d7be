"""Measured figures beside the bars that they have to hold, and the document they are told in."""

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

PACKAGES = ("nika-pipelines", "dagster", "duckdb", "pandas", "reportlab")


@dataclass(frozen=True)
class Figure:
    """A measured value; smaller is better for all that have a bar."""

    name: str
    value: float
    unit: str
    bar: float | None = None
    samples: Sequence[float] = field(default_factory=tuple)

    def as_json(self) -> dict[str, Any]:
        """The figure as plain values, with whether it holds its bar (null without one)."""
        holds = None if self.bar is None else self.value <= self.bar
        return {**asdict(self), "value": round(self.value, 3), "holds": holds}


def median_of(name: str, samples: Sequence[float], unit: str, bar: float) -> Figure:
    """The median of several runs, with every one of them beside it."""
    rounded = tuple(round(sample, 3) for sample in samples)
    return Figure(name, median(samples), unit, bar, rounded)


def document_of(figures: Sequence[Figure], details: Any = None) -> dict[str, Any]:
    """What every benchmark prints: the machine, the figures, and what only this one has to say."""
    return {
        "schema_version": 1,
        "machine": _machine(),
        "figures": [figure.as_json() for figure in figures],
        "details": details,
    }


def measured_and_told(measure: Callable[[Path], list[Figure]]) -> int:
    """Measure in a temporary folder and print the document; 1 when a bar is missed.

    Each benchmark works in a data folder of its own and on free ports, so a running `nika up` of
    yours is not touched, but it should be idle: the figures are of this machine with nothing else
    to do.
    """
    # It takes no options, but `--help` works and a slip of the keyboard is told.
    told = sys.modules[measure.__module__].__doc__
    argparse.ArgumentParser(description=told).parse_args()
    with tempfile.TemporaryDirectory(prefix="nika-bench-") as work:
        figures = measure(Path(work))
    print(json.dumps(document_of(figures), indent=1))
    return int(any(figure.as_json()["holds"] is False for figure in figures))


def _machine() -> dict[str, Any]:
    import psutil

    return {
        "measured_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "load": round(os.getloadavg()[0], 2),
        "system": f"{platform.system()} {platform.machine()}",
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in PACKAGES},
        },
    }

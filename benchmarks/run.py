"""Measure every bar of the project with the real command; print one JSON document.

Give names of measurements to run only these: ``python benchmarks/run.py latency batch``. Each works
in a temporary data folder on free ports, so a running `nika up` of yours is not touched, but it
should be idle: the figures are of this machine with nothing else to do.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

import batch
import large_file
import latency
import single_run

MEASUREMENTS = {
    "single_run": single_run.measure,
    "large_file": large_file.measure,
    "latency": latency.measure,
    "batch": batch.measure,
}
PACKAGES = ("nika-pipelines", "dagster", "duckdb", "pandas", "reportlab")


def main() -> int:
    """Run what was asked for; exit code 1 when a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*MEASUREMENTS, []], metavar="NAME")
    names = parser.parse_args().names or list(MEASUREMENTS)
    document: dict[str, Any] = {"schema_version": 1, "machine": _machine(), "figures": []}
    for name in names:
        print(f"Measuring {name}", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory(prefix="nika-bench-") as work:
            figures = [figure.as_json() for figure in MEASUREMENTS[name](Path(work))]
        document["figures"] += figures
    print(json.dumps(document, indent=1))
    return int(any(figure["holds"] is False for figure in document["figures"]))


def _machine() -> dict[str, Any]:
    return {
        "measured_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "load_before": round(os.getloadavg()[0], 2),
        "system": f"{platform.system()} {platform.machine()}",
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in PACKAGES},
        },
    }


if __name__ == "__main__":
    sys.exit(main())

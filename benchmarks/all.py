"""Every benchmark with a bar, one after the other; one document with all their figures.

This is `make bench`. Give names to run only these: ``nika bench all latency batch``. The machine
should have nothing else to do.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

BENCHMARKS: dict[str, tuple[str, ...]] = {
    "single_run": (),
    "large_file": (),
    "intake_speed": (),
    "latency": (),
    "batch": (),
    "fuzz": ("--files", "2000"),
}


def main() -> int:
    """Run what was asked for; exit code 1 when one failed or missed its bar."""
    parser = argparse.ArgumentParser(prog="nika bench all", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*BENCHMARKS, []], metavar="NAME")
    names = parser.parse_args().names or list(BENCHMARKS)
    document: dict[str, object] = {"schema_version": 1, "figures": [], "details": {}, "failed": []}
    for name in names:
        print(f"Measuring {name}", file=sys.stderr, flush=True)
        program = Path(__file__).with_name(f"{name}.py")
        done = subprocess.run(
            [sys.executable, program, *BENCHMARKS[name]], stdout=subprocess.PIPE, check=False
        )
        _add(document, name, done.returncode, done.stdout)
    print(json.dumps(document, indent=1))
    return int(bool(document["failed"]))


def _add(document: dict[str, object], name: str, exit_code: int, stdout: bytes) -> None:
    """Join the document of one benchmark to that of all; one that broke off has none."""
    figures, details, failed = document["figures"], document["details"], document["failed"]
    assert isinstance(figures, list)
    assert isinstance(details, dict)
    assert isinstance(failed, list)
    if exit_code != 0:
        failed.append(name)
    if not stdout:
        return
    told = json.loads(stdout)
    document.setdefault("machine", told["machine"])
    figures += told["figures"]
    if told["details"] is not None:
        details[name] = told["details"]


if __name__ == "__main__":
    sys.exit(main())

"""Mutated files through intake: every one ends in a table that adds up or in a known code.

    nika bench fuzz --files 100000 --seed 1 --jobs 2 --keep findings

Case and outcome depend on seed and number only. Prints JSON; exit code 1 after a crash, a hang or
a broken promise. Such cases are kept with their input, and `--replay FOLDER` runs one again.
"""

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from figures import Figure, document_of
from fuzz_cases import Case, draw_case
from fuzz_checks import CaseRunner, Ending
from fuzz_seeds import Seed, SeedPool, seed_pool
from fuzz_workers import HANG_SECONDS, Finished, WorkerPool

SLOWEST = 5
_MOST_KEPT = 200


@dataclass
class Tally:
    """What was seen so far."""

    outcomes: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    groups: dict[str, list[int]] = field(default_factory=dict)
    slowest: list[tuple[float, int]] = field(default_factory=list)
    rows_rejected: int = 0
    peak_rss_mb: float = 0.0

    def add(self, finished: Finished) -> None:
        """Count one case."""
        ending = finished.ending
        self.outcomes[ending.outcome] += 1
        self.rows_rejected += ending.rejects
        self.peak_rss_mb = max(self.peak_rss_mb, finished.peak_rss_mb)
        if ending.outcome == "refused":
            self.codes[str(ending.code)] += 1
        elif ending.outcome != "accepted":
            self.groups.setdefault(f"{ending.code}: {ending.gist}", []).append(ending.number)
        self.slowest = sorted([*self.slowest, (finished.seconds, ending.number)])[-SLOWEST:]

    @property
    def files(self) -> int:
        """How many cases have ended."""
        return self.outcomes.total()


def main() -> int:
    """Run the cases asked for and print one document."""
    asked = _arguments()
    if asked.replay is not None:
        return _replay(asked.replay)
    pool = seed_pool()
    keep = asked.keep or Path(tempfile.gettempdir()) / f"nika-fuzz-{asked.seed}"
    numbers = [asked.only] if asked.only else list(range(1, asked.files + 1))
    tally, started = Tally(), time.monotonic()
    seconds = None if asked.minutes is None else 60 * asked.minutes
    for finished in WorkerPool(asked.jobs, asked.seed).run(numbers, seconds):
        tally.add(finished)
        if finished.ending.outcome in ("crash", "hang"):
            _report(finished.ending, draw_case(pool, asked.seed, finished.ending.number), keep)
        if tally.files % 1_000 == 0:
            _tell(f"{tally.files:,} files, {dict(tally.outcomes)}")
    print(json.dumps(_document(tally, pool, asked, time.monotonic() - started, keep), indent=1))
    return int(bool(tally.groups))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="nika bench fuzz", description=__doc__.split("\n\n")[0])
    parser.add_argument("--files", type=int, default=2_000, help="cases to run")
    parser.add_argument("--seed", type=int, default=1, help="of the mutations")
    parser.add_argument("--jobs", type=int, default=2, help="processes at once")
    parser.add_argument("--minutes", type=float, help="begin nothing new after so long")
    parser.add_argument("--keep", type=Path, help="folder for the inputs of failures")
    parser.add_argument("--only", type=int, metavar="N", help="run the case of this number alone")
    parser.add_argument("--replay", type=Path, metavar="FOLDER", help="run a kept case again")
    return parser.parse_args()


def _document(
    tally: Tally, pool: SeedPool, asked: argparse.Namespace, seconds: float, keep: Path
) -> dict[str, Any]:
    figures = [
        Figure("fuzz, files", tally.files, "files"),
        Figure("fuzz, crashes and broken promises", tally.outcomes["crash"], "files", 0),
        Figure(f"fuzz, hangs over {HANG_SECONDS:.0f} s", tally.outcomes["hang"], "files", 0),
        Figure("fuzz, rate", tally.files / max(seconds, 0.001), "files/s"),
    ]
    details = {
        "seed": asked.seed,
        "seeds_in_pool": len(pool.quick) + len(pool.workbooks),
        "seconds": round(seconds, 1),
        "outcomes": dict(tally.outcomes),
        "refusals_by_code": dict(tally.codes.most_common()),
        "rows_rejected": tally.rows_rejected,
        "worker_peak_rss_mb": round(tally.peak_rss_mb, 1),
        "failures": [
            {"what": what, "files": len(cases), "cases": sorted(cases)[:10]}
            for what, cases in sorted(tally.groups.items(), key=lambda one: -len(one[1]))
        ],
        "slowest": [
            {"case": number, "seconds": round(taken, 2), "story": _story(pool, asked.seed, number)}
            for taken, number in reversed(tally.slowest)
        ],
        "kept_in": str(keep) if tally.groups else None,
    }
    return document_of(figures, details)


def _story(pool: SeedPool, run_seed: int, number: int) -> str:
    return "; ".join(draw_case(pool, run_seed, number).story)


# Keeping and repeating failures


def _report(ending: Ending, case: Case, keep: Path) -> None:
    """Keep a failing case and say how to see it again."""
    folder = keep / str(case.number)
    _tell(f"case {case.number}: {ending.outcome}, {ending.code}: {ending.gist}")
    if keep.is_dir() and len(list(keep.iterdir())) >= _MOST_KEPT and not folder.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    facts = {
        "number": case.number,
        "filename": case.filename,
        "way": case.way,
        "contract": case.contract,
        "contract_seed": case.contract_seed,
        "origin": case.origin.name,
        "story": case.story,
        "ending": asdict(ending),
    }
    (folder / "input").write_bytes(case.content)
    (folder / "origin").write_bytes(case.origin.content)
    if case.sidecar is not None:
        (folder / "sidecar.yaml").write_bytes(case.sidecar)
    (folder / "case.json").write_text(json.dumps(facts, indent=1), "utf-8")
    _tell(f"  nika bench fuzz --replay {folder}")


def _replay(folder: Path) -> int:
    """Run a kept case in this process and print how it ends now."""
    facts = json.loads((folder / "case.json").read_text("utf-8"))
    sidecar = folder / "sidecar.yaml"
    case = Case(
        number=facts["number"],
        filename=facts["filename"],
        content=(folder / "input").read_bytes(),
        way=facts["way"],
        contract=facts["contract"],
        origin=Seed(facts["origin"], (folder / "origin").read_bytes()),
        sidecar=sidecar.read_bytes() if sidecar.exists() else None,
        contract_seed=facts["contract_seed"],
        story=facts["story"],
    )
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as work:
        ending = CaseRunner(Path(work)).run(case)
    _tell(f"{ending.outcome} in {time.monotonic() - started:.1f} s; {'; '.join(case.story)}")
    if ending.trace:
        _tell(ending.trace)
    print(json.dumps(asdict(ending), indent=1))
    return int(ending.outcome == "crash")


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())

"""The fuzzer itself, a fixed part of its cases, and what it has found once."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from nika_pipelines.intake.masking import masked_text

BENCHMARKS = Path(__file__).resolve().parents[3] / "benchmarks"
FILES = 500


def fuzz(*arguments: object) -> tuple[int, Any, str]:
    done = subprocess.run(
        [sys.executable, BENCHMARKS / "fuzz.py", *map(str, arguments)],
        capture_output=True,
        check=False,
    )
    return done.returncode, json.loads(done.stdout or "null"), done.stderr.decode()


@pytest.mark.timeout(400)
def test_mutated_files_end_in_a_table_that_adds_up_or_in_a_known_code(tmp_path: Path) -> None:
    exit_code, document, told = fuzz("--files", FILES, "--seed", 2, "--keep", tmp_path)
    details = document["details"]
    assert details["failures"] == [], told
    assert exit_code == 0
    assert sum(details["outcomes"].values()) == FILES
    # The cases are neither all refused at the door nor all harmless.
    assert details["outcomes"]["accepted"] > FILES / 5
    assert len(details["refusals_by_code"]) > 5
    assert details["rows_rejected"] > 0


def test_a_case_depends_on_seed_and_number_alone() -> None:
    script = (
        f"import sys; sys.path.insert(0, {str(BENCHMARKS)!r})\n"
        "from fuzz_cases import draw_case\nfrom fuzz_seeds import seed_pool\n"
        "from hashlib import sha256\npool, cases = seed_pool(), {}\n"
        "for number in (int(one) for one in sys.argv[1:]):\n"
        "    case = draw_case(pool, 3, number)\n"
        "    cases[number] = sha256(repr(case).encode()).hexdigest()\n"
        "print(sorted(cases.items()))\n"
    )
    first, second = (
        subprocess.run(
            [sys.executable, "-c", script, *numbers], capture_output=True, check=True
        ).stdout
        for numbers in (["5", "17", "90"], ["90", "5", "17"])
    )
    assert first == second


def run_with(tmp_path: Path, planted: str, *arguments: object) -> tuple[int, Any, str]:
    """The fuzzer with something wrong in intake, in its workers only."""
    (tmp_path / "sitecustomize.py").write_text(
        "import os, time\n"
        "from nika_pipelines.intake import take_in as module\n"
        "count = 0\n"
        "def broken(*_args, **_options):\n"
        "    global count\n"
        "    count += 1\n"
        f"    {planted}\n"
        "    raise module.UploadRejected('NOT_TEXT', 'no table')\n"
        "module.take_in = module.inspect = broken\n"
    )
    done = subprocess.run(
        [sys.executable, BENCHMARKS / "fuzz.py", *map(str, arguments)],
        env={"PYTHONPATH": f"{tmp_path}", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        check=False,
    )
    return done.returncode, json.loads(done.stdout or "null"), done.stderr.decode()


def test_an_error_of_intake_is_a_crash_with_its_input_kept(tmp_path: Path) -> None:
    keep = tmp_path / "keep"
    exit_code, document, told = run_with(
        tmp_path, "1 / 0", "--files", 3, "--jobs", 1, "--keep", keep
    )
    assert exit_code == 1
    assert document["details"]["outcomes"] == {"crash": 3}
    assert document["details"]["failures"][0]["files"] == 3
    assert f"nika bench fuzz --replay {keep / '1'}" in told
    assert (keep / "1" / "input").exists()
    assert (
        "ZeroDivisionError" in json.loads((keep / "1" / "case.json").read_text())["ending"]["code"]
    )


def test_a_worker_that_dies_takes_one_case_with_it(tmp_path: Path) -> None:
    # Ended by a signal, as native code does it; the next worker goes on, and dies in its turn.
    exit_code, document, _ = run_with(
        tmp_path, "os.abort() if count == 2 else None", "--files", 5, "--jobs", 1,
        "--keep", tmp_path / "keep",
    )  # fmt: skip
    assert exit_code == 1
    assert sum(document["details"]["outcomes"].values()) == 5
    assert 1 <= document["details"]["outcomes"]["crash"] < 5
    assert "-6" in document["details"]["failures"][0]["what"]


def test_a_kept_case_can_be_run_again(tmp_path: Path) -> None:
    run_with(tmp_path, "1 / 0", "--only", 7, "--jobs", 1, "--keep", tmp_path / "keep")
    exit_code, ending, _ = fuzz("--replay", tmp_path / "keep" / "7")
    assert exit_code == 0
    assert ending["outcome"] in ("accepted", "refused")


def test_a_very_long_cell_is_masked_in_an_instant() -> None:
    started = time.process_time()
    assert masked_text("x" * 900_000) == "x" * 900_000
    assert "***" in masked_text("write to " + "y" * 1_000 + "@example.org")
    assert time.process_time() - started < 2

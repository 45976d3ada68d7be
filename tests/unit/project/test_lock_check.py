"""The check of the lock finds what would make an installation differ from machine to machine."""

import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
CHECK = runpy.run_path(str(ROOT / "scripts" / "check_lock.py"))

HASH = "    --hash=sha256:" + "0" * 64
GOOD = f"duckdb==2.0.0 \\\n{HASH}\n    # via nika-pipelines\n"


def test_the_committed_lock_passes() -> None:
    assert CHECK["main"]() == 0


@pytest.mark.parametrize(
    "line",
    [
        "--index-url https://packages.example/simple",
        "--find-links /srv/wheels",
        "tool @ https://packages.example/tool.whl",
        "./vendored/tool.whl",
    ],
)
def test_an_index_an_address_or_a_path_is_found(line: str) -> None:
    assert CHECK["_foreign_lines"](GOOD) == []
    assert len(CHECK["_foreign_lines"](f"{GOOD}{line}\n")) == 1


def test_a_package_without_a_hash_is_found() -> None:
    assert CHECK["_without_hashes"](GOOD) == []
    assert CHECK["_without_hashes"](f"{GOOD}rich==14.0.0\n") == ["no hash: rich==14.0.0"]


@pytest.mark.parametrize(
    "requirement, is_met",
    [
        ("duckdb>=2.0,<3", True),
        ("DuckDB", True),
        ("duckdb>=3", False),
        ("pandas", False),
    ],
)
def test_a_requirement_that_the_lock_does_not_meet_is_found(requirement: str, is_met: bool) -> None:
    from packaging.requirements import Requirement

    unmet = CHECK["_unmet"]([Requirement(requirement)], CHECK["_pins"](GOOD))
    assert (unmet == []) == is_met

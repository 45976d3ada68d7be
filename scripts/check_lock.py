"""Check `requirements.lock` without a network.

Every requirement of `pyproject.toml` must be there in a version that fits, every package must carry
hashes, and no line may name a package index, an address or a path.
"""

import re
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]


def main() -> int:
    """Print what is wrong with the lock; exit code 1 if anything is."""
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    problems = [
        *_foreign_lines(lock),
        *_without_hashes(lock),
        *_unmet([Requirement(text) for text in wanted], _pins(lock)),
    ]
    for problem in problems:
        print(problem)
    if problems:
        print("Run: make lock")
    return int(bool(problems))


def _pins(lock: str) -> dict[str, list[str]]:
    """The locked versions of each package; several when they differ by system."""
    pins: dict[str, list[str]] = {}
    for name, version in re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", lock, flags=re.MULTILINE):
        pins.setdefault(canonicalize_name(name), []).append(version)
    return pins


def _foreign_lines(lock: str) -> list[str]:
    return [
        f"line {number} names an index, an address or a path: {line[:80]}"
        for number, line in enumerate(lock.splitlines(), start=1)
        if "://" in line or " @ " in line or line.startswith(("-", "/", "."))
    ]


def _without_hashes(lock: str) -> list[str]:
    entries = re.split(r"^(?=[A-Za-z0-9])", lock, flags=re.MULTILINE)[1:]
    return [
        f"no hash: {entry.splitlines()[0]}" for entry in entries if "--hash=sha256:" not in entry
    ]


def _unmet(requirements: list[Requirement], pins: dict[str, list[str]]) -> list[str]:
    return [
        f"pyproject.toml asks for '{requirement}', the lock has {found or 'nothing'}"
        for requirement in requirements
        if not (found := pins.get(canonicalize_name(requirement.name), []))
        or not all(requirement.specifier.contains(version) for version in found)
    ]


if __name__ == "__main__":
    sys.exit(main())

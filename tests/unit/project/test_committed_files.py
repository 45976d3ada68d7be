"""Nothing committed belongs to one machine: no paths of it, no package index."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]

# Written with classes so that this file does not find itself.
FOREIGN = re.compile(
    r"(?:^|[\s\"'`(=:])/(?:wor[k]|roo[t]|hom[e]/\w+|User[s]/\w+|far[m])/"
    r"|py[p]i\.org|python[h]osted|registry\.n[p]mjs",
    flags=re.MULTILINE,
)


def _committed_texts() -> list[tuple[str, str]]:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.split("\0")
    texts = []
    for name in filter(None, listed):
        path = ROOT / name
        if not path.is_file():
            continue
        content = path.read_bytes()
        if b"\0" not in content:
            texts.append((name, content.decode("utf-8", errors="replace")))
    return texts


def test_no_committed_file_names_a_machine_or_a_package_index() -> None:
    found = [
        f"{name}: {match.group().strip()}"
        for name, text in _committed_texts()
        for match in FOREIGN.finditer(text)
    ]
    assert found == []


def test_the_rule_finds_what_it_forbids() -> None:
    for parts in (
        ("see ", "/wor", "k/main"),
        ("https://py", "pi.org/simple"),
        ("/hom", "e/anna/x"),
    ):
        assert FOREIGN.search("".join(parts))


def test_no_test_folder_is_a_package() -> None:
    # tests/assets/__init__.py would shadow the package `assets`.
    assert list((ROOT / "tests").rglob("__init__.py")) == []

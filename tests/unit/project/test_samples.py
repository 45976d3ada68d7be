"""The sample files are the ones that their script makes, and each has its source named."""

import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
SAMPLES = ROOT / "data" / "samples"
MADE: dict[str, bytes] = runpy.run_path(str(ROOT / "scripts" / "make_samples.py"))["samples"]()


@pytest.mark.parametrize("name", MADE)
def test_a_sample_of_our_own_is_what_the_script_makes(name: str) -> None:
    assert (SAMPLES / name).read_bytes() == MADE[name], "run: python scripts/make_samples.py"


def test_every_sample_is_listed_with_its_licence() -> None:
    readme = (SAMPLES / "README.md").read_text(encoding="utf-8")
    listed = [path.name for path in SAMPLES.iterdir() if path.suffix in {".csv", ".xlsx"}]
    assert len(listed) >= 4
    assert [name for name in listed if f"| `{name}` |" not in readme] == []
    assert "Numenta" in (SAMPLES / "nyc_taxi.csv.license").read_text(encoding="utf-8")

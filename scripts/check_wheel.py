"""Check that the wheel holds the project and nothing else, and loads away from the checkout."""

import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("assets", "nika_pipelines", "resources")
SOURCES = (*PACKAGES, "pyproject.toml", "README.md", "LICENSE")
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]

LOADS = """
import sys
sys.path.insert(0, sys.argv[1])
import assets, nika_pipelines, resources
import nika_pipelines.settings
for package in (assets, nika_pipelines, resources):
    assert package.__file__.startswith(sys.argv[1]), f"loaded from {package.__file__}"
import nika_pipelines.definitions
"""


def main() -> int:
    """Build, list, install and load the wheel; exit code 1 with the reason when that fails."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder).resolve()
        wheel = _build(work)
        problems = _contents(wheel)
        for problem in problems:
            print(problem)
        if problems:
            return 1
        target = work / "installed"
        subprocess.run(
            [*PIP, "install", "--no-deps", "--target", str(target), str(wheel)], check=True
        )
        loaded = subprocess.run(
            [sys.executable, "-I", "-c", LOADS, str(target)], cwd=work, check=False
        )
        return loaded.returncode


def _build(work: Path) -> Path:
    """Build from a copy: setuptools keeps a `build` folder, whose old files reach the wheel."""
    source = work / "source"
    source.mkdir()
    for name in SOURCES:
        path = ROOT / name
        if path.is_dir():
            skip = shutil.ignore_patterns("__pycache__")
            shutil.copytree(path, source / name, ignore=skip)
        else:
            shutil.copy2(path, source / name)
    options = ["--no-deps", "--no-build-isolation", "--wheel-dir", str(work)]
    subprocess.run([*PIP, "wheel", *options, str(source)], check=True)
    return next(work.glob("*.whl"))


def _contents(wheel: Path) -> list[str]:
    """What is in the wheel and should not be, or the other way round."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    inside = {name for name in names if ".dist-info/" not in name}
    tops = {name.split("/")[0] for name in inside}
    sources = {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    return [
        *(f"unexpected in the wheel: {name}" for name in sorted(tops - set(PACKAGES))),
        *(f"missing from the wheel: {name}" for name in sorted(sources - inside)),
    ]


if __name__ == "__main__":
    sys.exit(main())

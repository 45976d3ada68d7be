"""`nika bench` finds the programs of the checkout and hands everything else over to them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from nika_pipelines.cli import app
from nika_pipelines.commands import bench


def nika(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["bench", *(str(argument) for argument in arguments)])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of benchmarks with one program and one part of it."""
    (tmp_path / "parts.py").write_text('"""No program."""\n')
    (tmp_path / "echo.py").write_text(
        '"""What it\nwas given.\n\nMore."""\n\nimport json, sys\n\n'
        'if __name__ == "__main__":\n    print(json.dumps(sys.argv[1:]))\n    sys.exit(1)\n'
    )
    monkeypatch.setattr(bench, "_folder", lambda: tmp_path)
    return tmp_path


def test_programs_are_listed_with_their_purpose(folder: Path) -> None:
    for asked in ((), ("list",), ("--help",)):
        listed = nika(*asked)
        assert listed.exit_code == 0
        assert listed.output.split() == ["echo", "What", "it", "was", "given."]


@pytest.mark.parametrize("name", ["parts", "nothing", "../echo"])
def test_what_is_no_program_is_wrong_usage(folder: Path, name: str) -> None:
    assert nika(name).exit_code == 2


def test_without_a_checkout_it_says_where_the_benchmarks_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "_folder", lambda: tmp_path / "benchmarks")
    refused = nika("fuzz")
    assert refused.exit_code == 2
    assert "checkout" in refused.output


def test_options_go_to_the_program_and_its_answer_and_exit_code_come_back(folder: Path) -> None:
    script = (
        "from pathlib import Path\nimport sys\nfrom nika_pipelines import cli\n"
        "from nika_pipelines.commands import bench\n"
        f"bench._folder = lambda: Path({str(folder)!r})\ncli.main()\n"
    )
    arguments = ["bench", "echo", "--rows", "5", "--json", "--help", "-x"]
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, check=False
    )
    assert done.returncode == 1
    assert json.loads(done.stdout) == arguments[2:]


def test_every_benchmark_of_the_project_can_be_asked_for_help() -> None:
    programs = bench._programs()
    assert {"all", "fuzz", "single_run", "intake_speed"} <= set(programs)
    for name in ("all", "single_run"):
        program = bench._folder() / f"{name}.py"
        done = subprocess.run(
            [sys.executable, str(program), "--help"], capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr.decode()

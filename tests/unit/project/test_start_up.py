"""Start-up is the main cost of a run: what loads with the definitions is guarded."""

import subprocess
import sys

# DuckDB is not among them: it is small, and the warehouse resource is a class of dagster-duckdb.
HEAVY = {
    "clevercsv",
    "lifelines",
    "matplotlib",
    "pandas",
    "pandera",
    "pingouin",
    "python_calamine",
    "reportlab",
    "scipy",
    "sklearn",
    "statsmodels",
}


def _loaded_with(module: str) -> set[str]:
    """The top-level names in memory after a fresh process has imported the module."""
    program = f"import sys, {module}; print(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    return set(done.stdout.split())


def test_the_definitions_load_without_a_heavy_library() -> None:
    assert _loaded_with("nika_pipelines.definitions") & HEAVY == set()


def test_the_package_itself_imports_nothing() -> None:
    alone = _loaded_with("nika_pipelines") - _loaded_with("sys")
    assert alone == {"nika_pipelines"}


def test_the_command_answers_help_without_loading_dagster() -> None:
    assert _loaded_with("nika_pipelines.cli") & (HEAVY | {"dagster"}) == set()

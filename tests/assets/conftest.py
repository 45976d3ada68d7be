"""Data folders with a real Dagster instance of their own."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pytest
from projects import Project

from nika_pipelines.definitions import build_defs
from nika_pipelines.settings import Settings
from resources.workspace import open_workspace


@contextmanager
def _project(data: Path, instance: dg.DagsterInstance) -> Iterator[Project]:
    settings = Settings(data=data, settle_seconds=0)
    with open_workspace(settings) as workspace:
        yield Project(settings, instance, workspace, build_defs(settings))


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """Events and runs are kept in SQLite, as on a user's machine."""
    with (
        dg.instance_for_test(temp_dir=str(tmp_path)) as instance,
        _project(tmp_path / "data", instance) as project,
    ):
        yield project


@pytest.fixture
def light_project(tmp_path: Path) -> Iterator[Project]:
    """Events and runs are kept in memory, for tests that make no run."""
    with (
        dg.DagsterInstance.ephemeral(tempdir=str(tmp_path)) as instance,
        _project(tmp_path / "data", instance) as project,
    ):
        yield project

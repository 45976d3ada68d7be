"""Every test here gets a data folder with a real Dagster instance of its own."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from projects import Project

from nika_pipelines.definitions import build_defs
from nika_pipelines.settings import Settings
from resources.workspace import open_workspace


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    settings = Settings(data=tmp_path / "data", settle_seconds=0)
    with (
        dg.instance_for_test(temp_dir=str(tmp_path)) as instance,
        open_workspace(settings) as workspace,
    ):
        yield Project(settings, instance, workspace, build_defs(settings))

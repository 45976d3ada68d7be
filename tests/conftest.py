"""No test sees the settings or the data of whoever runs it."""

import os
import shutil
import tempfile

import pytest

for name in [name for name in os.environ if name.startswith(("NIKA_", "DAGSTER_"))]:
    del os.environ[name]
# Before any module reads the settings: some do so when they are imported.
os.environ["NIKA_DATA"] = tempfile.mkdtemp(prefix="nika-tests-")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Remove the data folder that stood in for the user's."""
    del session
    shutil.rmtree(os.environ["NIKA_DATA"], ignore_errors=True)

"""The environment that Dagster needs before it is imported or started as a child process.

Dagster reads its home and, through ``dagster.yaml``, its storage folder from environment
variables, and the workers that it launches inherit them. Relative paths would resolve against
whatever folder a process happens to start in, so everything set here is absolute.
"""

import os
from collections.abc import MutableMapping

from nika_pipelines.settings import PROJECT_ROOT, Settings

_FOLDERS = ("inbox/tables", "claimed", "archive", "quarantine", "locks", "logs", "tmp", "dagster")


def prepare_environment(
    settings: Settings, environment: MutableMapping[str, str] | None = None
) -> None:
    """Point Dagster and every child process at this data folder, and make its folders.

    Args:
        settings: the settings in force.
        environment: the variables to change; those of this process when left out.
    """
    variables = os.environ if environment is None else environment
    storage = settings.data / "dagster"
    variables["DAGSTER_HOME"] = str(PROJECT_ROOT)
    variables["NIKA_DATA"] = str(settings.data)
    variables["NIKA_DAGSTER_STORAGE"] = str(storage)
    # Its web server makes folders for telemetry in Dagster's home even where none is sent.
    variables["DAGSTER_DISABLE_TELEMETRY"] = "1"
    for folder in _FOLDERS:
        (settings.data / folder).mkdir(parents=True, exist_ok=True)

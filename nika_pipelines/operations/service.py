"""What `nika up` runs on one data folder: the web UI, the daemon and the report server.

Belongs here: which children there are, their ports, and the lock that keeps a second `nika up`
off the same folder. Restarting and stopping is the supervisor's.
"""

import contextlib
import fcntl
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from nika_pipelines.environment import prepare_environment
from nika_pipelines.operations.ports import LOOPBACK, PortTakenError, any_free, choose_web_port
from nika_pipelines.operations.ports import is_free as port_is_free
from nika_pipelines.operations.supervisor import Child, Event, Supervisor, Timing
from nika_pipelines.settings import PROJECT_ROOT, Settings

_LOCK_SECONDS = 1.0
_PORT_SECONDS = 5.0
_LEFTOVER_SECONDS = 5.0
_CLOCK_SECONDS = 2.0
"""A start time counts from the boot, which moves by this much when the clock is set."""


class AlreadyUpError(RuntimeError):
    """Another `nika up` runs on this data folder."""


@dataclass(frozen=True)
class Service:
    """What is running, as kept in ``data/locks/up.json``.

    Attributes:
        pid: the supervisor.
        started: start time of that process, because process ids are used again.
        web_url: Dagster's UI.
        reports_url: charts and reports.
        children: process ids by name.
        child_started: start times by name.
    """

    pid: int
    started: float
    web_url: str
    reports_url: str
    children: dict[str, int]
    child_started: dict[str, float]


def is_up(settings: Settings) -> bool:
    """Whether a `nika up` runs on this data folder; the kernel's lock decides."""
    try:
        with _lock_path(settings).open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def running_service(settings: Settings) -> Service | None:
    """What `nika up` runs on this data folder, or None."""
    return _read_state(settings) if is_up(settings) else None


def serve(
    settings: Settings, announce: Callable[[Event], None], timing: Timing | None = None
) -> None:
    """Run the service until SIGINT or SIGTERM.

    Args:
        settings: the settings in force.
        announce: told about every start, exit and readiness.
        timing: restart and stop rules.

    Raises:
        AlreadyUpError: another `nika up` has the data folder.
        PortTakenError: the report server's port is in use, and links to it are stored.
    """
    environment = dict(os.environ)
    prepare_environment(settings, environment)
    with _exclusive(settings):
        _end_leftovers(settings)
        reports_port = _reports_port(settings)
        web_port = choose_web_port(settings.web_port, avoid=reports_port)
        environment |= {"NIKA_WEB_PORT": str(web_port), "NIKA_REPORTS_PORT": str(reports_port)}
        children = _children(settings, web_port, reports_port)
        supervisor = Supervisor(
            children=children,
            logs=settings.data / "logs",
            # Dagster lets a `.env` in its working directory override the environment, so the
            # project root, where one lies for `dg dev`, is the wrong place to start in.
            folder=settings.data / "dagster",
            environment=environment,
            announce=announce,
            on_change=lambda pids: _write_state(settings, children, pids),
            timing=timing or Timing(),
        )
        try:
            supervisor.run()
        finally:
            _state_path(settings).unlink(missing_ok=True)


def _children(settings: Settings, web_port: int, reports_port: int) -> list[Child]:
    workspace = str(PROJECT_ROOT / "workspace.yaml")
    web_url, reports_url = f"http://{LOOPBACK}:{web_port}", f"http://{LOOPBACK}:{reports_port}"
    web = ("-m", "dagster_webserver", "-h", LOOPBACK, "-p", str(web_port), "-w", workspace)
    daemon = ("-m", "dagster._daemon", "run", "-w", workspace)
    reports = ("-m", "nika_pipelines.operations.report_server", "--data", str(settings.data))
    return [
        Child(
            "reports",
            (sys.executable, *reports, "--port", str(reports_port)),
            url=reports_url,
            probe=f"{reports_url}/healthz",
        ),
        Child("web", (sys.executable, *web), url=web_url, probe=f"{web_url}/server_info"),
        Child("daemon", (sys.executable, *daemon)),
    ]


def _reports_port(settings: Settings) -> int:
    """The configured port; the last server may need a moment to let go of it."""
    if settings.reports_port == 0:
        return any_free()
    deadline = time.monotonic() + _PORT_SECONDS
    while not port_is_free(settings.reports_port):
        if time.monotonic() > deadline:
            raise PortTakenError(settings.reports_port)
        time.sleep(0.2)
    return settings.reports_port


@contextlib.contextmanager
def _exclusive(settings: Settings) -> Iterator[None]:
    """Hold the lock of the data folder; somebody asking `is_up` holds it for an instant."""
    with _lock_path(settings).open("a") as file:
        deadline = time.monotonic() + _LOCK_SECONDS
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise AlreadyUpError(_already_up(settings)) from None
                time.sleep(0.1)
        yield


def _already_up(settings: Settings) -> str:
    service = _read_state(settings)
    where = f" (process {service.pid}, {service.web_url})" if service else ""
    return f"`nika up` already runs on {settings.data}{where}"


def _end_leftovers(settings: Settings) -> None:
    """End children of a supervisor that was killed where they cannot notice its death."""
    service = _read_state(settings)
    if service is None:
        return
    left = []
    for name, pid in service.children.items():
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(pid)
            started = service.child_started.get(name, 0.0)
            if abs(process.create_time() - started) < _CLOCK_SECONDS:
                process.terminate()
                left.append(process)
    for process in psutil.wait_procs(left, timeout=_LEFTOVER_SECONDS)[1]:
        with contextlib.suppress(psutil.Error):
            process.kill()


def _write_state(settings: Settings, children: list[Child], pids: dict[str, int]) -> None:
    urls = {child.name: child.url or "" for child in children}
    service = Service(
        pid=os.getpid(),
        started=psutil.Process().create_time(),
        web_url=urls["web"],
        reports_url=urls["reports"],
        children=pids,
        child_started=_start_times(pids),
    )
    path = _state_path(settings)
    draft = path.with_name(f".{path.name}.part")
    draft.write_text(json.dumps(asdict(service), indent=1))
    draft.replace(path)


def _start_times(pids: dict[str, int]) -> dict[str, float]:
    times = {}
    for name, pid in pids.items():
        with contextlib.suppress(psutil.Error):
            times[name] = psutil.Process(pid).create_time()
    return times


def _read_state(settings: Settings) -> Service | None:
    try:
        state: dict[str, Any] = json.loads(_state_path(settings).read_text())
        return Service(**state)
    except (FileNotFoundError, ValueError, TypeError):
        return None  # never written, or written by another version


def _lock_path(settings: Settings) -> Path:
    return settings.data / "locks" / "up.lock"


def _state_path(settings: Settings) -> Path:
    return settings.data / "locks" / "up.json"

"""One `nika up` per data folder, and what it tells others about itself."""

import json
import socket
import subprocess
from pathlib import Path

import psutil
import pytest

from nika_pipelines.environment import prepare_environment
from nika_pipelines.operations import service
from nika_pipelines.operations.ports import PortTakenError, any_free
from nika_pipelines.operations.service import (
    AlreadyUpError,
    Service,
    is_up,
    running_service,
    serve,
)
from nika_pipelines.operations.supervisor import Child, Event, Timing
from nika_pipelines.settings import PROJECT_ROOT, Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = Settings(data=tmp_path, web_port=0, reports_port=0)
    prepare_environment(settings, {})
    return settings


def test_nothing_is_up_on_a_new_folder(tmp_path: Path) -> None:
    assert not is_up(Settings(data=tmp_path / "new"))


def test_a_second_start_on_the_same_folder_is_refused(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "_LOCK_SECONDS", 0.2)
    with service._exclusive(settings):
        assert is_up(settings)
        with pytest.raises(AlreadyUpError, match=str(settings.data)):
            serve(settings, lambda _event: None)
    assert not is_up(settings)


def test_a_taken_report_port_is_a_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "_PORT_SECONDS", 0.2)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(PortTakenError, match=f"port {port}"):
            serve(Settings(data=tmp_path, reports_port=port), lambda _event: None)


def test_what_runs_is_written_down_while_it_runs(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    children = [Child(name, ("/bin/sleep", "600"), url=f"u:{name}") for name in ("web", "reports")]
    monkeypatch.setattr(service, "_children", lambda *_arguments: children)
    seen: list[Service | None] = []

    class Enough(Exception):
        pass

    def announce(event: Event) -> None:
        if event.kind == "ready":
            seen.append(running_service(settings))
            if len(seen) == 2:
                raise Enough

    with pytest.raises(Enough):
        serve(settings, announce, Timing(tick=0.02, grace=1))
    last = seen[-1]
    assert last is not None
    assert last.pid == psutil.Process().pid
    assert set(last.children) == {"web", "reports"}
    assert last.web_url == "u:web"
    assert running_service(settings) is None
    assert not any(psutil.pid_exists(pid) for pid in last.children.values())


def test_children_left_by_a_killed_supervisor_are_ended(settings: Settings) -> None:
    with subprocess.Popen(["/bin/sleep", "600"]) as left:
        _write_state(settings, left.pid, psutil.Process(left.pid).create_time())
        service._end_leftovers(settings)
        assert not psutil.pid_exists(left.pid)


def test_a_stranger_with_a_used_process_id_is_left_alone(settings: Settings) -> None:
    with subprocess.Popen(["/bin/sleep", "600"]) as stranger:
        _write_state(settings, stranger.pid, 12.0)
        service._end_leftovers(settings)
        assert stranger.poll() is None
        stranger.kill()


def test_dagster_is_pointed_at_the_data_folder_with_absolute_paths(tmp_path: Path) -> None:
    environment: dict[str, str] = {}
    prepare_environment(Settings(data=tmp_path), environment)
    assert environment == {
        "DAGSTER_HOME": str(PROJECT_ROOT),
        "NIKA_DATA": str(tmp_path),
        "NIKA_DAGSTER_STORAGE": str(tmp_path / "dagster"),
        "DAGSTER_DISABLE_TELEMETRY": "1",
    }
    assert (tmp_path / "inbox" / "tables").is_dir()


def test_children_start_where_no_env_file_overrides_the_storage_folder(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders: list[Path] = []

    class Recorder:
        def __init__(self, folder: Path, **_others: object) -> None:
            folders.append(folder)

        def run(self) -> None:
            pass

    monkeypatch.setattr(service, "Supervisor", Recorder)
    serve(settings, lambda _event: None)
    assert not (folders[0] / ".env").exists()
    assert (PROJECT_ROOT / ".env").exists()


def test_a_port_is_free_to_choose() -> None:
    assert service._reports_port(Settings(reports_port=0)) != 0
    port = any_free()
    assert service._reports_port(Settings(reports_port=port)) == port


def _write_state(settings: Settings, pid: int, started: float) -> None:
    state = Service(1, 1.0, "", "", {"web": pid}, {"web": started})
    (settings.data / "locks" / "up.json").write_text(json.dumps(vars(state)))

"""Children are restarted whatever ends them, and nothing of them outlives a stop."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from nika_pipelines.operations.supervisor import Child, Event, Supervisor, Timing, living_groups

QUICK = Timing(
    first_delay=0.05,
    longest_delay=0.2,
    healthy_after=60,
    grace=1.0,
    terminate_grace=1.0,
    tick=0.02,
)
SLEEPER = Child("sleeper", ("/bin/sleep", "600"))


@dataclass
class Running:
    supervisor: Supervisor
    events: list[Event] = field(default_factory=list)
    pids: dict[str, int] = field(default_factory=dict)

    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]


def wait_until(is_true: Callable[[], object], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


@contextlib.contextmanager
def running(folder: Path, *children: Child, timing: Timing = QUICK) -> Iterator[Running]:
    events: list[Event] = []
    pids: dict[str, int] = {}
    supervisor = Supervisor(
        children, folder / "logs", folder, os.environ, events.append, pids.update, timing
    )
    thread = threading.Thread(target=supervisor.run)
    thread.start()
    try:
        wait_until(lambda: len(pids) == len(children))
        yield Running(supervisor, events, pids)
    finally:
        supervisor.stop()
        thread.join(20)
        assert not thread.is_alive()


def test_a_killed_child_is_started_again(tmp_path: Path) -> None:
    with running(tmp_path, SLEEPER) as run:
        first = run.pids["sleeper"]
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: run.pids["sleeper"] != first)
        assert psutil.Process(run.pids["sleeper"]).name() == "sleep"
    assert any("SIGKILL" in event.text for event in run.events if event.kind == "exited")


def test_a_child_that_ends_in_order_is_started_again(tmp_path: Path) -> None:
    with running(tmp_path, Child("quitter", ("/bin/true",))) as run:
        wait_until(lambda: run.kinds().count("started") >= 3)
    assert any("code 0" in event.text for event in run.events if event.kind == "exited")


def test_delays_double_up_to_the_longest(tmp_path: Path) -> None:
    with running(tmp_path, Child("quitter", ("/bin/false",))) as run:
        wait_until(lambda: run.kinds().count("exited") >= 4)
    texts = [event.text for event in run.events if event.kind == "exited"]
    delays = [text.split("again in ")[1].split(" s")[0] for text in texts[:4]]
    assert delays == ["0.05", "0.1", "0.2", "0.2"]


def test_a_child_that_was_healthy_for_long_starts_again_with_the_first_delay(
    tmp_path: Path,
) -> None:
    timing = Timing(first_delay=0.05, longest_delay=9, healthy_after=0.0, tick=0.02, grace=1)
    with running(tmp_path, Child("quitter", ("/bin/false",)), timing=timing) as run:
        wait_until(lambda: run.kinds().count("exited") >= 3)
    texts = [event.text for event in run.events if event.kind == "exited"]
    assert all("again in 0.05 s" in text for text in texts)


def test_one_childs_end_leaves_the_others_alone(tmp_path: Path) -> None:
    with running(tmp_path, SLEEPER, Child("quitter", ("/bin/false",))) as run:
        first = run.pids["sleeper"]
        wait_until(lambda: run.kinds().count("exited") >= 2)
        assert run.pids["sleeper"] == first


def test_a_stop_ends_every_process_even_one_that_ignores_signals_and_its_children(
    tmp_path: Path,
) -> None:
    stubborn = (
        "trap '' INT TERM; (trap '' INT TERM; exec sleep 600) & echo up; sleep 600; sleep 600"
    )
    timing = Timing(grace=0.3, terminate_grace=0.3, tick=0.02)
    with running(tmp_path, Child("stubborn", ("/bin/sh", "-c", stubborn)), timing=timing) as run:
        log = tmp_path / "logs" / "stubborn.log"
        wait_until(lambda: log.read_text() == "up\n")
        group = run.pids["stubborn"]
        assert living_groups({group}) == {group}
    assert living_groups({group}) == set()


def test_a_stop_ends_what_a_dead_child_left_behind(tmp_path: Path) -> None:
    leaver = Child("leaver", ("/bin/sh", "-c", "sleep 600 & echo $!; wait"))
    with running(tmp_path, leaver) as run:
        log = tmp_path / "logs" / "leaver.log"
        wait_until(lambda: log.read_text().endswith("\n"))
        left = int(log.read_text().split()[0])
        os.kill(run.pids["leaver"], signal.SIGKILL)
        wait_until(lambda: run.kinds().count("started") == 2)
        assert psutil.pid_exists(left), "a run in work survives the end of the daemon"
    assert not is_running(left)


def test_a_second_stop_does_not_wait(tmp_path: Path) -> None:
    stubborn = Child("stubborn", ("/bin/sh", "-c", "trap '' INT TERM; echo up; sleep 600"))
    timing = Timing(grace=60, terminate_grace=60, tick=0.02)
    with running(tmp_path, stubborn, timing=timing) as run:
        log = tmp_path / "logs" / "stubborn.log"
        wait_until(lambda: log.read_text() == "up\n")
        run.supervisor.stop()


def test_a_child_is_ready_when_its_server_answers(tmp_path: Path) -> None:
    from nika_pipelines.operations.ports import any_free

    url = f"http://127.0.0.1:{any_free()}"
    serve = ("-m", "http.server", url.rsplit(":", 1)[1], "--bind", "127.0.0.1")
    server = Child("server", (sys.executable, *serve), url=url, probe=url + "/")
    with running(tmp_path, server) as run:
        wait_until(lambda: "ready" in run.kinds())
    assert [event.text for event in run.events if event.kind == "ready"] == [url]


def test_a_large_log_is_set_aside_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nika_pipelines.operations.supervisor._LOG_BYTES", 10)
    log = tmp_path / "logs" / "speaker.log"
    log.parent.mkdir()
    log.write_text("words of yesterday")
    speaker = Child("speaker", ("/bin/sh", "-c", "echo now; exec sleep 600"))
    with running(tmp_path, speaker):
        wait_until(lambda: log.read_text() == "now\n")
    assert log.with_name("speaker.log.1").read_text() == "words of yesterday"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs a signal of Linux")
def test_children_die_with_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    program = (
        "import os, sys; from pathlib import Path;"
        "from nika_pipelines.operations.supervisor import *;"
        "f = Path(sys.argv[1]);"
        "Supervisor([Child('sleeper', ('/bin/sleep', '600'))], f, f, os.environ,"
        " lambda event: print(event.text, flush=True)).run()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as supervisor:
        assert supervisor.stdout is not None
        child = int(supervisor.stdout.readline().split()[-1])
        assert is_running(child)
        supervisor.kill()
    wait_until(lambda: not is_running(child))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_the_children_and_returns(tmp_path: Path, number: signal.Signals) -> None:
    program = (
        "import os, sys; from pathlib import Path;"
        "from nika_pipelines.operations.supervisor import *;"
        "f = Path(sys.argv[1]);"
        "Supervisor([Child('sleeper', ('/bin/sleep', '600'))], f, f, os.environ,"
        " lambda event: print(event.text, flush=True)).run(); print('returned')"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as supervisor:
        assert supervisor.stdout is not None
        child = int(supervisor.stdout.readline().split()[-1])
        supervisor.send_signal(number)
        rest = supervisor.stdout.read()
    assert rest.strip() == "returned"
    assert supervisor.returncode == 0
    assert not is_running(child)


def is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False

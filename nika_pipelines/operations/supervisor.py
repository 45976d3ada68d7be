"""Keeps child processes alive: starts them, restarts any that exits, stops them cleanly.

Knows nothing about what the children are. Each runs in its own session, so that Ctrl-C in the
terminal reaches only the supervisor, which then stops them in order. A child that dies leaves its
own children (a run in work) alone: they finish or are found dead by their locks. Everything that
was ever started is remembered by its process group, and nothing of it outlives a stop.
"""

import contextlib
import http.client
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, Literal
from urllib.parse import urlsplit

import psutil

_LOG_BYTES = 10_000_000
_PR_SET_PDEATHSIG = 1
_HOUSEKEEPING_SECONDS = 20.0
_PROBE_SECONDS = 1.0
_KILL_SECONDS = 5.0

EventKind = Literal["started", "ready", "exited", "stopping"]


@dataclass(frozen=True)
class Child:
    """One process to keep alive.

    Attributes:
        name: short; also the name of its log file.
        command: program and arguments.
        url: shown when the child is ready.
        probe: loopback URL that answers below 500 when the child is ready.
    """

    name: str
    command: tuple[str, ...]
    url: str | None = None
    probe: str | None = None


@dataclass(frozen=True)
class Timing:
    """Seconds of the restart and stop rules."""

    first_delay: float = 1.0
    longest_delay: float = 30.0
    healthy_after: float = 60.0
    grace: float = 15.0
    terminate_grace: float = 5.0
    tick: float = 0.25


@dataclass(frozen=True)
class Event:
    """Something that happened to a child, for the terminal."""

    kind: EventKind
    child: Child
    text: str


@dataclass
class _Kept:
    """A child and how it fares."""

    child: Child
    delay: float
    process: "subprocess.Popen[bytes] | None" = None
    started: float = 0.0
    due: float = 0.0
    ready: bool = False
    next_probe: float = 0.0


@dataclass
class Supervisor:
    """Runs children until it is told to stop.

    Attributes:
        children: what to keep alive.
        logs: folder of ``<child>.log``.
        folder: working directory of the children.
        environment: their environment.
        announce: called in the supervisor's thread for every event.
        on_change: called after any child was started, with the process ids by name.
        timing: restart and stop rules.
    """

    children: Sequence[Child]
    logs: Path
    folder: Path
    environment: Mapping[str, str]
    announce: Callable[[Event], None]
    on_change: Callable[[dict[str, int]], None] = lambda _pids: None
    timing: Timing = field(default_factory=Timing)

    def __post_init__(self) -> None:
        self._kept = [_Kept(child, self.timing.first_delay) for child in self.children]
        self._groups: set[int] = set()
        self._stop = threading.Event()
        self._hurry = threading.Event()
        self._next_housekeeping = 0.0

    def run(self) -> None:
        """Keep the children alive until `stop` is called or SIGINT or SIGTERM arrives.

        A second signal stops waiting and kills. Call it in the main thread: on Linux, children
        die with the thread that started them.
        """
        with self._signals():
            try:
                while not self._stop.is_set():
                    self._look_after_children()
                    self._stop.wait(self.timing.tick)
            finally:
                self._stop_children()

    def stop(self) -> None:
        """Ask `run` to stop the children and return; a second call makes it kill them."""
        if self._stop.is_set():
            self._hurry.set()
        self._stop.set()

    # ---- one look

    def _look_after_children(self) -> None:
        now = time.monotonic()
        for kept in self._kept:
            if kept.process is None:
                if now >= kept.due:
                    self._start(kept, now)
            elif kept.process.poll() is not None:
                self._note_exit(kept, kept.process, now)
            elif not kept.ready and now >= kept.next_probe:
                self._probe(kept, now)
        if now >= self._next_housekeeping:
            self._next_housekeeping = now + _HOUSEKEEPING_SECONDS
            self._groups &= living_groups(self._groups)
            for kept in self._kept:
                _rotate(self._log_path(kept.child))

    def _start(self, kept: _Kept, now: float) -> None:
        kept.process = self._spawn(kept.child)
        kept.started, kept.ready, kept.next_probe = now, False, now
        self._groups.add(kept.process.pid)
        self.announce(Event("started", kept.child, f"process {kept.process.pid}"))
        self.on_change({k.child.name: k.process.pid for k in self._kept if k.process is not None})

    def _spawn(self, child: Child) -> "subprocess.Popen[bytes]":
        path = self._log_path(child)
        path.parent.mkdir(parents=True, exist_ok=True)
        _rotate(path)
        with path.open("ab") as log:
            return subprocess.Popen(
                child.command,
                cwd=self.folder,
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                # Safe: the supervisor has one thread, and the function only calls the kernel.
                preexec_fn=partial(_die_with_parent, os.getpid()),  # noqa: PLW1509
            )

    def _note_exit(self, kept: _Kept, process: "subprocess.Popen[bytes]", now: float) -> None:
        """Plan the restart: at once is never, later is doubled unless it was healthy for long."""
        if now - kept.started >= self.timing.healthy_after:
            kept.delay = self.timing.first_delay
        kept.process, kept.ready = None, False
        kept.due = now + kept.delay
        text = f"{_describe(process.returncode)}; starts again in {kept.delay:g} s"
        self.announce(Event("exited", kept.child, f"{text} (see {self._log_path(kept.child)})"))
        kept.delay = min(kept.delay * 2, self.timing.longest_delay)

    def _probe(self, kept: _Kept, now: float) -> None:
        kept.next_probe = now + _PROBE_SECONDS
        if kept.child.probe is None or answers(kept.child.probe):
            kept.ready = True
            self.announce(Event("ready", kept.child, kept.child.url or ""))

    def _log_path(self, child: Child) -> Path:
        return self.logs / f"{child.name}.log"

    # ---- the end

    def _stop_children(self) -> None:
        for kept in self._kept:
            if kept.process is not None and kept.process.poll() is None:
                self.announce(Event("stopping", kept.child, ""))
                kept.process.send_signal(signal.SIGINT)
        left = self._wait_for_groups(self._groups, self.timing.grace, self._hurry)
        _signal_groups(left, signal.SIGTERM)
        left = self._wait_for_groups(left, self.timing.terminate_grace, self._hurry)
        _signal_groups(left, signal.SIGKILL)
        self._wait_for_groups(left, _KILL_SECONDS, threading.Event())
        for kept in self._kept:
            if kept.process is not None:
                kept.process.wait()

    def _wait_for_groups(
        self, groups: set[int], seconds: float, enough: threading.Event
    ) -> set[int]:
        """Wait until no process of these groups is left; return the groups that are not empty."""
        deadline = time.monotonic() + seconds
        while left := living_groups(groups):
            for kept in self._kept:
                if kept.process is not None:
                    kept.process.poll()
            if enough.is_set() or time.monotonic() >= deadline:
                return left
            enough.wait(0.1)
        return set()

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """Turn SIGINT and SIGTERM into `stop` while the block runs, in the main thread only."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def end(_number: int, _frame: FrameType | None) -> None:
            self.stop()

        before: dict[signal.Signals, Any] = {
            number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def answers(url: str, seconds: float = 0.5) -> bool:
    """Whether a loopback HTTP server answers this URL with a status below 500."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=seconds)
    try:
        connection.request("GET", parts.path or "/")
        return connection.getresponse().status < http.HTTPStatus.INTERNAL_SERVER_ERROR
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def living_groups(groups: set[int]) -> set[int]:
    """Those of the process groups that still hold a process; zombies do not count."""
    found: set[int] = set()
    if not groups:
        return found
    for pid in psutil.pids():
        with contextlib.suppress(ProcessLookupError, PermissionError, psutil.Error):
            group = os.getpgid(pid)
            if group in groups - found and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                found.add(group)
    return found


def _signal_groups(groups: set[int], number: signal.Signals) -> None:
    for group in groups:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, number)


def _describe(code: int) -> str:
    if code >= 0:
        return f"ended with code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"


def _rotate(path: Path) -> None:
    """Keep one older log; the file is emptied in place because its child holds it open."""
    try:
        if path.stat().st_size > _LOG_BYTES:
            shutil.copyfile(path, path.with_name(path.name + ".1"))
            os.truncate(path, 0)
    except FileNotFoundError:
        return  # the child has not been started yet


def _load_prctl() -> Callable[[int, int], int] | None:
    """Linux's prctl, looked up before any fork because a fork may not load libraries."""
    if not sys.platform.startswith("linux"):
        return None
    import ctypes

    try:
        prctl = ctypes.CDLL(None, use_errno=True).prctl
    except (OSError, AttributeError):
        return None

    def call(option: int, argument: int) -> int:
        return int(prctl(option, argument, 0, 0, 0))

    return call


_prctl = _load_prctl()


def _die_with_parent(parent: int) -> None:
    """In the forked child: ask for SIGTERM when the supervisor dies, however it dies."""
    if _prctl is not None:
        _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)  # it died before the request was made

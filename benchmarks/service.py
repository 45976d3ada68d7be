"""`nika up` in a folder and on ports of its own, and the memory of its whole process tree."""

import contextlib
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from commands import NIKA, answer, environment

_START_S = 120
_STOP_S = 60


@dataclass(frozen=True)
class Service:
    """A running `nika up`."""

    data: Path
    log: Path
    process: psutil.Process

    @property
    def inbox(self) -> Path:
        """Where tables are dropped."""
        return self.data / "inbox" / "tables"

    def reports(self) -> set[Path]:
        """The PDF reports of uploads that are there now."""
        return set((self.data / "reports" / "tables").glob("*/report.pdf"))

    def wait_for_reports(self, count: int, seconds: float) -> None:
        """Wait until there are so many reports; say which uploads failed if that never happens."""
        try:
            wait_until(lambda: len(self.reports()) >= count, seconds)
        except TimeoutError as error:
            _, failed = answer(["list", "--state", "failed"], self.data)
            reasons = {upload["message"] for upload in failed}
            error.add_note(f"{len(failed)} uploads failed: {'; '.join(sorted(reasons)[:3])}")
            raise


@contextlib.contextmanager
def running(work: Path) -> Iterator[Service]:
    """Start `nika up`, wait until it answers, and stop it as Ctrl-C does."""
    data, log = work / "data", work / "up.log"
    web, reports = _free_port(), _free_port()
    variables = environment(data, web_port=web, reports_port=reports)
    with log.open("wb") as stream:
        process = subprocess.Popen([NIKA, "up"], env=variables, stdout=stream, stderr=stream)
    try:
        for port in (web, reports):
            wait_until(lambda port=port: _answers(port), _START_S)  # type: ignore[misc]
        yield Service(data, log, psutil.Process(process.pid))
    finally:
        _stop(process)


def wait_until(happened: Callable[[], bool], seconds: float) -> None:
    """Look ten times a second; a `TimeoutError` after so many seconds."""
    deadline = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > deadline:
            msg = f"not within {seconds} s"
            raise TimeoutError(msg)
        time.sleep(0.1)


class PeakMemory:
    """The largest memory of a process and all its descendants while the block runs.

    Shared pages count once (PSS) where the kernel tells, so that processes forked from one another
    are not counted twice; `rss_mb` counts them in each.
    """

    def __init__(self, root: psutil.Process) -> None:
        self.pss_mb = 0.0
        self.rss_mb = 0.0
        self.processes = 0
        self._root = root
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "PeakMemory":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        # Reading the page tables of twenty processes takes a tenth of a second of the very
        # processors that are measured, so it is not done more often.
        while not self._stop.wait(2):
            sizes = [_sizes(process) for process in [self._root, *_children(self._root)]]
            self.pss_mb = max(self.pss_mb, sum(pss for pss, _ in sizes) / 1e6)
            self.rss_mb = max(self.rss_mb, sum(rss for _, rss in sizes) / 1e6)
            self.processes = max(self.processes, len(sizes))


def _children(root: psutil.Process) -> list[psutil.Process]:
    try:
        return root.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _sizes(process: psutil.Process) -> tuple[int, int]:
    """PSS and RSS in bytes; nothing for a process that has just ended."""
    try:
        full = process.memory_full_info()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return 0, 0
    return getattr(full, "pss", full.uss), full.rss


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(port: int) -> bool:
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

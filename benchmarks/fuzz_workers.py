"""Worker processes that run cases, and the watch over them.

A worker that dies or sticks takes one case with it: that case is recorded, another worker goes on
with the next.
"""

import contextlib
import multiprocessing
import resource
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path

import psutil

from fuzz_checks import Ending

HANG_SECONDS = 10.0
_PATIENCE_SECONDS = 60.0
"""When other programs take the processors, a case that works little is not hanging yet."""
_MEMORY_BYTES = 6_000_000_000
_CASES_PER_CHUNK = 200


@dataclass(frozen=True)
class Finished:
    """How a case ended and what it took."""

    ending: Ending
    seconds: float
    peak_rss_mb: float = 0.0


@dataclass
class _Worker:
    process: BaseProcess
    pipe: Connection
    folder: Path
    cases: list[int]
    since: float = field(default_factory=time.monotonic)
    cpu_before: float = 0.0
    ready: bool = False


class WorkerPool:
    """Runs cases in processes of their own."""

    def __init__(self, jobs: int, run_seed: int) -> None:
        """So many processes at once, for the cases of this seed."""
        self._jobs = jobs
        self._run_seed = run_seed
        self._context = multiprocessing.get_context("spawn")

    def run(self, numbers: Sequence[int], seconds: float | None) -> Iterator[Finished]:
        """Run cases; yields each as it ends, and begins no chunk after so many seconds."""
        started = time.monotonic()
        chunks = [
            list(numbers[place : place + _CASES_PER_CHUNK])
            for place in range(0, len(numbers), _CASES_PER_CHUNK)
        ][::-1]
        workers: list[_Worker] = []
        try:
            while chunks or workers:
                if seconds is not None and time.monotonic() - started > seconds:
                    chunks.clear()
                while chunks and len(workers) < self._jobs:
                    workers.append(self._start())
                    self._give(workers[-1], chunks.pop())
                for worker in self._heard_from(workers):
                    yield from self._listen(worker)
                    if not worker.cases and chunks:
                        self._give(worker, chunks.pop())
                    if not worker.cases or not worker.process.is_alive():
                        workers.remove(worker)
                        self._end(worker)
                        if worker.cases:
                            chunks.append(worker.cases)
        finally:
            for worker in workers:
                self._end(worker)

    def _heard_from(self, workers: list[_Worker]) -> list[_Worker]:
        """Workers that have something to say, or have stuck."""
        ready = wait([worker.pipe for worker in workers], timeout=0.5)
        return [worker for worker in workers if worker.pipe in ready or _sticks(worker)]

    def _listen(self, worker: _Worker) -> Iterator[Finished]:
        """Everything that a worker has to say; its end takes the case it was at with it."""
        try:
            if not worker.pipe.poll():
                yield self._stuck(worker)
                return
            while worker.cases and worker.pipe.poll():
                message = worker.pipe.recv()
                if message is not None:
                    worker.cases.pop(0)
                    yield message
                worker.ready = True
                worker.since, worker.cpu_before = time.monotonic(), _cpu_seconds(worker)
        except (EOFError, ConnectionError):
            worker.process.join(5)
            yield self._lost(worker, f"the process ended with {worker.process.exitcode}")

    def _stuck(self, worker: _Worker) -> Finished:
        for child in _family(worker):
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
        worker.process.join(10)
        seconds = time.monotonic() - worker.since
        ending = Ending(worker.cases.pop(0), "hang", "hang", f"not done after {seconds:.0f} s")
        return Finished(ending, seconds)

    def _lost(self, worker: _Worker, why: str) -> Finished:
        if not worker.ready:
            raise RuntimeError(f"a worker did not start: {why}")
        ending = Ending(worker.cases.pop(0), "crash", "ProcessDied", why)
        return Finished(ending, time.monotonic() - worker.since)

    def _start(self) -> _Worker:
        ours, theirs = self._context.Pipe()
        folder = Path(tempfile.mkdtemp(prefix="nika-fuzz-", dir=_fast_folder()))
        process = self._context.Process(
            target=_work, args=(theirs, folder, self._run_seed), daemon=False
        )
        process.start()
        theirs.close()
        return _Worker(process, ours, folder, [])

    def _give(self, worker: _Worker, cases: list[int]) -> None:
        worker.cases = cases
        worker.since = time.monotonic()
        worker.pipe.send(cases)

    def _end(self, worker: _Worker) -> None:
        with contextlib.suppress(OSError):
            worker.pipe.send(None)
        worker.process.join(5)
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join(5)
        worker.pipe.close()
        shutil.rmtree(worker.folder, ignore_errors=True)


def _work(pipe: Connection, folder: Path, run_seed: int) -> None:
    """The life of a worker process: cases in, endings out."""
    from fuzz_cases import draw_case
    from fuzz_checks import CaseRunner
    from fuzz_seeds import seed_pool

    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    runner, pool = CaseRunner(folder), seed_pool()
    pipe.send(None)
    while numbers := pipe.recv():
        for number in numbers:
            started = time.monotonic()
            ending = runner.run(draw_case(pool, run_seed, number))
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_000
            pipe.send(Finished(ending, time.monotonic() - started, peak))


def _sticks(worker: _Worker) -> bool:
    waited = time.monotonic() - worker.since
    if waited < HANG_SECONDS or not worker.process.is_alive():
        return False
    return waited > _PATIENCE_SECONDS or (
        worker.ready and _cpu_seconds(worker) - worker.cpu_before > 0.8 * HANG_SECONDS
    )


def _cpu_seconds(worker: _Worker) -> float:
    """What a worker and its children have computed so far."""
    total = 0.0
    for process in _family(worker):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system
            if process.pid == worker.process.pid:
                total += times.children_user + times.children_system
    return total


def _family(worker: _Worker) -> list[psutil.Process]:
    try:
        parent = psutil.Process(worker.process.pid)
        return [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _fast_folder() -> Path | None:
    """Memory instead of a disk, where there is such a folder."""
    shared = Path("/dev/shm")
    return shared if shared.is_dir() and shutil.disk_usage(shared).free > 2e9 else None

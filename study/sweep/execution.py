"""Where trials run: one single-threaded worker process a core."""

import json
import math
import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from study.sweep.worker import main as work

# "key", "config" (flat names), "test", "may_stop": whether each evaluation waits for an answer
Job = dict[str, Any]

# A driver that was itself stopped, or that waited for a store, has not been listening.
_MOST_A_LOOK_SECONDS = 2.0


@dataclass(frozen=True)
class Patience:
    """How long, in seconds, a worker may be silent before that is told, and before it is replaced,
    and how long it may be at one job; and how often it gives a sign of life."""

    alive: float = 2.0
    told: float = 60.0
    silence: float = 600.0
    job: float = math.inf


@dataclass(frozen=True)
class Message:
    """What a worker reports about a job: "started", "evaluation", "flow", "audit", "result", "error"."""

    job: Job
    kind: str
    content: dict[str, Any]


@dataclass(frozen=True)
class Died:
    """A job ended without a result, by no fault of its configuration: its worker is another now."""

    job: Job
    why: str  # goes on from "the worker of this trial": "was killed by signal 9 …"
    too_long: bool = False  # it was ended because its time was over


@dataclass(frozen=True)
class Silent:
    """A worker has given no sign of life for a while, as one that was stopped by a signal."""

    job: Job
    seconds: float
    pid: int | None


@dataclass
class _Worker:
    process: BaseProcess
    pipe: Connection
    job: Job | None = None
    silent_seconds: float = 0.0
    job_seconds: float = 0.0
    told: bool = False

    def begin(self, job: Job) -> None:
        self.job, self.told = job, False
        self.silent_seconds = self.job_seconds = 0.0


@dataclass
class LocalPool:
    """``size`` worker processes on this machine. One that dies, or that ``patience`` is over with, is
    replaced.

    Use as a context manager; leaving it ends the workers at once.
    """

    size: int
    patience: Patience = Patience()
    _workers: list[_Worker] = field(default_factory=list)
    _looked: float = field(default_factory=time.monotonic)

    def __enter__(self) -> "LocalPool":
        self._workers = [_start(self.patience.alive) for _ in range(self.size)]
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.pipe.close()
            worker.process.terminate()
            _go_on(worker.process)  # one that is stopped hears nothing else
        for worker in self._workers:
            worker.process.join(timeout=5)
            if worker.process.is_alive():
                worker.process.kill()

    @property
    def free(self) -> int:
        return sum(worker.job is None for worker in self._workers)

    @property
    def running(self) -> list[Job]:
        return [worker.job for worker in self._workers if worker.job is not None]

    def submit(self, job: Job) -> None:
        """Start a job on a free worker; there must be one."""
        worker = next(w for w in self._workers if w.job is None)
        worker.begin(job)
        _tell(worker, job)

    def answer(self, job: Job, stop: bool) -> None:
        """Tell a worker whose job ``may_stop``, and waits after an evaluation, to go on or not."""
        for worker in self._workers:
            if worker.job is job:
                _tell(worker, {"stop": stop})

    def events(self, timeout_seconds: float) -> Iterator[Message | Died | Silent]:
        """What has happened since, waiting up to the timeout for the first."""
        ready = wait([worker.pipe for worker in self._workers], timeout_seconds)
        since = min(time.monotonic() - self._looked, _MOST_A_LOOK_SECONDS)
        self._looked = time.monotonic()
        for index, worker in enumerate(self._workers):
            heard = worker.pipe in ready
            worker.silent_seconds = 0.0 if heard else worker.silent_seconds + since
            worker.job_seconds += since
            event = self._hear(index) if heard else self._mind(index)
            if event is not None:
                yield event
            if (over := self._over(index)) is not None:
                yield over

    def _hear(self, index: int) -> Message | Died | None:
        worker = self._workers[index]
        try:
            content = json.loads(worker.pipe.recv_bytes())
        except (EOFError, ConnectionResetError, json.JSONDecodeError):
            return self._replace(index)
        worker.told = False
        job = worker.job
        if job is None or content["key"] != job["key"]:
            return None
        if content["kind"] == "lost":
            return self._replace(index, content["why"])
        if content["kind"] in ("result", "error"):
            worker.job = None
        return None if content["kind"] == "alive" else Message(job, content["kind"], content)

    def _mind(self, index: int) -> Died | Silent | None:
        """One of which nothing was heard."""
        worker = self._workers[index]
        if worker.job is None:
            return None
        if worker.silent_seconds >= self.patience.silence:
            return self._replace(index, f"was silent for {worker.silent_seconds:.0f} seconds")
        if worker.silent_seconds >= self.patience.told and not worker.told:
            worker.told = True
            return Silent(worker.job, worker.silent_seconds, worker.process.pid)
        return None

    def _over(self, index: int) -> Died | None:
        """One whose time for its job is over, whatever was heard of it."""
        worker = self._workers[index]
        if worker.job is None or worker.job_seconds < self.patience.job:
            return None
        why = f"had not ended it after {self.patience.job / 60:.3g} minutes, the limit"
        return self._replace(index, why, too_long=True)

    def _replace(self, index: int, why: str = "", too_long: bool = False) -> Died | None:
        worker = self._workers[index]
        # One that has closed its pipe is about to end; how it does is worth knowing.
        worker.process.join(timeout=0 if why else 5)
        worker.process.kill()
        worker.process.join()
        worker.pipe.close()
        self._workers[index] = _start(self.patience.alive)
        if worker.job is None:
            return None
        return Died(worker.job, why or _ending(worker.process.exitcode), too_long)


def _ending(exit_code: int | None) -> str:
    if exit_code is None or exit_code >= 0:
        return f"ended with exit code {exit_code}"
    by = f"was killed by signal {-exit_code}"
    return f"{by}, as happens where memory is short" if exit_code == -signal.SIGKILL else by


def _go_on(process: BaseProcess) -> None:
    if process.pid is not None and process.is_alive():
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGCONT)


def _tell(worker: _Worker, message: dict[str, Any]) -> None:
    # A worker that has died cannot be told anything; `events` notices its death.
    with suppress(BrokenPipeError, ConnectionResetError):
        worker.pipe.send_bytes(json.dumps(message).encode())


def _start(alive_seconds: float) -> _Worker:
    # Read by the numerical libraries when the worker loads them.
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = "1"
    context = get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=work, args=(there, alive_seconds), daemon=True)
    # A Ctrl-C between the process's start and its first line must not reach it.
    previous = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, previous)
    there.close()
    return _Worker(process, here)

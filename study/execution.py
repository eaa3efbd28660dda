"""Where trials run: one single-threaded worker process a core."""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from study.worker import main as work

# "key", "config" (flat names), "test", "may_stop": whether each evaluation waits for an answer
Job = dict[str, Any]


@dataclass(frozen=True)
class Message:
    """What a worker reports about a job: "started", "evaluation", "flow", "audit", "result", "error"."""

    job: Job
    kind: str
    content: dict[str, Any]


@dataclass(frozen=True)
class Died:
    """The worker process ended in the middle of a job, killed for instance."""

    job: Job
    exit_code: int | None


@dataclass
class _Worker:
    process: BaseProcess
    pipe: Connection
    job: Job | None = None


@dataclass
class LocalPool:
    """``size`` worker processes on this machine; a worker that dies is replaced.

    Use as a context manager; leaving it ends the workers at once.
    """

    size: int
    _workers: list[_Worker] = field(default_factory=list)

    def __enter__(self) -> "LocalPool":
        self._workers = [_start() for _ in range(self.size)]
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.pipe.close()
            worker.process.terminate()
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
        worker.job = job
        _tell(worker, job)

    def answer(self, job: Job, stop: bool) -> None:
        """Tell a worker whose job ``may_stop``, and waits after an evaluation, to go on or not."""
        for worker in self._workers:
            if worker.job is job:
                _tell(worker, {"stop": stop})

    def events(self, timeout_seconds: float) -> Iterator[Message | Died]:
        """What has happened since, waiting up to the timeout for the first."""
        ready = wait([worker.pipe for worker in self._workers], timeout_seconds)
        for index, worker in enumerate(self._workers):
            if worker.pipe not in ready:
                continue
            try:
                content = json.loads(worker.pipe.recv_bytes())
            except (EOFError, ConnectionResetError, json.JSONDecodeError):
                worker.process.kill()
                worker.process.join()
                self._workers[index] = _start()
                if worker.job is not None:
                    yield Died(worker.job, worker.process.exitcode)
                continue
            job = worker.job
            if job is None or content["key"] != job["key"]:
                continue
            if content["kind"] in ("result", "error"):
                worker.job = None
            yield Message(job, content["kind"], content)


def _tell(worker: _Worker, message: dict[str, Any]) -> None:
    # A worker that has died cannot be told anything; `events` notices its death.
    with suppress(BrokenPipeError, ConnectionResetError):
        worker.pipe.send_bytes(json.dumps(message).encode())


def _start() -> _Worker:
    # Read by the numerical libraries when the worker loads them.
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = "1"
    context = get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=work, args=(there,), daemon=True)
    # A Ctrl-C between the process's start and its first line must not reach it.
    previous = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, previous)
    there.close()
    return _Worker(process, here)

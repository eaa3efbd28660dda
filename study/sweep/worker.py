"""The process that trains: jobs in, records out, as JSON over a pipe. No mlflow, no optuna here."""

import errno
import json
import os
import signal
import threading
import time
import traceback
from multiprocessing.connection import Connection
from typing import Any

# Of the machine, not of a configuration: another try, or another machine, may have room.
_SHORT = {
    errno.ENOMEM,
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EMFILE,
    errno.ENFILE,
    errno.EIO,
    errno.EAGAIN,
    errno.ESTALE,
    errno.ETIMEDOUT,
}
# How torch says it of a processor and of a graphics card, and C++ of itself.
_NO_MEMORY = ("can't allocate memory", "not enough memory", "out of memory", "std::bad_alloc")

MOST_KEPT = 1_000_000  # numbers of a network, beyond which a sweep does not keep them


class _Line:
    """The pipe to the driver, to which two threads speak."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe, self._turn = pipe, threading.Lock()
        self.key = ""  # of the job at hand

    def send(self, kind: str, **content: Any) -> None:
        about = {"kind": kind, "key": self.key, "ms": int(time.time() * 1000)}
        message = json.dumps(about | content).encode()
        with self._turn:
            self._pipe.send_bytes(message)

    def hear(self) -> Any:
        return json.loads(self._pipe.recv_bytes())


def main(pipe: Connection, alive_seconds: float) -> None:
    """Serve jobs until the pipe closes. One job at a time, one thread, and one that says every so often
    that the process lives."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the driver's to handle
    line = _Line(pipe)
    threading.Thread(target=_live, args=(line, alive_seconds), daemon=True).start()
    import torch

    torch.set_num_threads(1)
    try:
        while True:
            _work(line, line.hear())
    except (EOFError, BrokenPipeError, ConnectionResetError):
        os._exit(0)  # the driver is gone; there is nobody to tell


def _live(line: _Line, seconds: float) -> None:
    while True:
        time.sleep(seconds)
        try:
            line.send("alive")
        except OSError:
            os._exit(0)


def _work(line: _Line, job: dict[str, Any]) -> None:
    from study.tracking.messages import message
    from study.trial.config import TrialConfig
    from study.trial.records import Trained
    from study.trial.training import train_until

    line.key = job["key"]
    line.send("started")
    try:
        config = TrialConfig.from_flat(job["config"])

        def stop() -> bool:
            return job["may_stop"] and _told_to_stop(line)

        for record in train_until(config, stop, test=job["test"], dear=job["dear"]):
            # Of a sweep's many networks only the confirmed ones keep their parameters.
            if not isinstance(record, Trained) or (job["test"] and record.size <= MOST_KEPT):
                kind, content = message(record, config)
                line.send(kind, **content)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        raise
    except Exception as error:
        if of_the_machine(error):
            line.send("lost", why=f"could not go on: {type(error).__name__}: {error}")
        else:
            line.send("error", traceback=traceback.format_exc())


def of_the_machine(error: BaseException | None) -> bool:
    """Whether the machine failed, not the trial: no memory, no room on a disk, too many open files."""
    while error is not None:
        if isinstance(error, MemoryError):
            return True
        if isinstance(error, OSError) and error.errno in _SHORT:
            return True
        if isinstance(error, RuntimeError) and any(m in str(error) for m in _NO_MEMORY):
            return True
        error = error.__cause__ or error.__context__
    return False


def _told_to_stop(line: _Line) -> bool:
    # Waiting for the answer makes a pruned trial end at the evaluation that condemned it, however
    # busy the driver is: its number of updates does not depend on timing.
    return bool(line.hear()["stop"])

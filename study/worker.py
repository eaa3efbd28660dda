"""The process that trains: jobs in, records out, as JSON over a pipe. No mlflow, no optuna here."""

import json
import os
import signal
import time
import traceback
from multiprocessing.connection import Connection
from typing import Any


def main(pipe: Connection) -> None:
    """Serve jobs until the pipe closes. One job at a time, one thread."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the driver's to handle
    import torch

    torch.set_num_threads(1)
    try:
        while True:
            _work(pipe, json.loads(pipe.recv_bytes()))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        os._exit(0)  # the driver is gone; there is nobody to tell


def _work(pipe: Connection, job: dict[str, Any]) -> None:
    def send(kind: str, **content: Any) -> None:
        about = {"kind": kind, "key": job["key"], "ms": int(time.time() * 1000)}
        pipe.send_bytes(json.dumps(about | content).encode())

    from study.config import TrialConfig
    from study.messages import message
    from study.training import Trained, train_until

    send("started")
    try:
        config = TrialConfig.from_flat(job["config"])

        def stop() -> bool:
            return job["may_stop"] and _told_to_stop(pipe)

        for record in train_until(config, stop, test=job["test"]):
            # Of a sweep's many networks those that write keep their parameters, once confirmed.
            if not isinstance(record, Trained) or (job["test"] and config.task.writes):
                kind, content = message(record, config)
                send(kind, **content)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        raise
    except Exception:
        send("error", traceback=traceback.format_exc())


def _told_to_stop(pipe: Connection) -> bool:
    # Waiting for the answer makes a pruned trial end at the evaluation that condemned it, however
    # busy the driver is: its number of updates does not depend on timing.
    return bool(json.loads(pipe.recv_bytes())["stop"])

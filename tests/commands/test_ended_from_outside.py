"""A training that is told to end from outside keeps its run: SIGTERM, a terminal that closes."""

import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from study.base.interruption import first_interrupt
from study.tracking.store import Store

ROOT = Path(__file__).resolve().parents[2]
LONG = [
    "train",
    *(
        word
        for setting in (
            "task.name=hello",
            "model.hidden=2",
            "train.batch=2",
            "train.lr=1e-9",  # never solved
            "train.steps=1000000",
            "train.evaluate_every=50",
        )
        for word in ("--set", setting)
    ),
]


_started: list[subprocess.Popen[bytes]] = []


@pytest.fixture(autouse=True)
def _none_goes_on() -> Iterator[None]:
    yield
    while _started:
        _started.pop().kill()


def start(folder: Path, terminal: int | None) -> subprocess.Popen[bytes]:
    out = folder / "out"
    process = subprocess.Popen(
        [sys.executable, "-c", TRAIN, *LONG],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "COLUMNS": "80"},
        stdin=subprocess.DEVNULL if terminal is None else terminal,
        stdout=out.open("wb") if terminal is None else terminal,
        stderr=subprocess.STDOUT if terminal is None else terminal,
        start_new_session=True,
    )
    _started.append(process)
    return process


# The terminal is the process's own, so that the kernel tells it of the end.
TRAIN = """
import fcntl, os, sys, termios
if os.isatty(0):
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
from study.commands.entry import main
sys.argv[0] = "longlag"
main()
"""


def wait_for(said: bytearray, read, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    while said.count(b"train loss") < 2:
        assert process.poll() is None, said
        assert time.monotonic() < deadline, said
        said += read()
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_training_that_is_ended_by_a_signal_is_kept(tmp_path: Path, number: int) -> None:
    process = start(tmp_path, None)
    said = bytearray()

    def read() -> bytes:
        said.clear()
        return (tmp_path / "out").read_bytes()

    wait_for(said, read, process)
    process.send_signal(number)
    assert process.wait(timeout=60) == 128 + number
    check_kept(tmp_path)
    assert "stopped after" in (tmp_path / "out").read_text()


def test_a_training_whose_terminal_closes_is_kept(tmp_path: Path) -> None:
    here, there = pty.openpty()
    process = start(tmp_path, there)
    os.close(there)
    wait_for(bytearray(), lambda: os.read(here, 4096), process)
    os.close(here)
    # Its shell says it once more.
    time.sleep(0.05)
    if process.poll() is None:
        process.send_signal(signal.SIGHUP)
    assert process.wait(timeout=60) == 128 + signal.SIGHUP
    check_kept(tmp_path)


def check_kept(folder: Path) -> None:
    (run,) = Store.open(folder).study("train").runs
    assert (run.status, run.tags["outcome"]) == ("FINISHED", "pruned")
    assert run.params["model.hidden"] == "2"
    with Store.open(folder).artifact(run.run_id, "weights.pt") as file:
        assert file.stat().st_size > 0
    assert not list((folder / "mlruns" / "spool" / "train").iterdir())


def test_a_hang_up_that_is_ignored_stays_so() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as after nohup
    try:
        with first_interrupt(terminate=True) as asked:
            signal.raise_signal(signal.SIGHUP)
        assert not asked.is_set()
    finally:
        signal.signal(signal.SIGHUP, before)


def test_the_exit_code_is_the_signals() -> None:
    for number in (signal.SIGTERM, signal.SIGHUP):
        with first_interrupt(terminate=True) as asked:
            signal.raise_signal(number)
            assert asked.is_set()
            assert asked.exit_code == 128 + number
    with first_interrupt(terminate=True):
        signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGHUP)  # gives nothing up
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)

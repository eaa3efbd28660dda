"""The machine's failures: a worker that dies, is stopped or finds no memory uses up no trial."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import study.trial.training
from study.commands.entry import main
from study.spaces.file import load
from study.sweep import worker
from study.sweep.deaths import MOST_TRIES, TRIES_A_SWEEP, Deaths
from study.sweep.driver import Sweep
from study.sweep.execution import Died, LocalPool, Message, Patience, Silent
from study.sweep.progress import ArmProgress
from study.tracking.store import Store
from study.trial.config import TrialConfig
from study.trial.construction import build_model

HERE = str(Path(study.__file__).parent.parent)

SPACE = """
[study]
name = "tiny"
trials = 2
confirmations = 1
reruns = 0

[fixed]
train.probes = "gradient_flow,audit,writing"
task.length = 5
model.hidden = 4
train.batch = 4
train.steps = {steps}
train.evaluate_every = 20

[compare.network]
tanh = {{ model.cell = "elman" }}
gru = {{ model.cell = "gru" }}

[search]
train.lr = {{ low = 0.001, high = 0.1, log = true }}
"""


def job(key: str = "a", steps: int = 5_000_000) -> dict[str, Any]:
    # So slow a rate that it does not end by solving its task.
    rate = {"train.lr": 1e-9, "train.steps": steps}
    config = {"task.length": 20, "model.hidden": 8, "train.batch": 4, **rate}
    return {"key": key, "config": config, "test": False, "dear": False, "may_stop": False}


def dead(key: str, too_long: bool = False) -> Died:
    return Died({"key": key}, "was killed by signal 9", too_long)


# What is decided


def test_a_trial_is_run_again_then_set_aside_and_fails_only_after_many_tries() -> None:
    verdicts = []
    earlier = 0
    while earlier < MOST_TRIES:
        deaths = Deaths(workers=8)  # of each sweep its own
        for _ in range(TRIES_A_SWEEP):
            verdict, told = deaths.add(dead("a"), earlier)
            assert "was killed by signal 9" in told
            verdicts.append(verdict)
            earlier += 1
    assert verdicts == ["again", "aside"] * (MOST_TRIES // TRIES_A_SWEEP - 1) + ["again", "failed"]


@pytest.mark.parametrize("workers", [1, 2, 16])
def test_all_workers_killed_at_once_stop_nothing_and_more_do(workers: int) -> None:
    deaths = Deaths(workers)
    verdicts = [deaths.add(dead(str(i)), 0)[0] for i in range(workers + 3)]
    assert verdicts == ["again"] * (workers + 2) + ["stop"]
    assert f"{workers + 3} workers died one after another" in deaths.stopped


def test_a_trial_that_ended_in_between_shows_that_the_machine_still_works() -> None:
    deaths = Deaths(1)
    for i in range(50):
        assert deaths.add(dead(str(i)), 0)[0] == "again"
        deaths.over()
    assert not deaths.stopped


def test_what_took_too_long_is_set_aside_at_once_and_is_no_death() -> None:
    deaths = Deaths(1)
    verdicts = {deaths.add(dead(str(i), too_long=True), MOST_TRIES)[0] for i in range(50)}
    assert verdicts == {"aside"}
    assert deaths.aside == {str(i) for i in range(50)}


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory"
        ),
        RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        OSError(28, "No space left on device"),
        OSError(24, "Too many open files"),
    ],
)
def test_the_machines_failures_are_told_from_a_trials(error: Exception) -> None:
    assert worker.of_the_machine(error)
    outer = ValueError("while the batch was made")
    outer.__cause__ = error
    assert worker.of_the_machine(outer)


@pytest.mark.parametrize(
    "error",
    [
        ZeroDivisionError(),
        RuntimeError("shapes differ"),
        FileNotFoundError(2, "No such file"),
        ValueError(),
    ],
)
def test_a_trials_own_failures_are_its_own(error: Exception) -> None:
    assert not worker.of_the_machine(error)


# Real workers


def until(pool: LocalPool, wanted: Callable[[Any], bool], seconds: float = 120) -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for event in pool.events(0.2):
            if wanted(event):
                return event
    raise AssertionError("what was waited for did not come")


def begun(event: Any) -> bool:
    return isinstance(event, Message) and event.kind == "evaluation"


@pytest.fixture
def pool(forked: None) -> Iterator[LocalPool]:
    # Signs of life come late on a busy machine.
    with LocalPool(1, Patience(alive=0.2, told=3, silence=5)) as running:
        yield running


def test_a_worker_that_is_stopped_is_told_once_then_replaced(pool: LocalPool) -> None:
    pool.submit(job("stopped"))
    until(pool, begun)
    pid = pool._workers[0].process.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    silent = until(pool, lambda e: isinstance(e, Silent))
    assert (silent.pid, silent.job["key"]) == (pid, "stopped")
    next_ = until(pool, lambda e: not isinstance(e, Message))
    assert isinstance(next_, Died)
    assert next_.why.startswith("was silent for")
    assert not Path(f"/proc/{pid}").exists()
    # Its place has been taken.
    pool.submit(job("next", steps=20))
    assert until(pool, lambda e: isinstance(e, Message) and e.kind == "result").job["key"] == "next"


def test_a_worker_that_is_stopped_for_a_moment_goes_on(pool: LocalPool) -> None:
    pool.submit(job("paused"))
    until(pool, begun)
    pid = pool._workers[0].process.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    until(pool, lambda e: isinstance(e, Silent))
    os.kill(pid, signal.SIGCONT)
    assert until(pool, lambda e: isinstance(e, (Message, Died))).job["key"] == "paused"
    assert pool._workers[0].process.pid == pid


@pytest.mark.usefixtures("forked")
def test_a_driver_that_was_stopped_itself_blames_no_worker() -> None:
    with LocalPool(1, Patience(told=3, silence=6)) as pool:
        pool.submit(job("long"))
        until(pool, begun)
        pool._looked -= 3600  # as if this process had slept for an hour
        events = list(pool.events(0))
        assert not any(isinstance(e, (Died, Silent)) for e in events)


@pytest.mark.usefixtures("forked")
def test_a_worker_that_computes_for_long_without_a_word_is_not_silent() -> None:
    with LocalPool(1, Patience(alive=0.2, told=3, silence=4)) as pool:
        long = job("long")
        long["config"] |= {"train.evaluate_every": 10**6, "train.steps": 10**6}
        pool.submit(long)
        until(pool, lambda e: isinstance(e, Message) and e.kind == "evaluation")
        end = time.monotonic() + 6
        while time.monotonic() < end:
            assert not [e for e in pool.events(0.5) if isinstance(e, (Died, Silent))]


@pytest.mark.usefixtures("forked")
def test_a_trial_over_its_time_is_ended() -> None:
    with LocalPool(1, Patience(job=0.6)) as pool:
        pool.submit(job("long"))
        event = until(pool, lambda e: isinstance(e, Died))
        assert event.too_long
        assert "0.01 minutes, the limit" in event.why
        assert pool.free == 1


# Whole sweeps


def command(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "study", "sweep", "tiny.toml", "--workers", "2"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": HERE},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def workers_of(pid: int) -> list[int]:
    """Its children that train, by their command: the one that tracks resources is left alone."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    found = []
    for child in map(int, children):
        try:
            if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
                found.append(child)
        except OSError:
            continue
    return found


def outcomes(folder: Path) -> list[str]:
    study = Store.open(folder).study("tiny")
    return [
        run.tags["outcome"]
        for run in study.runs
        if run.tags.get("role") in ("trial", "confirmation") and "outcome" in run.tags
    ]


@pytest.mark.usefixtures("forked")
def test_workers_killed_for_long_stop_the_sweep_and_use_up_no_trial(tmp_path: Path) -> None:
    (tmp_path / "tiny.toml").write_text(SPACE.format(steps=60))
    Store.open(tmp_path, create=True)  # from the tables that are there
    driver = command(tmp_path)
    while driver.poll() is None:
        for pid in workers_of(driver.pid):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.2)
    out, err = driver.communicate()
    assert driver.returncode == 1, out + err
    assert "Traceback" not in out + err
    assert "5 workers died one after another" in err
    assert "6 runs still to do; go on with: longlag sweep tiny.toml" in err
    assert not outcomes(tmp_path)

    *_, last = Sweep(load(tmp_path / "tiny.toml"), tmp_path, 2).run()
    assert (last.left, sorted(outcomes(tmp_path))) == (0, ["budget"] * 6)


@pytest.fixture
def longlag(
    tmp_path: Path,
    forked: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Callable[[], tuple[int, str]]:
    """Sweeps in this process by the command line: exit code and stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["longlag", "sweep", "tiny.toml", "--workers", "2"])

    def run() -> tuple[int, str]:
        with pytest.raises(SystemExit) as end:
            main()
        code = end.value.code
        return (code if isinstance(code, int) else 0), capsys.readouterr().err

    return run


def no_gru(error: Exception) -> Callable[[TrialConfig], object]:
    def build(config: TrialConfig) -> object:
        if config.cell.name == "gru":
            raise error
        return build_model(config)

    return build


def test_a_machine_without_memory_uses_up_no_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, longlag: Callable[[], tuple[int, str]]
) -> None:
    # The failure that torch reports, in every trial of one arm, until there is memory again.
    (tmp_path / "tiny.toml").write_text(SPACE.format(steps=60))
    short = RuntimeError("DefaultCPUAllocator: can't allocate memory")
    with monkeypatch.context() as patch:
        patch.setattr(study.trial.training, "build_model", no_gru(short))
        code, err = longlag()
    assert code == 1, err
    assert err.count("can't allocate memory; it is set aside") == 2, err
    assert "3 runs still to do" in err
    assert sorted(outcomes(tmp_path)) == ["budget"] * 3

    *_, last = Sweep(load(tmp_path / "tiny.toml"), tmp_path, 2).run()
    assert (last.left, sorted(outcomes(tmp_path))) == (0, ["budget"] * 6)


def test_what_failed_by_itself_is_run_again_when_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, longlag: Callable[[], tuple[int, str]]
) -> None:
    (tmp_path / "tiny.toml").write_text(SPACE.format(steps=20))
    space = load(tmp_path / "tiny.toml")
    fault = ZeroDivisionError("a fault of the program")
    with monkeypatch.context() as patch:
        patch.setattr(study.trial.training, "build_model", no_gru(fault))
        _, err = longlag()
    assert "2 runs failed" in err, err
    assert "longlag sweep tiny.toml --retry" in err
    assert sorted(outcomes(tmp_path)) == ["budget"] * 3 + ["failed"] * 2

    # Unasked they are left alone.
    run = Sweep(space, tmp_path, 2)
    list(run.run())
    assert not run.ran

    run = Sweep(space, tmp_path, 2, retry=True)
    list(run.run())
    assert any("failed and are run again" in told for told in run.status.warnings)
    live = [
        r
        for r in Store.open(tmp_path).study("tiny").runs
        if r.tags.get("superseded") != "true" and r.tags.get("role") != "arm"
    ]
    assert sorted(r.tags["outcome"] for r in live) == ["budget"] * 6
    assert len({r.tags["trial_key"] for r in live}) == 6
    # The runs that failed are still to be looked at, and count no more.
    assert sorted(outcomes(tmp_path)) == ["budget"] * 6 + ["failed"] * 2

    again = Sweep(space, tmp_path, 2, retry=True)
    list(again.run())
    assert not again.ran
    progress: ArmProgress
    for progress in again.progress.values():
        assert (progress.count("failed"), progress.left) == (0, 0)

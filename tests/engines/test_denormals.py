"""Denormal numbers are zero in updates and evaluations, and as the caller has them everywhere else."""

import ctypes
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from denormal import survives
from torch import nn
from torch.optim.optimizer import register_optimizer_step_pre_hook

from study.engines.denormals import flushed
from study.probes import Probe
from study.trial import training
from study.trial.config import TrialConfig
from study.trial.records import Evaluation, Record, Result
from study.trial.training import train

FTZ, DAZ = 0x8000, 0x40
MXCSR = 28  # where it lies in glibc's fenv_t on x86-64


@contextmanager
def thread_flushing(flushing: bool) -> Iterator[None]:
    before = survives()
    torch.set_flush_denormal(flushing)
    try:
        yield
    finally:
        torch.set_flush_denormal(not before)


@pytest.mark.parametrize("outside", [False, True], ids=["kept", "flushed"])
def test_on_leaving_the_thread_is_as_it_was(outside: bool) -> None:
    with thread_flushing(outside):
        with flushed():
            assert not survives()
            assert float(torch.tensor([1e-39]) * 0.5) == 0  # written
            assert float(torch.tensor([1e-39]) * 1e30) == 0  # read
            with flushed():
                assert not survives()
            assert not survives()
        assert survives() is not outside
        with pytest.raises(KeyError), flushed():
            raise KeyError
        assert survives() is not outside


def test_another_thread_is_left_alone() -> None:
    found: list[bool] = []
    with flushed():
        pass
    inside, look = threading.Event(), threading.Event()

    def other() -> None:
        inside.wait(5)
        found.append(survives())
        look.set()

    thread = threading.Thread(target=other)
    thread.start()
    with flushed():
        inside.set()
        look.wait(5)
    thread.join()
    assert found == [True]


@pytest.mark.skipif(
    sys.platform != "linux" or "x86_64" not in sys.implementation._multiarch,
    reason="the control word is looked for where glibc keeps it on x86-64",
)
@pytest.mark.parametrize("bits", [0, FTZ, DAZ, FTZ | DAZ])
def test_the_whole_control_word_comes_back(bits: int) -> None:
    library = ctypes.CDLL(None)
    environment, before = (ctypes.c_char * 256)(), (ctypes.c_char * 256)()

    def word() -> ctypes.c_uint32:
        library.fegetenv(environment)
        return ctypes.c_uint32.from_buffer(environment, MXCSR)

    library.fegetenv(before)
    try:
        word().value = word().value & ~(FTZ | DAZ) | bits
        library.fesetenv(environment)
        with flushed():
            assert word().value & (FTZ | DAZ) == FTZ | DAZ
        assert word().value & (FTZ | DAZ) == bits
    finally:
        library.fesetenv(before)


def test_where_torch_has_several_threads_nothing_changes() -> None:
    """Its helpers take over the mode of the thread that starts them, and keep it."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with flushed():
            assert survives()
    finally:
        torch.set_num_threads(before)


def config(engine: str, **changes: object) -> TrialConfig:
    return TrialConfig.from_flat(
        {
            "task.name": "adding",
            "task.length": 6,
            "model.cell": "gru",
            "model.hidden": 4,
            "train.engine": engine,
            "train.batch": 3,
            "train.steps": 4,
            "train.evaluate_every": 2,
        }
        | {name.replace("__", "."): value for name, value in changes.items()}
    )


@pytest.fixture
def spied(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, list[bool]]]:
    """Whether denormal numbers survive wherever training computes, by place."""
    found: dict[str, list[bool]] = {}

    def note(where: str) -> None:
        found.setdefault(where, []).append(survives())

    built = training.build_model

    def build(trial: TrialConfig) -> nn.Module:
        model = built(trial)
        model.register_forward_pre_hook(lambda *_: note("forward"))
        model.readout.weight.register_hook(lambda _: note("backward"))
        return model

    monkeypatch.setattr(training, "build_model", build)
    monkeypatch.setattr(Probe, "__call__", lambda *_: note("probe"))
    hook = register_optimizer_step_pre_hook(lambda *_: note("optimizer"))
    yield found
    hook.remove()


@pytest.mark.parametrize("outside", [False, True], ids=["kept", "flushed"])
@pytest.mark.parametrize("engine", ["native", "reference"])
def test_in_training(engine: str, outside: bool, spied: dict[str, list[bool]]) -> None:
    with thread_flushing(outside):
        for record in train(config(engine), test=True):
            assert survives() is not outside, record
        assert survives() is not outside
    assert (len(spied["backward"]), len(spied["optimizer"])) == (4, 4)
    assert len(spied["probe"]) > 2  # before, within and after the training
    assert len(spied["forward"]) > 4  # of evaluations too
    for where, times in spied.items():
        expected = not outside if where == "probe" else False
        assert set(times) == {expected}, where


def test_records_that_nobody_asks_for_any_more() -> None:
    records = train(config("reference"))
    next(record for record in records if isinstance(record, Evaluation) and record.step)
    assert survives()
    records.close()
    assert survives()


def test_an_error_in_an_update(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        assert not survives()
        raise MemoryError("no room")

    hook = register_optimizer_step_pre_hook(fails)
    try:
        with pytest.raises(MemoryError):
            list(train(config("reference")))
    finally:
        hook.remove()
    assert survives()


def without_times(records: list[Record]) -> list[Record]:
    *others, result = records
    assert isinstance(result, Result)
    timed = {"wall_seconds": 0.0, "seconds_per_step": 0.0}
    return [*others, Result(**{**result.as_dict(), **timed})]


@pytest.mark.parametrize("engine", ["native", "reference"])
def test_a_gradient_that_does_not_vanish_is_what_it_was(
    engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = without_times(list(train(config(engine), test=True)))
    with monkeypatch.context() as patch:
        patch.setattr("study.engines.denormals.torch.set_flush_denormal", lambda _: True)
        with flushed():
            assert survives()
        expected = without_times(list(train(config(engine), test=True)))
    assert found == expected

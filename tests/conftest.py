"""Settings of the whole test run."""

import multiprocessing
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from order import place

# Of a run in the background these are ignored, and would be by every program that a test starts.
for _number in (signal.SIGHUP, signal.SIGINT):
    if signal.getsignal(_number) is signal.SIG_IGN:
        _handler = signal.default_int_handler if _number == signal.SIGINT else lambda *_: None
        signal.signal(_number, _handler)

# Every process that a test starts would compile the whole program anew, for half a second.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# The tests' tensors are tiny: more threads only wait for one another.
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _same_draws() -> None:
    """What a test draws without saying from where does not depend on the tests before it."""
    torch.manual_seed(0)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):  # one of several workers
        items.sort(key=lambda item: place(item.path))


@pytest.fixture(scope="session", autouse=True)
def _tables_are_made_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """MLflow takes a second for a new database's tables: later ones are copies of the first."""
    tracking = sys.modules.get("study.tracking.store")
    if tracking is None:
        yield
        return
    make, folder = tracking._make_tables, tmp_path_factory.mktemp("tables")

    def copied(file: Path) -> None:
        if not (folder / "whole.db").exists():
            make(folder / "begun.db")
            (folder / "begun.db").rename(folder / "whole.db")
        shutil.copyfile(folder / "whole.db", file)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tracking, "_make_tables", copied)
        yield


@pytest.fixture(scope="session")
def _training_is_loaded() -> None:
    import torch._dynamo  # with the first step of an optimizer  # noqa: F401

    import study.trial.training  # noqa: F401


@pytest.fixture(scope="module")
def forked(_training_is_loaded: None) -> Iterator[None]:
    """Workers are copies of this process, patches included: one of its own loads torch for seconds.

    As a sweep starts them they are where the program runs as a process (`test_deaths`, `test_cli`).
    """
    with pytest.MonkeyPatch.context() as patch:
        fork = multiprocessing.get_context("fork")
        patch.setattr("study.sweep.execution.get_context", lambda _: fork)
        yield

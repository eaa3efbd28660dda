"""Settings of the whole test run."""

import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

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


# Several workers are given these files first: a long one that begins last is waited for by all.
LONG = (
    "test_sweep.py",
    "engines/test_jacobian.py",  # compiles the catalogue
    "test_tasks_criteria.py",
    "test_tasks_learn.py",
    "test_store_faults.py",
    "test_tasks.py",
    "analysis/test_figures.py",
    "engines/test_deep_passes.py",
    "test_cli.py",
    "test_ended_from_outside.py",
    "test_store_edits.py",
    "test_installation.py",
    "engines/test_within_torch.py",
    "test_tracking.py",
    "test_credit.py",
    "test_reference_engine.py",
)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):
        here = Path(__file__).parent
        place = {here / name: number for number, name in enumerate(LONG)}
        items.sort(key=lambda item: place.get(item.path, len(place)))


@pytest.fixture(scope="session", autouse=True)
def _tables_are_made_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """MLflow takes a second for a new database's tables: later ones are copies of the first."""
    tracking = sys.modules.get("study.tracking")
    if tracking is None:
        yield
        return
    make, first = tracking._make_tables, tmp_path_factory.mktemp("tables") / "first.db"

    def copied(file: Path) -> None:
        if not first.exists():
            make(first)
        shutil.copyfile(first, file)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tracking, "_make_tables", copied)
        yield

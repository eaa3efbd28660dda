"""Workers that start at once."""

import multiprocessing
from collections.abc import Iterator

import pytest


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

"""The baselines of a task, fitted once: the user's cache folder has them afterwards."""

import inspect
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch

from study.base.user_cache import keep, recall
from study.tasks.base import DatasetTask, Task
from study.tasks.baselines import Baseline, baselines
from study.tasks.fingerprint import fingerprint

_KIND = "baselines"
_SHOWN = 100  # training sequences of those drawn that a fingerprint is of


def known(task: Task) -> list[Baseline] | None:
    """As `baselines`; None where they have not been fitted to the same sequences by the same code."""
    return [] if task.reads_state else _recalled(_of(task))


def fitted(task: Task) -> list[Baseline]:
    """As `baselines`: those known, or else fitted now, and kept."""
    of = _of(task)
    found = _recalled(of)
    if found is None:
        found = baselines(task)
        if of is not None:
            keep(_KIND, of, [asdict(baseline) for baseline in found])
    return found


def _recalled(of: Mapping[str, Any] | None) -> list[Baseline] | None:
    found = None if of is None else recall(_KIND, of)
    return None if found is None else [Baseline(**baseline) for baseline in found]


def _of(task: Task) -> dict[str, Any] | None:
    """What the numbers depend on; None for a task that was typed in, whose code is in no file."""
    try:
        own = Path(inspect.getfile(type(task)))
        code = _digest(tuple(sorted({*Path(__file__).parent.rglob("*.py"), own})))
    except (OSError, TypeError):
        return None
    if isinstance(task, DatasetTask):
        data = task.data_id
    else:
        shown = (("training", next(task.training(0, _SHOWN))), ("validation", task.validation()))
        data = fingerprint(shown, [])
    return {
        "task": task.model_dump(mode="json"),
        "data": data,
        "code": code,
        "torch": torch.__version__,
    }


@cache
def _digest(files: tuple[Path, ...]) -> str:
    digest = sha256()
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()

"""How much arithmetic an update takes."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from study.engines.denormals import flushed
from study.networks.model import Model
from study.networks.predictor import Predictor
from study.tasks.base import Batch
from study.trial.parts import TrialParts

BACKWARD = (
    2  # times the forward pass: a gradient by the inputs of each product, and one by its weights
)
_FEW = 16  # steps; what more of them take goes on evenly
_counted: dict[str, int] = {}


@flushed()
def per_update(config: TrialParts, model: Model, batch: Batch) -> int:
    """Floating-point operations of the matrix products of one update, forward and back, over the whole past.

    A multiplication and an addition are two. ``batch`` has sequences of the task. What works element by
    element, such as a nonlinearity, is not counted. A guess goes forward only.
    """
    train = config.train
    parts = config.model_dump(include={"task", "model", "attention", "decoder"})
    key = repr(parts)
    if key not in _counted:
        _counted[key] = of_sequence(model, batch)
    passes = 1 if train.optimizer == "guess" else 1 + BACKWARD
    return _counted[key] * passes * train.batch


def of_sequence(model: Model, batch: Batch) -> int:
    """Of one forward pass over the first sequence of a batch."""
    one = batch.take(slice(0, 1))
    steps = len(one.inputs)
    if not isinstance(model, Predictor) or steps <= 2 * _FEW:
        return _count(model, one)
    # Each step takes the same: thousands of them need not be run.
    few, more = (_count(model, _begun(one, n)) for n in (_FEW, 2 * _FEW))
    return few + (more - few) // _FEW * (steps - _FEW)


def _begun(batch: Batch, steps: int) -> Batch:
    return replace(batch, inputs=batch.inputs[:steps], ends=None)


def _count(model: Model, batch: Batch) -> int:
    counter = _Counter()
    with torch.no_grad(), _readable(model), counter:
        model(batch)
    return counter.total


class _Counter(TorchDispatchMode):
    """Adds up what torch says of its own operations.

    torch's FlopCounterMode follows modules too, and fails on one that returns a parameter.
    """

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        count = flop_registry.get(func._overloadpacket)
        if count is not None:
            self.total += int(count(*args, **(kwargs or {}), out_val=out))
        return out


@contextmanager
def _readable(model: Model) -> Iterator[None]:
    """By torch's own operations, which can be counted; a kernel is one operation to it."""
    engines = [layer.engine for layer in model.layers]
    try:
        for layer in model.layers:
            layer.engine = "reference"
        yield
    finally:
        for layer, engine in zip(model.layers, engines, strict=True):
            layer.engine = engine

"""How many units a network has where its number of parameters is given."""

import math
from functools import lru_cache

import numpy as np

from study.base.errors import UserError
from study.trial.construction import build_model
from study.trial.parts import TrialParts
from study.trial.sections import MOST_UNITS, InitConfig, ModelConfig

WITHIN = 0.1  # of the number asked for


def sized(config: TrialParts) -> ModelConfig:
    """The network with the H at which its trained numbers are nearest to ``model.parameters``.

    Raises UserError where ``model.hidden`` is given beside it and is another number, and where no H
    comes within a tenth.
    """
    model = config.model
    hidden, count = _nearest(_Shape(config))
    if abs(count - model.parameters) > WITHIN * model.parameters:
        raise UserError(
            f"no number of units gives the cell {model.cell!r} about {model.parameters:,} parameters on "
            f"task {config.task.name!r}: with model.hidden = {hidden} it has {count:,}"
        )
    if "hidden" in model.model_fields_set and model.hidden != hidden:
        raise UserError(
            f"model.hidden follows from model.parameters; leave it out (got {model.hidden}, and "
            f"{model.parameters:,} parameters take {hidden})"
        )
    return model.model_copy(update={"hidden": hidden})


class _Shape:
    """What the number of parameters depends on; equal for configurations that differ in other things."""

    def __init__(self, config: TrialParts) -> None:
        # Initial values do not change how many there are, and some cost more to draw than others.
        self.config = config.model_copy(update={"init": InitConfig(), "seed": 0})
        parts = self.config.model_dump(include={"task", "model", "attention", "decoder"})
        parts["model"].pop("hidden")
        self._key = repr(parts)
        self._counts: dict[int, int] = {}

    def count(self, hidden: int) -> int:
        if hidden not in self._counts:
            model = self.config.model.model_copy(update={"hidden": hidden})
            built = build_model(self.config.model_copy(update={"model": model}))
            self._counts[hidden] = built.parameter_count()
        return self._counts[hidden]

    def __hash__(self) -> int:
        return hash(self._key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Shape) and self._key == other._key


@lru_cache(maxsize=1024)
def _nearest(shape: _Shape) -> tuple[int, int]:
    """H and the number of parameters, which grows with it."""
    wanted = shape.config.model.parameters
    low = high = _guess(shape, wanted)
    step = 1
    while low > 1 and shape.count(low) >= wanted:
        low, high, step = max(1, low - step), low, 2 * step
    step = 1
    while high < MOST_UNITS and shape.count(high) < wanted:
        low, high, step = high, min(MOST_UNITS, high + step), 2 * step
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if shape.count(middle) < wanted else (low, middle)
    found = ((hidden, shape.count(hidden)) for hidden in (low, high))
    return min(found, key=lambda pair: abs(pair[1] - wanted))


def _guess(shape: _Shape, wanted: int) -> int:
    """The H below, by the parabola through three small networks, as the number is one of H, but where
    units come in groups."""
    sizes = (8, 16, 32)
    counts = [shape.count(size) for size in sizes]
    square, linear, constant = (float(c) for c in np.polyfit(sizes, counts, 2))
    constant -= wanted
    if square < 1e-6:
        root = -constant / linear
    else:
        root = (math.sqrt(max(linear**2 - 4 * square * constant, 0)) - linear) / (2 * square)
    return max(1, min(MOST_UNITS, int(root + 1e-6)))

"""Networks that the tests of Jacobians and of Lyapunov exponents are about."""

import torch
from torch import Tensor

from study.language.cell import Cell
from study.networks.layer import Layer
from study.networks.model import Model
from study.networks.predictor import Predictor
from study.tasks.base import Task
from study.trial.config import TrialConfig
from study.trial.construction import build_model

TASK = TrialConfig().task  # where what is asked makes no difference
SHAPES: dict[str, dict[str, object]] = {
    "layers": {"model.layers": 2, "model.residual": True},
    "directions": {"task.name": "temporal-order", "model.bidirectional": True},
    "deep": {"model.deep_input": 1, "model.deep_hidden": 1, "model.deep_output": 1},
    "every step": {"task.name": "copy"},
    "written": {"task.name": "transduction"},
    "attention": {"task.name": "transduction", "attention": "soft"},
    "a step to read": {"task.name": "digit-drawing"},
}


def made(**flat: object) -> tuple[Model, Task]:
    """Of a configuration; by default on the reference engine, which compiles nothing."""
    given = {"train.engine": "reference"} | {k.replace("__", "."): v for k, v in flat.items()}
    config = TrialConfig.from_flat(given)
    return build_model(config), config.task


def of_shape(name: str) -> tuple[Model, Task]:
    return made(**{"model.hidden": 4} | SHAPES[name])


def by_hand(cell: Cell | str, hidden: int, phi: str = "tanh", **values: Tensor) -> Model:
    """A network with one input, whose layer has these parameters and zeros otherwise."""
    layer = Layer(cell, 1, hidden, phi, dtype=torch.float64, engine="reference")
    with torch.no_grad():
        for name, parameter in layer.named_parameters():
            parameter.copy_(values[name] if name in values else torch.zeros_like(parameter))
    return Predictor(layer, 1, "last").double()


def map_of(equations: str, state: str = "h") -> Cell:
    return Cell(name="map", state=state, equations=equations, source="this test")


def drawn(*shape: int, seed: int = 0) -> Tensor:
    """Standard normal, float64."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)

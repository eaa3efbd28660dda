"""Networks that the tests of several probes are about."""

import torch
from torch import Tensor

from study.networks.layer import Layer
from study.networks.model import Model
from study.networks.predictor import Predictor
from study.tasks.base import Batch, Task
from study.trial.config import TrialConfig
from study.trial.construction import build_model


def made(**flat: object) -> tuple[Model, Task]:
    """Of a configuration; the reference engine, as nothing has to be compiled for it."""
    given = {"train.engine": "reference", **{k.replace("__", "."): v for k, v in flat.items()}}
    config = TrialConfig.from_flat(given)
    return build_model(config), config.task


def by_hand(
    cell: str, inputs: int, hidden: int, phi: str = "tanh", **parameters: object
) -> Predictor:
    """A float64 layer with these parameters, numbers or tensors, and zeros for all others."""
    layer = Layer(cell, inputs, hidden, phi, engine="reference", dtype=torch.float64)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.zero_()
        for name, value in parameters.items():
            parameter = layer.get_parameter(name)
            parameter.copy_(torch.as_tensor(value, dtype=torch.float64).expand_as(parameter))
    return Predictor(layer, 1, "last").double()


def read(inputs: Tensor, ends: Tensor | None = None) -> Batch:
    """Sequences (T,B,I), of which nothing is asked that a probe would look at."""
    return Batch(inputs.double(), torch.zeros(1, inputs.shape[1], 1), ends)


# Of every kind of network that there is.
SHAPES: dict[str, dict[str, object]] = {
    "layers": {"task.name": "adding", "model.layers": 2, "model.residual": True},
    "directions": {"task.name": "adding", "model.bidirectional": True, "model.layers": 2},
    "embedding and deep": {
        "task.name": "temporal-order",
        "task.length": 20,
        "model.embedding": 3,
        "model.deep_input": 1,
        "model.deep_hidden": 1,
        "model.deep_output": 1,
    },
    "every step": {"task.name": "variable-copy", "task.length": 4},
    "encoder and decoder": {"task.name": "transduction", "decoder.context": "both"},
    "soft attention": {
        "task.name": "transduction",
        "attention.name": "soft",
        "model.bidirectional": True,
    },
    "hard attention": {"task.name": "transduction", "attention.name": "hard"},
    "one step read": {"task.name": "digit-drawing"},
}


def of_shape(name: str) -> tuple[Model, Task, Batch]:
    flat = {"model.hidden": 4, **SHAPES[name]}
    if flat["task.name"] == "adding":
        flat["task.length"] = 8
    model, task = made(**flat)
    return model, task, task.validation().take(slice(8))

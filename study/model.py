"""The network that a trial trains: one recurrent layer and a linear readout."""

import math
from typing import Any, Literal

import torch
from torch import Generator, Tensor, nn

from study.engines.recording import StateGradients
from study.layer import Layer
from study.tasks.base import Batch


class Model(nn.Module):
    """Predictions (S,B,C) for the S steps it is read at: each sequence's last one, or every one.

    The readout starts as torch's linear layers do, uniform in 1/√H, drawn from ``generator``.
    """

    def __init__(
        self,
        layer: Layer,
        output_size: int,
        reads: Literal["last", "every"],
        generator: Generator | None = None,
    ) -> None:
        super().__init__()
        self.layer = layer
        self.reads = reads
        self.readout = nn.Linear(layer.hidden_size, output_size)
        bound = 1 / math.sqrt(layer.hidden_size)
        with torch.no_grad():
            for parameter in self.readout.parameters():
                parameter.uniform_(-bound, bound, generator=generator)

    def forward(
        self,
        batch: Batch,
        recorder: StateGradients | None = None,
        **credit: Any,
    ) -> Tensor:
        """``credit``: the arguments of `Layer.forward` that say how the gradient is computed."""
        outputs, _ = self.layer(batch.inputs, recorder=recorder, **credit)  # (T,B,H)
        if self.reads == "last":
            if batch.ends is None:
                outputs = outputs[-1:]
            else:
                outputs = outputs[batch.ends, torch.arange(len(batch))][None]
        return self.readout(outputs)

    def parameter_count(self) -> int:
        return self.layer.parameter_count() + sum(p.numel() for p in self.readout.parameters())

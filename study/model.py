"""The network that a trial trains: recurrent layers and a linear readout."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Generator, Tensor, nn

from study.engines.recording import Limit, StateGradients
from study.layer import Layer
from study.stack import Stack
from study.tasks.base import Batch, Reads


class Model(nn.Module):
    """Predictions (S,B,C) for the S steps it is read at: each sequence's last one, or every one.

    The readout starts as torch's linear layers do, uniform in 1/√H, of two directions 1/√2H, drawn from
    ``generator``. Read once a sequence, each direction has then seen all of it:
    the forward one's output at the last step and the backward one's at the first, as is usual with
    torch; at the last step the backward one has seen that step alone. The backward direction starts
    at each sequence's own end.
    """

    def __init__(
        self,
        layer: Layer | Stack,
        output_size: int,
        reads: Reads,
        generator: Generator | None = None,
    ) -> None:
        super().__init__()
        self.layer = layer
        self.reads = reads
        self.both_directions = isinstance(layer, Stack) and layer.directions == 2
        width = layer.hidden_size * (2 if self.both_directions else 1)
        self.readout = nn.Linear(width, output_size)
        bound = 1 / math.sqrt(width)
        with torch.no_grad():
            for parameter in self.readout.parameters():
                parameter.uniform_(-bound, bound, generator=generator)

    def forward(
        self,
        batch: Batch,
        recorder: StateGradients | None = None,
        limits: Sequence[Limit] = (),
        **credit: Any,
    ) -> Tensor:
        """``recorder`` is for the layer `top`, ``limits`` none or one for each of `layers`.

        ``credit``: the arguments of `Layer.forward` that say how the gradient is computed.
        """
        lengths = None
        if self.both_directions and batch.ends is not None:
            lengths = batch.ends + 1
        if isinstance(self.layer, Stack):
            recorders = [recorder if layer is self.top else None for layer in self.layers]
            outputs, _ = self.layer(
                batch.inputs,
                recorders=recorders,
                lengths=lengths,
                limits=limits or None,
                **credit,
            )  # (T,B,H or 2H)
        else:
            limit = limits[0] if limits else None
            outputs, _ = self.layer(batch.inputs, recorder=recorder, limit=limit, **credit)
        if self.reads == "last":
            outputs = self._last(outputs, batch)
        return self.readout(outputs)

    def _last(self, outputs: Tensor, batch: Batch) -> Tensor:
        """(T,B,…) -> (1,B,…), what each direction puts out once it has read the whole sequence."""
        each = torch.arange(len(batch))
        last = outputs[-1:] if batch.ends is None else outputs[batch.ends, each][None]
        if not self.both_directions:
            return last
        size = self.layer.hidden_size
        return torch.cat([last[..., :size], outputs[:1, :, size:]], dim=-1)

    @property
    def layers(self) -> list[Layer]:
        """From the bottom up; of two directions the forward one first."""
        return [module for module in self.layer.modules() if isinstance(module, Layer)]

    @property
    def top(self) -> Layer:
        """The layer that is read; of two directions the forward one."""
        return self.layer.top if isinstance(self.layer, Stack) else self.layer

    def parameter_count(self) -> int:
        return self.layer.parameter_count() + sum(p.numel() for p in self.readout.parameters())

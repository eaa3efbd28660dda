"""Several recurrent layers, in one direction or both."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Generator, Tensor, nn

from study.base.errors import UserError
from study.credit import Credit
from study.engines.recording import Limit, StateGradients
from study.engines.select import as_lengths
from study.language.cell import Cell
from study.networks.layer import Layer


class Stack(nn.Module):
    """Layers on top of each other, each in one direction or in both (Schuster & Paliwal, 1997).

    ``Stack("lstm", 3, 5, layers=2, bidirectional=True)``; further arguments are those of `Layer`.
    ``stack.layers`` has the `Layer`s in torch's order: first layer forward, first layer backward,
    second layer forward, …. A layer above the first reads the outputs of both directions below;
    with ``residual`` its output is added to what it reads, which is as wide (He et al., 2016).
    """

    def __init__(
        self,
        cell: str | Cell,
        input_size: int,
        hidden_size: int,
        phi: str = "tanh",
        *,
        layers: int = 1,
        bidirectional: bool = False,
        residual: bool = False,
        **settings: Any,
    ) -> None:
        super().__init__()
        if layers < 1:
            raise UserError(f"layers must be at least 1 (got {layers})")
        self.directions = 2 if bidirectional else 1
        self.residual = residual
        self.hidden_size = hidden_size
        self.layers = nn.ModuleList(
            Layer(cell, width, hidden_size, phi, **settings)
            for width in [input_size] + [self.directions * hidden_size] * (layers - 1)
            for _ in range(self.directions)
        )

    def forward(
        self,
        x: Tensor,
        states: Sequence[Mapping[str, Tensor] | None] | None = None,
        *,
        recorders: Sequence[StateGradients | None] | None = None,
        lengths: Tensor | Sequence[int] | None = None,
        credit: str | Mapping[str, object] | Credit = "full",
        generator: Generator | None = None,
        limits: Sequence[Limit | float | None] | None = None,
    ) -> tuple[Tensor, list[dict[str, Tensor]]]:
        """x (T,B,I) -> outputs (T,B,H or 2H) of the top, and the last state of every layer.

        ``states``, ``recorders`` and ``limits``: one for each of ``stack.layers``. What a backward
        layer records is in the order in which it reads: first the sequence's last step. ``credit``
        is the rule of every layer; each has draws of its own from ``generator``, in their order.
        """
        given = self._one_each("states", states)
        records = self._one_each("recorders", recorders)
        bounds = self._one_each("limits", limits)
        if lengths is not None:
            lengths = as_lengths(lengths, x)
        last: list[dict[str, Tensor]] = []
        for first in range(0, len(self.layers), self.directions):
            outputs = []
            for k in range(first, first + self.directions):
                backward = k > first
                seen = _reversed(x, lengths) if backward else x
                out, state = self.layers[k](
                    seen,
                    given[k],
                    recorder=records[k],
                    lengths=lengths,
                    credit=credit,
                    generator=generator,
                    limit=bounds[k],
                )
                outputs.append(_reversed(out, lengths) if backward else out)
                last.append(state)
            both = outputs[0] if self.directions == 1 else torch.cat(outputs, dim=-1)
            x = x + both if self.residual and first > 0 else both
        return x, last

    def parameter_count(self) -> int:
        """Trained numbers of all layers."""
        return sum(layer.parameter_count() for layer in self._layers())

    @property
    def top(self) -> Layer:
        """The last layer; of two directions the one that reads forward."""
        return self._layers()[-self.directions]

    def _layers(self) -> list[Layer]:
        return [layer for layer in self.layers if isinstance(layer, Layer)]

    def _one_each(self, what: str, given: Sequence[Any] | None) -> list[Any]:
        if given is None:
            return [None] * len(self.layers)
        if len(given) != len(self.layers):
            raise UserError(f"{what} must be {len(self.layers)}, one a layer, got {len(given)}")
        return list(given)


def _reversed(x: Tensor, lengths: Tensor | None) -> Tensor:
    """(T,B,…) with each sequence's own steps in the opposite order; what lies beyond stays."""
    if lengths is None:
        return x.flip(0)
    steps = torch.arange(x.shape[0], device=x.device)[:, None]
    order = torch.where(steps < lengths, lengths - 1 - steps, steps)
    return x.gather(0, order[..., None].expand_as(x))

"""A recurrent layer with a copy of its own for every step, so that each step has its own gradient."""

from collections.abc import Mapping
from copy import deepcopy

import torch
from torch import Tensor

from study.networks.layer import Layer


class Unrolled:
    """``layer`` over x (T,1,I): what autograd finds for copy t is what step t adds to the gradient."""

    def __init__(self, layer: Layer, x: Tensor, state: Mapping[str, Tensor] | None = None) -> None:
        self.copies = [deepcopy(layer) for _ in x]
        for copy, now in zip(self.copies, x, strict=True):
            copy.engine = "reference"
            copy.zero_grad()
            _, state = copy(now[None], state)
        assert state is not None
        self.last = dict(state)
        self.output = self.last[layer.cell.output]

    def terms(self) -> Tensor:
        """(T,n), after the backward pass, of the layer's parameters one after another."""
        return torch.stack([flat(copy) for copy in self.copies])


def flat(layer: Layer) -> Tensor:
    return torch.cat(
        [
            (torch.zeros_like(p) if p.grad is None else p.grad).flatten()
            for p in layer.parameters()
            if p.requires_grad
        ]
    )

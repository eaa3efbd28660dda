"""The states that a network visits on a task, and what it reads there."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor

from study.engines.recording import StateGradients
from study.networks.layer import Layer
from study.networks.model import Model
from study.tasks.base import NO_TARGET, Batch

LARGEST = 1e100  # of a number in a state: squares and their sums stay within floating point


@dataclass(frozen=True, eq=False)
class Visits:
    """One pass of one layer, in float64.

    ``x`` (T,B,I) is what it reads; ``before`` and ``after`` (T,B,H) are its states by name, around
    every step; ``inside`` (T,B) is true within each sequence. ``layer`` is a copy.
    """

    layer: Layer
    x: Tensor
    before: Mapping[str, Tensor]
    after: Mapping[str, Tensor]
    inside: Tensor

    @property
    def parameters(self) -> dict[str, Tensor]:
        return {name: getattr(self.layer, name) for name in self.layer.cell.parameters}


@torch.no_grad()
def visits(model: Model, batch: Batch) -> Visits | None:
    """Of the top layer, in the forward direction; None when a state is beyond LARGEST, or no number.

    Of an encoder and a decoder it is the encoder's, which has to keep what is read; where a single step
    is read it is the decoder's, which is told the right symbols.
    """
    double, batch = deepcopy(model).double(), batch.to(torch.float64)
    writes = len(double.path) > 1 and len(batch.inputs) == 1
    layer = double.path[-1 if writes else 0]
    read: list[Tensor] = []
    handle = layer.register_forward_pre_hook(lambda module, given: read.append(given[0]))
    recorder = StateGradients()
    double(batch, recorders={layer: recorder})
    handle.remove()
    names = layer.cell.states
    before, after = ({n: of(n) for n in names} for of in (recorder.before, recorder.values))
    x = read[-1]
    inside = _inside(batch.targets if writes else batch.inputs, None if writes else batch.ends)
    if not all((s[inside].abs() < LARGEST).all() for s in after.values()):
        return None
    return Visits(layer, x, before, after, inside)


def _inside(read: Tensor, ends: Tensor | None) -> Tensor:
    """(T,B), of inputs (T,B,I) with their last steps, or of symbols (T,B) that are told."""
    if read.dim() == 2:
        return read != NO_TARGET
    if ends is None:
        return torch.ones(read.shape[:2], dtype=torch.bool)
    return torch.arange(len(read))[:, None] <= ends


def spread_out(keys: Tensor, count: int) -> Tensor:
    """Up to ``count`` rows of (n,·) numbers, evenly spaced in an order by what they hold.

    Which ones does not depend on the order of the rows, and no draw is needed.
    """
    rows = order(keys)
    return rows if len(rows) <= count else rows[spaced(len(rows), count)]


def order(keys: Tensor) -> Tensor:
    """The rows of (n,·) numbers by the size of one fixed combination of them."""
    weights = torch.arange(1, keys.shape[1] + 1, dtype=keys.dtype).cos()
    return (keys @ weights).argsort(stable=True)


def spaced(length: int, count: int) -> Tensor:
    """``count`` of the numbers from 0 to ``length`` - 1, both included, evenly spaced."""
    return torch.linspace(0, length - 1, count, dtype=torch.float64).round().long()

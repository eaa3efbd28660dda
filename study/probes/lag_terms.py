"""What the steps at each lag add to the gradient of the recurrent layer's weights."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from study.engines.derivatives.contributions import parameter_terms
from study.engines.recording import StateGradients
from study.networks.layer import Layer
from study.networks.model import Model
from study.probes.gradient_flow import at_the_end, last_steps
from study.tasks.base import Batch, Task

# Numbers of a state that are worked on at a time, and of all terms together.
AT_ONCE = 1 << 16
MOST_TERMS = 1 << 23


@dataclass(frozen=True, eq=False)
class LagTerms:
    """Of each lag (L,): the ``norms`` of its term, and its inner product with the whole gradient G,
    ``along``; ``squared_norm`` is ‖G‖²."""

    norms: Tensor
    along: Tensor
    squared_norm: float

    @property
    def norm_shares(self) -> Tensor | None:
        """(L,) that sum to 1; None where all terms are zero."""
        total = self.norms.sum()
        return self.norms / total if total > 0 else None

    @property
    def is_finite(self) -> bool:
        values = (*self.norms.tolist(), *self.along.tolist(), self.squared_norm)
        return all(map(math.isfinite, values))

    @property
    def signed_shares(self) -> Tensor | None:
        """(L,) of either sign, that sum to 1; None where G is zero."""
        return self.along / self.squared_norm if self.squared_norm > 0 else None


def lag_terms(model: Model, task: Task, batch: Batch) -> LagTerms:
    """Of the loss at each sequence's last step, in float64; ``model`` is in it, and keeps the gradient.

    The weights are those of ``model.path`` that are trained, all in one vector: of several layers the
    top one's, of an encoder and a decoder both.
    """
    ends = last_steps(task, batch)
    passes = _passes(model, task, batch, ends)
    whole = {p: p.grad for one in passes for p in one.layer.parameters() if p.grad is not None}
    lags = int(torch.stack(ends).add(1).sum(dim=0).max())
    squares = torch.zeros(lags, dtype=torch.float64)
    along = torch.zeros(lags, dtype=torch.float64)
    for one in passes:
        for rows in one.some(lags):
            for parameter, terms in one.terms(rows):
                squares[rows] += terms.square().flatten(1).sum(dim=1)
                if parameter in whole:
                    along[rows] += terms.flatten(1) @ whole[parameter].flatten()
    squared_norm = sum(float(g.square().sum()) for g in whole.values())
    return LagTerms(squares.sqrt(), along, squared_norm)


@dataclass(frozen=True, eq=False)
class _Pass:
    """One layer's pass: what it read, x (T,B,I), and what the passes over it left behind.

    A sequence's steps are ``ends`` (B,), ``ends`` - 1, …, 0 at the lags ``first`` (B,), ``first`` + 1, ….
    """

    layer: Layer
    x: Tensor
    recorder: StateGradients
    ends: Tensor
    first: Tensor

    def some(self, lags: int) -> Iterator[Tensor]:
        """Lags of 0 … ``lags`` - 1, as many at a time as there is room for, those that some sequence has."""
        numbers = self.x.shape[1] * self.layer.hidden_size
        trained = sum(p.numel() for p in self.layer.parameters())
        count = max(1, min(AT_ONCE // numbers, MOST_TERMS // max(1, trained)))
        last = min(lags, int((self.first + self.ends).max()) + 1)
        yield from torch.arange(int(self.first.min()), last).split(count)

    def terms(self, lags: Tensor) -> Iterator[tuple[nn.Parameter, Tensor]]:
        """Of every trained parameter of the layer, (L, *its shape)."""
        time = self.ends - (lags[:, None] - self.first)
        inside = ((time >= 0) & (time <= self.ends))[..., None]
        places = time.clamp(0, len(self.x) - 1), torch.arange(len(self.ends))
        cell = self.layer.cell
        parameters = {name: getattr(self.layer, name) for name in cell.parameters}
        before = {name: self.recorder.before(name)[places] for name in cell.states}
        gradients = {n: self.recorder[n][places] * inside for n in cell.variables}
        x = self.x[places]
        found = parameter_terms(cell, self.layer.phi, parameters, x, before, gradients)
        for name, terms in found.items():
            yield from _trained(self.layer, name, terms)


def _passes(model: Model, task: Task, batch: Batch, ends: list[Tensor]) -> list[_Pass]:
    """After the backward pass, which leaves the gradient of every parameter where it was not yet one."""
    recorders = {layer: StateGradients() for layer in model.path}
    read: dict[nn.Module, Tensor] = {}

    def keep(layer: nn.Module, given: tuple[Any, ...]) -> None:
        read[layer] = given[0].detach()

    handles = [layer.register_forward_pre_hook(keep) for layer in recorders]
    predictions = model(batch, recorders=recorders)
    for handle in handles:
        handle.remove()
    last, targets = (at_the_end(values, ends[-1]) for values in (predictions, batch.targets))
    (task.loss(last, targets) * len(batch)).backward()
    found, first = [], torch.zeros_like(ends[-1])
    for layer, end in zip(reversed(model.path), reversed(ends), strict=True):
        found.append(_Pass(layer, read[layer], recorders[layer], end, first))
        first = first + end + 1
    return found


def _trained(layer: Layer, name: str, terms: Tensor) -> Iterator[tuple[nn.Parameter, Tensor]]:
    """Gradients (L, *shape) of a parameter of the equations -> those of what is trained in its place."""
    behind = [p for p in layer.behind(name) if p.requires_grad]
    if len(behind) == 1 and name in dict(layer.named_parameters()):
        yield behind[0], terms
    elif behind:
        with torch.enable_grad():
            full = getattr(layer, name)
        found = torch.autograd.grad(full, behind, terms, is_grads_batched=True, allow_unused=True)
        yield from ((p, g) for p, g in zip(behind, found, strict=True) if g is not None)

"""The steps that a network takes over given inputs, and the Jacobian of each."""

import math
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from study.engines.derivatives.jacobian import states_before
from study.engines.derivatives.linearization import Linearization, linearize
from study.language.cell import Cell
from study.language.nonlinearities import Nonlinearity
from study.language.notation import TIME
from study.networks.layer import Layer
from study.networks.model import Model
from study.probes.gradient_flow import last_steps
from study.tasks.base import Batch, Task

# Numbers of a state that are linearized at a time: of a long sequence not all slopes are there at once.
AT_ONCE = 1 << 17


@dataclass(frozen=True)
class Trajectory:
    """Of one layer: the states ``before`` (T,B,H) each step, and what it reads then, ``x`` (T,B,I).

    A Jacobian's state is the vector of N = S·H numbers: those of every state of the cell one after the
    other, with the delayed values that it carries along, and without the step's index, on which nothing
    acts. ``states`` are the names of these, S of them.
    """

    cell: Cell
    phi: Nonlinearity
    parameters: Mapping[str, Tensor]
    x: Tensor
    before: Mapping[str, Tensor]

    @property
    def states(self) -> tuple[str, ...]:
        return tuple(name for name in self.cell.states if name != TIME)

    @property
    def hidden(self) -> int:
        return self.before[self.cell.output].shape[2]

    @property
    def size(self) -> int:
        """N."""
        return len(self.states) * self.hidden

    @property
    def is_finite(self) -> bool:
        return all(bool(value.isfinite().all()) for value in self.before.values())

    def __len__(self) -> int:
        return len(self.x)

    def place(self, state: str | None) -> slice:
        """Where a state's H numbers are among the N; None: all."""
        if state is None:
            return slice(0, self.size)
        first = self.states.index(state) * self.hidden
        return slice(first, first + self.hidden)

    def by_state(self, vectors: Tensor) -> dict[str, Tensor]:
        """(…,N) -> (…,H) by state."""
        return dict(zip(self.states, vectors.split(self.hidden, dim=-1), strict=True))

    def at(self, times: Tensor) -> "Trajectory":
        """The steps at ``times`` (T',B) of each sequence, or (T',) of all."""
        wide = times[:, None] if times.dim() == 1 else times
        sequences = torch.arange(self.x.shape[1])
        return self._chosen((wide, sequences))

    def one_each(self, times: Tensor, sequences: Tensor) -> "Trajectory":
        """M steps (1,M), each of another time and sequence (M,)."""
        return self._chosen((times[None], sequences[None]))

    def _chosen(self, places: tuple[Tensor, Tensor]) -> "Trajectory":
        before = {name: value[places] for name, value in self.before.items()}
        return Trajectory(self.cell, self.phi, self.parameters, self.x[places], before)

    def matrices(self) -> Tensor:
        """∂s_{t+1}/∂s_t (T,B,N,N) of all steps at once."""
        blocks = linearize(self.cell, self.phi, self.parameters, self.x, self.before).blocks()
        rows = [torch.cat([blocks[new, old] for old in self.states], -1) for new in self.states]
        return torch.cat(rows, -2)

    def steps(self) -> Iterator["Step"]:
        """In their order, linearized some at a time."""
        some = max(1, AT_ONCE // math.prod(self.before[self.cell.output].shape[1:]))
        for first in range(0, len(self), some):
            part = slice(first, first + some)
            x, before = self.x[part], {name: value[part] for name, value in self.before.items()}
            whole = linearize(self.cell, self.phi, self.parameters, x, before)
            for t in range(len(x)):
                yield Step(whole[t], self.states, self.hidden)


@dataclass(frozen=True)
class Step:
    """J = ∂s_{t+1}/∂s_t (B,N,N) of one step, known by its products with columns (B,N,K)."""

    linearization: Linearization
    states: tuple[str, ...]
    hidden: int

    def forward(self, columns: Tensor) -> Tensor:
        """J · columns."""
        return self._columns(self.linearization.jvp(self._vectors(columns)))

    def back(self, columns: Tensor) -> Tensor:
        """Jᵀ · columns."""
        return self._columns(self.linearization.vjp(self._vectors(columns)))

    def _vectors(self, columns: Tensor) -> dict[str, Tensor]:
        parts = columns.permute(2, 0, 1).split(self.hidden, dim=2)
        return dict(zip(self.states, parts, strict=True))

    def _columns(self, vectors: Mapping[str, Tensor]) -> Tensor:
        return torch.cat([vectors[name] for name in self.states], dim=2).permute(1, 2, 0)


@dataclass(frozen=True)
class Reading:
    """A layer, and what it reads of a batch: ``x`` (T,B,D), of each sequence ``lengths`` (B,) steps, from
    the state ``start`` on."""

    layer: Layer
    x: Tensor
    lengths: Tensor
    start: Mapping[str, Tensor]

    def trajectory(self) -> Trajectory:
        """What it does beyond a sequence's end means nothing."""
        return self.over(self.x, self.start)

    @torch.no_grad()
    def over(self, x: Tensor, start: Mapping[str, Tensor] | None = None) -> Trajectory:
        """Of other things to read (T,B,D), by default from zero on."""
        layer, start = self.layer, start or self.layer.initial_state(x)
        parameters = {name: getattr(layer, name) for name in layer.cell.parameters}
        before = states_before(layer.cell, layer.phi, parameters, x, start, layer.engine)
        return Trajectory(layer.cell, layer.phi, parameters, x, before)


@torch.no_grad()
def reading(model: Model, task: Task, batch: Batch) -> Reading:
    """Of the top layer, in the forward direction, in float64 on a copy.

    Its own states are what a Jacobian is of: what it reads from layers below is given. Of an encoder and
    a decoder it is the encoder, which has to keep what is read; where a single step is read it is the
    decoder, which is told the right symbols.
    """
    double, batch = deepcopy(model).double(), batch.to(torch.float64)
    which = -1 if len(batch.inputs) == 1 else 0
    layer = double.path[which]
    found: list[tuple[Any, ...]] = []

    def keep(_: Layer, given: tuple[Any, ...]) -> None:
        found.append(given)

    layer.register_forward_pre_hook(keep)
    double(batch)
    [(x, start)] = found
    lengths = last_steps(task, batch)[which] + 1
    return Reading(layer, x, lengths, start or layer.initial_state(x))


def in_order(batch: Batch) -> Batch:
    """The same sequences in an order that follows from what they are, so that the first few are the
    same ones whatever the order in which they were given."""
    rows = torch.arange(len(batch))
    for part in (batch.targets, batch.inputs):  # the last one sorted by is the first to count
        flat = part[:, rows].double().nan_to_num(nan=-1).transpose(0, 1).flatten(1)
        weights = (1 + torch.arange(flat.shape[1]).double()).sin()
        # Not a matrix product, which rounds by where in the batch a row is.
        rows = rows[(flat * weights).sum(dim=1).argsort(stable=True)]
    return batch.take(rows)

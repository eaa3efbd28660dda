"""Derivatives carried forward in time beside the states, in place of a pass back through it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.func import jacrev, vmap

from study.engines import reference, select
from study.language.cell import Cell
from study.language.nonlinearities import Nonlinearity

# Numbers of ∂s_t/∂(θ, s_{t-1}) that are computed at once: one call for many steps of a small cell.
CHUNK_NUMBERS = 4_000_000


def run(
    cell: Cell,
    phi: Nonlinearity,
    parameters: Mapping[str, Tensor],
    x: Tensor,
    state: Mapping[str, Tensor],
    lengths: Tensor | None = None,
    engine: str = "auto",
) -> tuple[Tensor, dict[str, Tensor]]:
    """As `study.engines.select.run`; gradients of the parameters and of the given state, not of x.

    A loss is known after the sequence, so the influences P_t = ∂s_t/∂θ are computed then, from the
    first step on, and each is used for the gradient as soon as it is there: one is kept, not T.
    """
    sequence = _Sequence(cell, phi, tuple(parameters), x.detach(), lengths, engine)
    start = (state[name] for name in cell.states)
    outputs, *last = _Run.apply(sequence, *parameters.values(), *start)
    return outputs, dict(zip(cell.states, last, strict=True))


@dataclass(frozen=True)
class _Sequence:
    """What is run, and over what: all but the (parameters.., first state..) that are ``given``."""

    cell: Cell
    phi: Nonlinearity
    names: tuple[str, ...]
    x: Tensor
    lengths: Tensor | None
    engine: str

    def split(self, given: Sequence[Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """(parameters, state) by name."""
        state = dict(zip(self.cell.states, given[len(self.names) :], strict=True))
        return dict(zip(self.names, given, strict=False)), state

    def new(self, parameters: Mapping[str, Tensor], x: Tensor, state: Tensor) -> Tensor:
        """x (B,I), state (B,S*H), one state after the other -> the next (B,S*H)."""
        parts = state.chunk(len(self.cell.states), dim=1)
        now = dict(zip(self.cell.states, parts, strict=True))
        _, last = reference.run(self.cell, self.phi, parameters, x[None], now)
        return torch.cat([last[name] for name in self.cell.states], dim=1)

    def slopes(
        self, free: Mapping[str, Tensor], fixed: Mapping[str, Tensor], start: Tensor
    ) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """At every step, who goes on (B,), ∂s_t/∂s_{t-1} (B,S*H,S*H), ∂s_t/∂θ (B,S*H,n) of ``free``."""

        def step(free: Mapping[str, Tensor], x: Tensor, state: Tensor) -> Tensor:
            return self.new({**fixed, **free}, x[None], state[None])[0]

        of_step = vmap(jacrev(step, argnums=(0, 2)), in_dims=(None, 0, 0))
        batch, width = start.shape
        numbers = batch * width * (width + sum(p.numel() for p in free.values()))
        now, t = start, 0
        for rows in self.x.split(max(1, CHUNK_NUMBERS // max(1, numbers))):
            olds, going = [], []
            for x in rows:
                live = self._is_live(t, batch)
                t += 1
                olds.append(now)
                going.append(live)
                now = torch.where(live[:, None], self.new({**fixed, **free}, x, now), now)
            of_free, of_state = of_step(free, rows.flatten(0, 1), torch.cat(olds))
            parts = [of_free[name].flatten(2) for name in free]
            direct = torch.cat([of_state.new_zeros(len(of_state), width, 0), *parts], dim=2)
            yield from zip(going, of_state.split(batch), direct.split(batch), strict=True)

    def gradients(
        self,
        given: Sequence[Tensor],
        wanted: Sequence[bool],
        of_outputs: Tensor | None,
        of_last: Sequence[Tensor | None],
    ) -> list[Tensor | None]:
        """Those of ``given``: Σ_t ∂L/∂y_t P_t, and what the last states add."""
        parameters, state = self.split(given)
        needs, _ = self.split(wanted)
        free = {name: p for name, p in parameters.items() if needs[name]}
        fixed = {name: p for name, p in parameters.items() if not needs[name]}
        sizes = [p.numel() for p in free.values()]
        start, count = torch.cat(list(state.values()), dim=1), sum(sizes)
        batch, width = start.shape
        hidden = width // len(state)
        # Columns: the parameters, then the first state, which at first depends on itself alone.
        influence = start.new_zeros(batch, width, count + width)
        influence[:, :, count:] = torch.eye(width).to(start)
        total = start.new_zeros(batch, count + width)
        for t, (live, through, direct) in enumerate(self.slopes(free, fixed, start)):
            passed = through @ influence
            passed[:, :, :count] += direct
            influence = torch.where(live[:, None, None], passed, influence)
            if of_outputs is not None:
                outputs = influence[live, :hidden]
                total[live] += torch.einsum("bh,bhn->bn", of_outputs[t, live], outputs)
        for part, gradient in zip(influence.split(hidden, dim=1), of_last, strict=True):
            if gradient is not None:
                total += torch.einsum("bh,bhn->bn", gradient, part)
        of_free = total[:, :count].sum(0).split(sizes) if free else ()
        found = {n: g.view_as(free[n]) for n, g in zip(free, of_free, strict=True)}
        return [*(found.get(n) for n in self.names), *total[:, count:].split(hidden, dim=1)]

    def _is_live(self, t: int, batch: int) -> Tensor:
        """(B,): whether the sequences go on at step t."""
        if self.lengths is None:
            return torch.ones(batch, dtype=torch.bool, device=self.x.device)
        return t < self.lengths.to(self.x.device)


class _Run(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, sequence: _Sequence, *given: Tensor) -> tuple[Tensor, ...]:
        ctx.sequence = sequence
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*given)
        s = sequence
        parameters, state = s.split(given)
        outputs, last = select.run(s.cell, s.phi, parameters, s.x, state, None, s.lengths, s.engine)
        return outputs, *last.values()

    @staticmethod
    def backward(
        ctx: Any, of_outputs: Tensor | None, *of_last: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        wanted = ctx.needs_input_grad[1:]
        with torch.no_grad():
            found = ctx.sequence.gradients(ctx.saved_tensors, wanted, of_outputs, of_last)
        if torch.is_grad_enabled():
            behind = [g for g in (*ctx.saved_tensors, of_outputs, *of_last) if g is not None]
            present = [g for g in found if g is not None]
            once = iter(_Once.apply(len(present), *present, *behind))
            found = [None if g is None else next(once) for g in found]
        return None, *found


class _Once(torch.autograd.Function):
    """First derivatives, connected with what they depend on, so that no second one is zero unsaid.

    torch's own `once_differentiable` connects them with nothing: a gradient that is asked for by
    name (`torch.autograd.grad`) is then found without what goes through them.
    """

    @staticmethod
    def forward(ctx: Any, count: int, *tensors: Tensor) -> tuple[Tensor, ...]:
        return tuple(g.view_as(g) for g in tensors[:count])

    @staticmethod
    def backward(ctx: Any, *given: Tensor) -> tuple[Tensor, ...]:
        raise RuntimeError(
            "rtrl has first derivatives only; use credit='full' to differentiate twice"
        )

"""The Jacobian of one step, ∂(new states)/∂(old states), at chosen times."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from study.engines.select import run
from study.equations import Cell
from study.nonlinearities import Nonlinearity

Blocks = dict[tuple[str, str], Tensor]


def step_jacobian(
    cell: Cell,
    phi: Nonlinearity,
    parameters: Mapping[str, Tensor],
    x: Tensor,
    state: Mapping[str, Tensor],
    engine: str = "auto",
) -> Blocks:
    """``blocks["c", "h"]`` (B,H,H) with [b,i,j] = ∂c'_i/∂h_j, for every pair of states.

    ``x`` (B,I) and ``state`` (B,H) before the step. Row i of a block is one backward pass of the
    step from the i-th unit of a new state; all of them are run as one batch of B·S·H sequences.
    """
    names = cell.states
    batch, hidden = state[names[0]].shape
    rows = len(names) * hidden
    fixed = {name: value.detach() for name, value in parameters.items()}

    def repeated(value: Tensor) -> Tensor:  # (B, n) -> (B * rows, n)
        return value.detach().repeat_interleave(rows, dim=0)

    start = {name: repeated(state[name]).requires_grad_() for name in names}
    with torch.enable_grad():
        _, last = run(cell, phi, fixed, repeated(x)[None], start, engine=engine)
        seeds = (
            torch.eye(rows, dtype=x.dtype, device=x.device).repeat(batch, 1).split(hidden, dim=1)
        )
        reached = [k for k, n in enumerate(names) if last[n].requires_grad]
        gradients: Sequence[Tensor | None] = [None] * len(names)
        if reached:
            gradients = torch.autograd.grad(
                [last[names[k]] for k in reached],
                list(start.values()),
                [seeds[k] for k in reached],
                allow_unused=True,
            )
    blocks: Blocks = {}
    for old, gradient in zip(names, gradients, strict=True):
        full = x.new_zeros(batch * rows, hidden) if gradient is None else gradient
        parts = full.view(batch, len(names), hidden, hidden).unbind(1)
        blocks |= {(new, old): part for new, part in zip(names, parts, strict=True)}
    return blocks


def jacobians(
    cell: Cell,
    phi: Nonlinearity,
    parameters: Mapping[str, Tensor],
    x: Tensor,
    state: Mapping[str, Tensor],
    times: Sequence[int],
    engine: str = "auto",
) -> dict[int, Blocks]:
    """`step_jacobian` along a sequence x (T,B,I): at t, of the step that reads x[t].

    ``times`` ascend. Only the states before those steps are kept.
    """
    found: dict[int, Blocks] = {}
    now, done = dict(state), 0
    with torch.no_grad():
        for t in times:
            if t > done:
                _, now = run(cell, phi, parameters, x[done:t], now, engine=engine)
            done = t
            found[t] = step_jacobian(cell, phi, parameters, x[t], now, engine)
    return found

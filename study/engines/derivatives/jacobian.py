"""The Jacobian of one step, ∂(new states)/∂(old states), at chosen times."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from study.engines.derivatives.linearization import Blocks, linearize
from study.engines.recording import StateGradients
from study.engines.select import run
from study.language.cell import Cell
from study.language.nonlinearities import Nonlinearity


@torch.no_grad()
def step_jacobian(
    cell: Cell,
    phi: Nonlinearity,
    parameters: Mapping[str, Tensor],
    x: Tensor,
    state: Mapping[str, Tensor],
) -> Blocks:
    """``blocks["c", "h"]`` (B,H,H) with [b,i,j] = ∂c'_i/∂h_j, for every pair of states.

    ``x`` (B,I) and ``state`` (B,H) before the step. `study.engines.derivatives.linearization` says how, gives
    J v and Jᵀ v without the blocks, and can be differentiated.
    """
    return linearize(cell, phi, parameters, x, state).blocks()


@torch.no_grad()
def jacobians(
    cell: Cell,
    phi: Nonlinearity,
    parameters: Mapping[str, Tensor],
    x: Tensor,
    before: Mapping[str, Tensor],
    times: Sequence[int],
) -> dict[int, Blocks]:
    """`step_jacobian` along a sequence x (T,B,I): at t, of the step that reads x[t].

    ``before`` (T,B,H) are the states before each step, from `states_before` or from the recorder of
    a pass that has been made.
    """
    chosen = list(times)
    steps = linearize(cell, phi, parameters, x[chosen], {n: s[chosen] for n, s in before.items()})
    return {t: steps[k].blocks() for k, t in enumerate(chosen)}


@torch.no_grad()
def states_before(
    cell: Cell,
    phi: Nonlinearity,
    parameters: Mapping[str, Tensor],
    x: Tensor,
    state: Mapping[str, Tensor],
    engine: str = "auto",
) -> dict[str, Tensor]:
    """The states (T,B,H) before each step over x (T,B,I), the first of them ``state``: one pass."""
    recorder = StateGradients()
    run(cell, phi, parameters, x, state, recorder, engine=engine)
    return {name: recorder.before(name) for name in cell.states}

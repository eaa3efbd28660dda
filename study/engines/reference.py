"""The reference engine: a cell's equations as torch operations, differentiated by autograd.

Slow but plain, on any device and in any precision; every other engine must agree with it.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

import torch
from torch import Tensor

from study.engines.lowering import Evaluate, lower
from study.engines.passing import Limiter, carried
from study.engines.prelude import operands
from study.engines.recording import Limit, StateGradients
from study.engines.schedule import Stage, schedule
from study.language.cell import Cell
from study.language.nonlinearities import Nonlinearity
from study.language.notation import INPUT, PRIME, TIME


def run(
    cell: Cell,
    phi: Nonlinearity,
    parameters: Mapping[str, Tensor],
    x: Tensor,
    state: Mapping[str, Tensor],
    recorder: StateGradients | None = None,
    lengths: Tensor | None = None,
    carry: Tensor | None = None,
    limit: Limit | None = None,
) -> tuple[Tensor, dict[str, Tensor]]:
    """The cell over a sequence.

    ``x`` (T,B,I), ``state`` and ``parameters`` by name -> outputs (T,B,H) and the last state, each
    (B,H). With a ``recorder`` the pass leaves s_t there and the backward pass ∂L/∂s_t. Beyond its
    entry of ``lengths`` (B,) a sequence's outputs are zero and its state is held; s_t and ∂L/∂s_t
    are zero there. What ``carry`` (T,) and
    ``limit`` do to the gradient: see `study.engines.select.run`.
    """
    weights = operands(cell, parameters)
    read = inputs(cell, phi, x)
    return over(cell, phi, weights, read, state, recorder, lengths, carry, limit)


def inputs(cell: Cell, phi: Nonlinearity, x: Tensor) -> list[Tensor]:
    """(T,B,·) what of the input matrices are applied to, in their order; x where there is none."""
    return [operand({INPUT: x}) for _, operand in _plan(cell, phi).inputs] or [x]


def over(
    cell: Cell,
    phi: Nonlinearity,
    weights: Mapping[str, Tensor],
    read: Sequence[Tensor],
    state: Mapping[str, Tensor],
    recorder: StateGradients | None = None,
    lengths: Tensor | None = None,
    carry: Tensor | None = None,
    limit: Limit | None = None,
) -> tuple[Tensor, dict[str, Tensor]]:
    """`run` from what has been computed once for the pass: ``cell.operands``, and `inputs`."""
    plan, x = _plan(cell, phi), read[0]
    state = {name: value.to(state_dtype(name, x.dtype)) for name, value in state.items()}
    shape = next(iter(state.values())).shape
    fixed = {name: weights[name] for name, p in cell.operands.items() if p.columns is None}
    wide = {stage: torch.cat([weights[m] for m in stage.matrices]) for stage in plan.stages}
    projected = [
        (stage, (operand @ wide[stage].T).unbind(0))
        for (stage, _), operand in zip(plan.inputs, read, strict=False)
    ]

    factors = [1.0] * len(x) if carry is None else carry.tolist()
    limiter = None if limit is None else Limiter(cell, limit, shape, x, lengths)

    dtype_of = {name + PRIME: value.dtype for name, value in state.items()}
    now = dict(state)
    history: dict[str, list[Tensor]] = {name: [] for name in cell.states}
    for t in range(len(x)):
        values = {**fixed, **carried(now, factors[t])}
        if limiter is not None:
            values |= {name: limiter(name, fixed[name], t) for name in limiter.vectors}
        for stage, rows in projected:
            values |= _parts(stage, rows[t], limiter, t)
        for item, evaluate in plan.steps:
            if isinstance(item, Stage):
                product = _as_state(evaluate(values), shape, x, x.dtype) @ wide[item].T
                values |= _parts(item, product, limiter, t)
            else:
                values[item] = evaluate(values)
                if recorder is not None and item.endswith(PRIME):
                    values[item] = _own(_as_state(values[item], shape, x, dtype_of[item]))
        new = {
            name: _as_state(values[name + PRIME], shape, x, dtype_of[name + PRIME])
            for name in cell.states
        }
        for name, value in new.items():
            history[name].append(value)
        now = new if lengths is None else _hold(new, now, (t < lengths)[:, None])
    ended = None
    if lengths is not None:
        ended = (torch.arange(len(x), device=x.device)[:, None] >= lengths)[..., None]
    outputs = _stack(history[cell.output], ended)
    if recorder is not None:
        _record(recorder, history)
        others = {n: _stack([v.detach() for v in history[n]], ended) for n in cell.states[1:]}
        recorder.store_values(state, {cell.output: outputs, **others})
    return outputs, now


class _Plan:
    def __init__(self, cell: Cell, phi: Nonlinearity) -> None:
        order = schedule(cell, phi)
        self.inputs: list[tuple[Stage, Evaluate]] = [(s, lower(s.operand)) for s in order.inputs]
        self.steps: list[tuple[Stage | str, Evaluate]] = [
            (item, lower(item.operand))
            if isinstance(item, Stage)
            else (item.target, lower(item.expression))
            for item in order.steps
        ]
        self.stages = [*order.inputs, *(s for s in order.steps if isinstance(s, Stage))]


_plan: Callable[[Cell, Nonlinearity], _Plan] = lru_cache(maxsize=256)(_Plan)


def state_dtype(name: str, dtype: torch.dtype) -> torch.dtype:
    """That of a state of a cell in ``dtype``: the step's index counts on where 257 is no number."""
    return torch.promote_types(dtype, torch.float32) if name == TIME else dtype


def _parts(stage: Stage, product: Tensor, limiter: Limiter | None, t: int) -> dict[str, Tensor]:
    names = [symbol.name for symbol in stage.symbols]
    parts = dict(zip(names, product.chunk(len(names), dim=-1), strict=True))
    return parts if limiter is None else {n: limiter(n, part, t) for n, part in parts.items()}


def _as_state(value: Tensor | float, shape: torch.Size, like: Tensor, dtype: torch.dtype) -> Tensor:
    if not isinstance(value, Tensor):  # an ablation may make a state constant
        return like.new_full(shape, float(value), dtype=dtype)
    return (value if value.shape == shape else value.expand(shape)).to(dtype)


def _own(value: Tensor) -> Tensor:
    """A tensor of its own with a gradient, even where a state is constant or another's value."""
    return value.view_as(value) if value.requires_grad else value.clone().requires_grad_()


def _hold(new: Mapping[str, Tensor], old: Mapping[str, Tensor], live: Tensor) -> dict[str, Tensor]:
    return {name: torch.where(live, value, old[name]) for name, value in new.items()}


def _stack(values: list[Tensor], ended: Tensor | None) -> Tensor:
    stacked = torch.stack(values)
    return stacked if ended is None else torch.where(ended, 0, stacked)


def _record(recorder: StateGradients, history: Mapping[str, list[Tensor]]) -> None:
    gradients = {
        name: values[0].new_zeros(len(values), *values[0].shape) for name, values in history.items()
    }

    def keep(name: str, t: int) -> Callable[[Tensor], None]:
        def hook(gradient: Tensor) -> None:
            gradients[name][t] = gradient.detach()
            # Only a backward pass fills the recorder: zeros mean "vanished", not "never measured".
            for each, values in gradients.items():
                recorder.store(each, values)

        return hook

    for name, values in history.items():
        for t, value in enumerate(values):
            if value.requires_grad:
                value.register_hook(keep(name, t))

"""The native engine: a cell over a sequence in one call of generated C, forward and backward.

The derivative is computed by the kernel, not by autograd, so it cannot be differentiated again; the
reference engine can. While a kernel runs, numbers below the smallest normal one are zero: see ``calls.h``.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

from study.engines.kernel import History, Kernel, kernel
from study.engines.memory import empty
from study.engines.prelude import operands
from study.engines.recording import Limit, StateGradients
from study.equations import Cell
from study.nonlinearities import Nonlinearity
from study.notation import INPUT


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
    """As `study.engines.reference.run`, on the CPU, in float32 or float64.

    Without gradients (``torch.no_grad``, or nothing that asks for one) and without a recorder no
    history is kept. Raises NativeUnavailable when no kernel can be compiled.
    """
    compiled = kernel(cell, phi, x.dtype)
    inputs = [operand({INPUT: x}).contiguous() for operand in compiled.operands] or [x]
    start = [state[name].contiguous() for name in cell.states]
    weights = [value.contiguous() for value in operands(cell, parameters).values()]
    tensors = (*inputs, *start, *weights)
    if torch.is_grad_enabled() and any(t.requires_grad for t in tensors):
        outputs, *last = _Run.apply(compiled, recorder, lengths, carry, limit, *tensors)
    else:
        keep = recorder is not None
        outputs, last, history = compiled.forward(inputs, start, weights, lengths, keep)
        _store_values(recorder, compiled, start, outputs, history)
    return outputs, dict(zip(cell.states, last, strict=True))


class _Run(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        compiled: Kernel,
        recorder: StateGradients | None,
        lengths: Tensor | None,
        carry: Tensor | None,
        limit: Limit | None,
        *tensors: Tensor,
    ) -> tuple[Tensor, ...]:
        ctx.compiled, ctx.recorder, ctx.lengths = compiled, recorder, lengths
        ctx.carry, ctx.limit = carry, limit
        ctx.set_materialize_grads(False)
        inputs, start, weights = _parts(compiled, tensors)
        outputs, last, history = compiled.forward(inputs, start, weights, lengths, keep=True)
        _store_values(ctx.recorder, compiled, start, outputs, history)
        ctx.save_for_backward(*tensors, outputs, history.slots, *history.states)
        return outputs, *last

    @staticmethod
    def backward(ctx: Any, *given: Tensor | None) -> tuple[Tensor | None, ...]:
        compiled: Kernel = ctx.compiled
        saved = ctx.saved_tensors
        states = len(compiled.cell.states)
        tensors, (outputs, slots, *history) = saved[: -states - 1], saved[-states - 1 :]
        inputs, start, weights = _parts(compiled, tensors)
        needs = _parts(compiled, ctx.needs_input_grad[5:])
        with torch.no_grad():
            recorded = [_like(outputs, ctx.recorder is not None) for _ in start]
            wanted = [
                *map(_like, inputs, needs[0]),
                *map(_like, start, needs[1]),
                *(
                    torch.zeros_like(w) if n else None
                    for w, n in zip(weights, needs[2], strict=True)
                ),
            ]
            if not compiled.operands and wanted[0] is not None:
                wanted[0].zero_()
            compiled.backward(
                inputs,
                start,
                weights,
                ctx.lengths,
                outputs,
                History(slots, tuple(history)),
                [None if g is None else g.contiguous() for g in given],
                [*recorded, *(wanted if compiled.operands else wanted[1:])],
                ctx.carry,
                ctx.limit,
            )
        for name, gradients in zip(compiled.cell.states, recorded, strict=True):
            if gradients is not None:
                ctx.recorder.store(name, gradients)
        if torch.is_grad_enabled():
            wanted = _refuse_second(wanted)
        return None, None, None, None, None, *wanted


def _store_values(
    recorder: StateGradients | None,
    compiled: Kernel,
    start: Sequence[Tensor],
    outputs: Tensor,
    history: History,
) -> None:
    if recorder is not None:
        names, hidden = compiled.cell.states, outputs.shape[-1]
        values = [outputs, *(s[..., :hidden] for s in history.states)]
        recorder.store_values(
            dict(zip(names, start, strict=True)), dict(zip(names, values, strict=True))
        )


def _like(tensor: Tensor, wanted: bool) -> Tensor | None:
    return empty(tensor.shape, tensor.dtype) if wanted else None


def _parts(compiled: Kernel, items: Any) -> tuple[Any, Any, Any]:
    """(inputs, start, parameters) of a sequence that has them one after the other."""
    inputs = max(1, len(compiled.operands))
    states = len(compiled.cell.states)
    return items[:inputs], items[inputs : inputs + states], items[inputs + states :]


def _refuse_second(gradients: list[Tensor | None]) -> list[Tensor | None]:
    present = [g.requires_grad_() for g in gradients if g is not None]
    once = iter(_Once.apply(*present))
    return [None if g is None else next(once) for g in gradients]


class _Once(torch.autograd.Function):
    """Passes first derivatives through, and says what to do when they are differentiated."""

    @staticmethod
    def forward(ctx: FunctionCtx, *gradients: Tensor) -> tuple[Tensor, ...]:
        return tuple(g.view_as(g) for g in gradients)

    @staticmethod
    def backward(ctx: FunctionCtx, *given: Tensor) -> tuple[Tensor, ...]:
        raise RuntimeError(
            "the native engine has first derivatives only; "
            "use engine='reference' to differentiate twice"
        )

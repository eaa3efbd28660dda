"""The native engine: a cell over a sequence in one call of generated C, forward and backward.

The kernels compute values and first derivatives. Whatever more is asked for, a derivative of a
derivative or a transform of torch's, the reference engine answers from the same tensors. While a
kernel runs, numbers below the smallest normal one are zero: see ``calls.h``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from study.engines import reference
from study.engines.columns import entries
from study.engines.native.operators import (
    LIBRARY,
    backward,
    call_backward,
    call_forward,
    call_run,
    forward,
    read,
    text_of,
)
from study.engines.prelude import operands
from study.engines.recording import Limit, StateGradients
from study.engines.transforms import is_batched, is_watched, is_written_down, transform
from study.language.cell import Cell
from study.language.nonlinearities import Nonlinearity


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
    text = text_of(cell, phi)
    start = [state[name] for name in cell.states]
    given = [parameters[name] for name in cell.parameters]
    is_plain = not is_watched([x, *start, *given])
    if recorder is None and not is_plain and (limit is None or is_written_down()):
        bound = None if limit is None else limit.value
        outputs, *last = call_run(text, x, start, given, lengths, carry, bound)
    else:
        outputs, *last = _over(text, x, start, given, lengths, carry, limit, recorder, is_plain)
    return outputs, dict(zip(cell.states, last, strict=True))


def _run(
    text: str,
    x: Tensor,
    start: Sequence[Tensor],
    parameters: Sequence[Tensor],
    lengths: Tensor | None,
    carry: Tensor | None,
    limit: float | None,
) -> list[Tensor]:
    """What the operator does, and what autograd does of it."""
    if transform([x, *start, *parameters]) is not None:
        return _by_reference(text, x, start, parameters, lengths, carry, limit)
    return _over(text, x, start, parameters, lengths, carry, limit)


def _by_reference(
    text: str,
    x: Tensor,
    start: Sequence[Tensor],
    parameters: Sequence[Tensor],
    lengths: Tensor | None,
    carry: Tensor | None,
    limit: float | None,
) -> list[Tensor]:
    cell, phi = read(text)
    named = dict(zip(cell.parameters, parameters, strict=True))
    state = dict(zip(cell.states, start, strict=True))
    bound = None if limit is None else Limit(limit)
    outputs, last = reference.run(cell, phi, named, x, state, None, lengths, carry, bound)
    return [outputs, *(last[name] for name in cell.states)]


def _shapes(
    text: str,
    x: Tensor,
    start: Sequence[Tensor],
    parameters: Sequence[Tensor],
    lengths: Tensor | None,
    carry: Tensor | None,
    limit: float | None,
) -> list[Tensor]:
    return [x.new_empty(x.shape[0], *start[0].shape), *(x.new_empty(s.shape) for s in start)]


LIBRARY.impl("run", _run, "CompositeExplicitAutograd")
LIBRARY.impl("run", _run, "Autograd")
LIBRARY.impl("run", _by_reference, "FuncTorchBatched")
LIBRARY.impl("run", _shapes, "Meta")


def _over(
    text: str,
    x: Tensor,
    start: Sequence[Tensor],
    parameters: Sequence[Tensor],
    lengths: Tensor | None,
    carry: Tensor | None,
    limit: Limit | float | None,
    recorder: StateGradients | None = None,
    is_plain: bool = False,
) -> list[Tensor]:
    cell, phi = read(text)
    values = operands(cell, dict(zip(cell.parameters, parameters, strict=True)))
    inputs = [value.contiguous() for value in reference.inputs(cell, phi, x)]
    start = [value.contiguous() for value in start]
    weights = [value.contiguous() for value in values.values()]
    tensors = (*inputs, *start, *weights)
    if torch.is_grad_enabled() and any(t.requires_grad for t in tensors):
        how = _How(text, len(inputs), len(start), limit, recorder, is_plain)
        return list(_Run.apply(how, lengths, carry, *tensors))
    passing = forward if is_plain else call_forward
    results = passing(text, inputs, start, weights, lengths, recorder is not None)
    if recorder is not None:
        _store_values(recorder, cell, start, results)
    return results[: 1 + len(start)]


@dataclass(frozen=True)
class _How:
    """A pass but for its tensors, which are the inputs, the start and the weights, in a row."""

    text: str
    inputs: int
    states: int
    limit: Limit | float | None  # a number where nobody asks how often it acted
    recorder: StateGradients | None
    is_plain: bool  # so that the forward pass need not be an operator

    @property
    def bound(self) -> float | None:
        return self.limit.value if isinstance(self.limit, Limit) else self.limit

    def parts(self, items: Sequence[Any]) -> tuple[Any, Any, Any]:
        until = self.inputs + self.states
        return items[: self.inputs], items[self.inputs : until], items[until:]


class _Run(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, how: _How, lengths: Tensor | None, carry: Tensor | None, *tensors: Tensor
    ) -> tuple[Tensor, ...]:
        ctx.how = how
        ctx.set_materialize_grads(False)
        passing = forward if how.is_plain else call_forward
        results = passing(how.text, *how.parts(tensors), lengths, True)
        outputs, *kept = results
        last, (slots, *history) = kept[: how.states], kept[how.states :]
        if how.recorder is not None:
            cell, _ = read(how.text)
            _store_values(how.recorder, cell, how.parts(tensors)[1], results)
        ctx.save_for_backward(lengths, carry, *tensors, outputs, slots, *history)
        return outputs, *last

    @staticmethod
    def backward(ctx: Any, *given: Tensor | None) -> tuple[Tensor | None, ...]:
        how: _How = ctx.how
        lengths, carry, *saved = ctx.saved_tensors
        tensors, (outputs, slots, *history) = saved[: -how.states - 1], saved[-how.states - 1 :]
        needs = ctx.needs_input_grad[3:]
        present = [g for g in given if g is not None]
        if torch.is_grad_enabled() or transform(present) is not None or is_batched(present):
            found = _differentiably(how, lengths, carry, tensors, needs, given)
            return None, None, None, *found
        passing = backward if how.is_plain and not is_watched(present) else call_backward
        results = iter(
            passing(
                how.text,
                *how.parts(tensors),
                lengths,
                outputs,
                slots,
                history,
                present,
                [g is not None for g in given],
                needs,
                how.recorder is not None,
                carry,
                how.bound,
            )
        )
        cell, _ = read(how.text)
        if how.recorder is not None:
            for name in cell.states:
                how.recorder.store(name, next(results))
        found = [next(results) if needed else None for needed in needs]
        if isinstance(how.limit, Limit):
            how.limit.store(next(results), entries(cell, outputs.shape, lengths))
        return None, None, None, *found


def _differentiably(
    how: _How,
    lengths: Tensor | None,
    carry: Tensor | None,
    tensors: Sequence[Tensor],
    needs: Sequence[bool],
    given: Sequence[Tensor | None],
) -> list[Tensor | None]:
    """The gradients once more, by the reference engine, as a function of tensors and ``given``."""
    cell, phi = read(how.text)
    create = torch.is_grad_enabled()
    with torch.enable_grad():
        # Nodes of their own: one tensor may depend on another, and the gradients are partial ones.
        own = [t.view_as(t) if needed else t for t, needed in zip(tensors, needs, strict=True)]
        inputs, start, weights = how.parts(own)
        outputs, last = reference.over(
            cell,
            phi,
            dict(zip(cell.operands, weights, strict=True)),
            inputs,
            dict(zip(cell.states, start, strict=True)),
            how.recorder,
            lengths,
            carry,
            Limit(how.limit) if isinstance(how.limit, float) else how.limit,
        )
        results = [outputs, *(last[name] for name in cell.states)]
        passed = [
            (result, g)
            for result, g in zip(results, given, strict=True)
            if g is not None and result.requires_grad
        ]
        wanted = [t for t, needed in zip(own, needs, strict=True) if needed]
        if not passed:
            return [None] * len(own)
        found = iter(
            torch.autograd.grad(
                [result for result, _ in passed],
                wanted,
                [g for _, g in passed],
                create_graph=create,
                allow_unused=True,
            )
        )
    return [next(found) if needed else None for needed in needs]


def _store_values(
    recorder: StateGradients, cell: Cell, start: Sequence[Tensor], results: Sequence[Tensor]
) -> None:
    """``results`` are those of ``longlag::forward`` with its history."""
    outputs, *others = results
    history = others[len(start) + 1 :]
    values = [outputs, *(s[..., : outputs.shape[-1]] for s in history)]
    recorder.store_values(
        dict(zip(cell.states, start, strict=True)), dict(zip(cell.states, values, strict=True))
    )

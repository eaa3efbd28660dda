"""The native engine as operators of torch, so that whatever looks at operations sees one.

``longlag::run`` is a cell over a sequence, and what is differentiated: `study.engines.native.engine` says
how. ``longlag::forward`` and ``longlag::backward`` are the two passes that it consists of. Each tells
the shapes of its results without computing them, as torch.compile, torch.export and fake tensors
ask; only the implementations for the CPU reach the kernels, with tensors that have memory. An
operator is given its cell as text, so that a saved graph can be loaded where the cell was never made.
"""

import json
import re
from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor

from study.base.errors import UserError
from study.engines.native.kernel import DTYPES, History, Kernel, kernel
from study.engines.native.memory import empty
from study.engines.recording import Limit
from study.engines.transforms import constant
from study.language.cell import Cell
from study.language.forms import Fixed
from study.language.nonlinearities import Nonlinearity

LIBRARY = torch.library.Library("longlag", "DEF")

_known: dict[str, tuple[Cell, Nonlinearity]] = {}
_texts: dict[tuple[Cell, str], str] = {}


@constant
def text_of(cell: Cell, phi: Nonlinearity) -> str:
    """The cell and its nonlinearity as an operator is given them."""
    text = _texts.get((cell, phi.formula))
    if text is None:
        text = json.dumps([cell.state, cell.equations, phi.formula], ensure_ascii=False)
        _texts[cell, phi.formula] = text
        _known.setdefault(text, (cell, phi))
    return text


def read(text: str) -> tuple[Cell, Nonlinearity]:
    """The cell and nonlinearity that `text_of` wrote, here or in another process."""
    if text not in _known:
        state, equations, formula = json.loads(text)
        # What a fixed vector is does not matter here: its values are among the parameters.
        fixed = dict.fromkeys(re.findall(r"\bk(?:_\w+)?\b", equations), Fixed())
        cell = Cell(name="loaded", state=state, equations=equations, source="", forms=fixed)
        _known[text] = cell, Nonlinearity("loaded", formula, float("nan"))
    return _known[text]


@cache
def _kernel(text: str, dtype: torch.dtype) -> Kernel:
    if dtype not in DTYPES:
        raise UserError(f"the native engine is for float32 and float64, not {dtype}")
    return kernel(*read(text), dtype)


LIBRARY.define(
    "run(str cell, Tensor x, Tensor[] start, Tensor[] parameters, Tensor? lengths, Tensor? carry, "
    "float? limit) -> Tensor[]",
    tags=(torch.Tag.pt2_compliant_tag,),
)
LIBRARY.define(
    "forward(str cell, Tensor[] inputs, Tensor[] start, Tensor[] weights, Tensor? lengths, bool keep) "
    "-> Tensor[]",
    tags=(torch.Tag.pt2_compliant_tag,),
)
LIBRARY.define(
    "backward(str cell, Tensor[] inputs, Tensor[] start, Tensor[] weights, Tensor? lengths, "
    "Tensor outputs, Tensor slots, Tensor[] history, Tensor[] given, bool[] has, bool[] needs, "
    "bool record, Tensor? carry, float? limit) -> Tensor[]",
    tags=(torch.Tag.pt2_compliant_tag,),
)


def forward(
    text: str,
    inputs: Sequence[Tensor],
    start: Sequence[Tensor],
    weights: Sequence[Tensor],
    lengths: Tensor | None,
    keep: bool,
) -> list[Tensor]:
    """Outputs (T,B,H), last states (B,H) and, if ``keep``, the slots and the history of states.

    ``inputs`` (T,B,·) are what matrices are applied to, or x where none is; ``weights`` the cell's
    operands; all contiguous. Raises UserError where shapes or dtypes do not go together.
    """
    compiled = _kernel(text, inputs[0].dtype)
    _check(compiled, inputs, start, weights)
    outputs, last, history = compiled.forward(inputs, start, weights, lengths, keep)
    return [outputs, *last, *((history.slots, *history.states) if keep else ())]


def _forward_on_cpu(
    text: str,
    inputs: Sequence[Tensor],
    start: Sequence[Tensor],
    weights: Sequence[Tensor],
    lengths: Tensor | None,
    keep: bool,
) -> list[Tensor]:
    _check_dtype(inputs[0].dtype, inputs, start, weights)
    if lengths is not None:
        check_lengths(lengths, *inputs[0].shape[:2])
    inputs, start, weights = map(_contiguous, (inputs, start, weights))
    return forward(text, inputs, start, weights, _ordered(lengths), keep)


def _forward_shapes(
    text: str,
    inputs: Sequence[Tensor],
    start: Sequence[Tensor],
    weights: Sequence[Tensor],
    lengths: Tensor | None,
    keep: bool,
) -> list[Tensor]:
    like = inputs[0]
    steps, (batch, hidden) = like.shape[0], start[0].shape
    results = [like.new_empty(steps, batch, hidden), *(s.new_empty(batch, hidden) for s in start)]
    if keep:
        # The padding is of a known width: a compiled layer's is as fixed as its weights'.
        slots, padded = _kernel(text, like.dtype).row(int(hidden))
        results.append(like.new_empty(steps * batch * slots))
        results += [like.new_empty(steps, batch, padded) for _ in start[1:]]
    return results


def backward(
    text: str,
    inputs: Sequence[Tensor],
    start: Sequence[Tensor],
    weights: Sequence[Tensor],
    lengths: Tensor | None,
    outputs: Tensor,
    slots: Tensor,
    history: Sequence[Tensor],
    given: Sequence[Tensor],
    has: Sequence[bool],
    needs: Sequence[bool],
    record: bool,
    carry: Tensor | None,
    limit: float | None,
) -> list[Tensor]:
    """From the gradients ``given`` of those results that ``has`` marks, to those that are asked for.

    First, with ``record``, ∂L/∂s_t of every state (T,B,H); then of the inputs, the start and the
    weights those that ``needs`` marks; with a ``limit`` the entries beyond it (T,) at the end.
    """
    compiled = _kernel(text, outputs.dtype)
    recorded = [empty(outputs.shape, outputs.dtype) for _ in start if record]
    used = len(compiled.operands)
    untouched = () if used else inputs
    flags = iter(needs)
    wanted = [
        *[(empty if used else _zeros)(x.shape, x.dtype) if next(flags) else None for x in inputs],
        *[empty(s.shape, s.dtype) if next(flags) else None for s in start],
        *[torch.zeros_like(w) if next(flags) else None for w in weights],
    ]
    passed = iter(given)
    bound = None if limit is None else Limit(limit)
    compiled.backward(
        inputs,
        start,
        weights,
        lengths,
        outputs,
        History(slots, tuple(history)),
        [next(passed).contiguous() if there else None for there in has],
        [*(recorded if record else [None for _ in start]), *wanted[len(untouched) :]],
        carry,
        bound,
    )
    found = [w for w in wanted if w is not None]
    return [*recorded, *found, *([] if bound is None else [bound.clipped])]


def _backward_on_cpu(
    text: str,
    inputs: Sequence[Tensor],
    start: Sequence[Tensor],
    weights: Sequence[Tensor],
    lengths: Tensor | None,
    outputs: Tensor,
    slots: Tensor,
    history: Sequence[Tensor],
    given: Sequence[Tensor],
    has: Sequence[bool],
    needs: Sequence[bool],
    record: bool,
    carry: Tensor | None,
    limit: float | None,
) -> list[Tensor]:
    (steps, batch, hidden), dtype = outputs.shape, outputs.dtype
    compiled = _kernel(text, dtype)
    _check(compiled, inputs, start, weights)
    _check_dtype(dtype, inputs, start, weights, [slots, *history], given)
    if lengths is not None:
        check_lengths(lengths, steps, batch)
    if carry is not None and (carry.shape != (steps,) or carry.dtype != dtype):
        raise UserError(f"carry must be {steps} numbers of {dtype}, one a step")
    numbers, padded = compiled.row(hidden)
    kept = [(steps * batch * numbers,), *([(steps, batch, padded)] * (len(start) - 1))]
    if (batch, hidden) != start[0].shape or kept != [t.shape for t in (slots, *history)]:
        raise UserError("the history is not that of a forward pass of this cell over this input")
    shapes = [
        shape
        for shape, there in zip([outputs.shape, *[start[0].shape] * len(start)], has, strict=True)
        if there
    ]
    if [g.shape for g in given] != shapes:
        raise UserError("the gradients must be of the results' shapes")
    inputs, start, weights = map(_contiguous, (inputs, start, weights))
    return backward(
        text,
        inputs,
        start,
        weights,
        _ordered(lengths),
        outputs.contiguous(),
        slots.contiguous(),
        _contiguous(history),
        _contiguous(given),
        has,
        needs,
        record,
        _ordered(carry),
        limit,
    )


def _backward_shapes(
    text: str,
    inputs: Sequence[Tensor],
    start: Sequence[Tensor],
    weights: Sequence[Tensor],
    lengths: Tensor | None,
    outputs: Tensor,
    slots: Tensor,
    history: Sequence[Tensor],
    given: Sequence[Tensor],
    has: Sequence[bool],
    needs: Sequence[bool],
    record: bool,
    carry: Tensor | None,
    limit: float | None,
) -> list[Tensor]:
    recorded = [outputs.new_empty(outputs.shape) for _ in start if record]
    tensors = zip([*inputs, *start, *weights], needs, strict=True)
    found = [t.new_empty(t.shape) for t, needed in tensors if needed]
    clipped = [] if limit is None else [outputs.new_empty(outputs.shape[0], dtype=torch.int64)]
    return [*recorded, *found, *clipped]


def _zeros(shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    return torch.zeros(*shape, dtype=dtype)


def _ordered(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.contiguous()


def _contiguous(tensors: Sequence[Tensor]) -> list[Tensor]:
    return [tensor.contiguous() for tensor in tensors]


def _check(
    compiled: Kernel,
    inputs: Sequence[Tensor],
    start: Sequence[Tensor],
    weights: Sequence[Tensor],
) -> None:
    """The kernel trusts what it is given: a matrix of another shape would have it read elsewhere."""
    steps, batch, _ = inputs[0].shape
    hidden = start[0].shape[-1]
    expected = compiled.weight_shapes(hidden, tuple([x.shape[-1] for x in inputs]))
    found = [w.shape for w in weights]
    if found != expected:
        names = zip(compiled.cell.operands, found, expected, strict=True)
        name, got, right = next(each for each in names if each[1] != each[2])
        raise UserError(f"parameter {name} must be {tuple(right)}, got {tuple(got)}")
    shapes = {s.shape for s in start} | {x.shape[:2] for x in inputs}
    if shapes != {(batch, hidden), (steps, batch)}:
        raise UserError(f"x must be (T, {batch}, ·) and the states ({batch}, {hidden})")


def _check_dtype(dtype: torch.dtype, *groups: Sequence[Tensor]) -> None:
    if other := {tensor.dtype for group in groups for tensor in group} - {dtype}:
        raise UserError(f"the tensors must all be {dtype}, as the first is, got {other.pop()}")


def check_lengths(lengths: Tensor, steps: int, batch: int) -> None:
    """Raises UserError where an entry is not from 1 to ``steps``."""
    if lengths.shape != (batch,) or lengths.dtype != torch.int64:
        raise UserError(f"lengths must be {batch} whole numbers, got {tuple(lengths.shape)}")
    if batch and not (int(lengths.min()) >= 1 and int(lengths.max()) <= steps):
        raise UserError(f"lengths must be from 1 to {steps}")


for _name, _on_cpu, _shapes in (
    ("forward", _forward_on_cpu, _forward_shapes),
    ("backward", _backward_on_cpu, _backward_shapes),
):
    LIBRARY.impl(_name, _on_cpu, "CPU")
    LIBRARY.impl(_name, _shapes, "Meta")
    # Nothing is differentiated here: `longlag::run` is.
    LIBRARY.impl(_name, torch.library.fallthrough_kernel, "Autograd")

call_run: Any = torch.ops.longlag.run.default
call_forward: Any = torch.ops.longlag.forward.default
call_backward: Any = torch.ops.longlag.backward.default

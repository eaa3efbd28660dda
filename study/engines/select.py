"""Which engine runs a cell: the native one where it can, else the reference."""

import warnings
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from study.base.errors import UserError, unknown
from study.engines import reference
from study.engines.native import engine as native
from study.engines.native.compiler import NativeUnavailable, compiler
from study.engines.native.kernel import DTYPES, kernel
from study.engines.native.operators import check_lengths
from study.engines.recording import Limit, StateGradients
from study.engines.transforms import constant, is_stand_in, is_written_down, transform
from study.language.cell import Cell
from study.language.nonlinearities import Nonlinearity

ENGINES = ("auto", "native", "reference")

_said: set[str] = set()


def run(
    cell: Cell,
    phi: Nonlinearity,
    parameters: Mapping[str, Tensor],
    x: Tensor,
    state: Mapping[str, Tensor],
    recorder: StateGradients | None = None,
    lengths: Tensor | Sequence[int] | None = None,
    engine: str = "auto",
    carry: Tensor | None = None,
    limit: Limit | float | None = None,
) -> tuple[Tensor, dict[str, Tensor]]:
    """The cell over a sequence: x (T,B,I) -> outputs (T,B,H) and the last state, each (B,H).

    ``lengths`` (B,), whole numbers from 1 to T: beyond its length a sequence's outputs are zero,
    its state is held and its input is not looked at, as in torch's packed sequences. "auto" takes
    the native engine on the CPU in float32 and float64 where there is a C compiler, else the
    reference engine, saying so once.

    Two things change the gradient and not the outputs. ``carry`` (T,) multiplies what step t hands
    back to the states before it (at 0, to the given ones): 1 passes, 0 cuts and gives an exact 0.
    ``limit`` keeps ∂L/∂a within ±limit at every step, before it is used, for every column a: the
    sum of matrix products and biases that a gate is a function of. What a recorder holds is the
    gradient so changed. A peephole is no part of a column: its own gradient is not limited.

    Raises UserError for an unknown engine, for bad lengths, carry or limit, and when "native" is
    asked for where it cannot run.
    """
    if engine not in ENGINES:
        raise unknown("engine", engine, ENGINES)
    x, parameters, state = _of_one_dtype(cell, x, parameters, state)
    if lengths is not None:
        lengths, x = _cut(lengths, x)
    if carry is not None:
        carry = _factors(carry, x)
    if limit is not None and not isinstance(limit, Limit):
        limit = Limit(limit)
    if recorder is not None and is_written_down():
        raise UserError(
            "a recorder is filled by Python, which a compiled, exported or traced layer leaves out: "
            "record a pass of the layer itself"
        )
    tensors = (x, *parameters.values(), *state.values())
    is_native = engine != "reference" and x.shape[1] > 0 and _can_native(cell, phi, tensors, engine)
    chosen = native.run if is_native else reference.run
    return chosen(cell, phi, parameters, x, state, recorder, lengths, carry, limit)


def check_engine(engine: str) -> None:
    """Raises UserError when "native" is asked for and there is no C compiler."""
    if engine == "native":
        try:
            compiler()
        except NativeUnavailable as error:
            raise UserError(f"the native engine cannot run here: {error}") from None


def as_lengths(lengths: Tensor | Sequence[int], x: Tensor) -> Tensor:
    """(B,) int64 on the device of x (T,B,I), from a tensor, a list or a tuple. Raises UserError."""
    batch = x.shape[1]
    if not isinstance(lengths, Tensor):
        try:
            lengths = torch.tensor(lengths, dtype=None if len(lengths) else torch.int64)
        except (TypeError, ValueError, RuntimeError):
            raise UserError(f"lengths must be {batch} whole numbers, got {lengths!r}") from None
    kind = lengths.dtype
    if lengths.shape != (batch,) or kind.is_floating_point or kind.is_complex or kind == torch.bool:
        got = f"{tuple(lengths.shape)} of {kind}"
        raise UserError(f"lengths must be {batch} whole numbers, got {got}")
    return lengths.to(x.device, torch.int64).contiguous()


def _of_one_dtype(
    cell: Cell, x: Tensor, parameters: Mapping[str, Tensor], state: Mapping[str, Tensor]
) -> tuple[Tensor, Mapping[str, Tensor], Mapping[str, Tensor]]:
    """The same, of one dtype; a counter may have more places. Raises UserError where they are not.

    Under autocast on the CPU the layer keeps its parameters' dtype: an error in a state is carried
    through all steps, and torch keeps what loses by few places in float32 in the same way.
    """
    dtype = x.dtype if not parameters else next(iter(parameters.values())).dtype
    kind = "cpu" if x.is_cpu else x.device.type
    if torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind):
        if not x.is_cpu:
            return x, parameters, state
        x = x.to(dtype)
        state = {name: value.to(dtype) for name, value in state.items()}
    if {t.dtype for t in (x, *parameters.values(), *state.values())} == {dtype}:
        return x, parameters, state
    named = {"x": x} | {f"parameter {n}": p for n, p in parameters.items()}
    named |= {
        f"state {n}": s for n, s in state.items() if s.dtype != reference.state_dtype(n, dtype)
    }
    for what, tensor in named.items():
        if tensor.dtype != dtype:
            raise UserError(
                f"{what} is {tensor.dtype}, the layer's parameters are {dtype}: convert one of them"
            )
    return x, parameters, state


def _can_native(cell: Cell, phi: Nonlinearity, tensors: tuple[Tensor, ...], engine: str) -> bool:
    reason = _obstacle(tensors) or _without_kernel(cell, phi, tensors[0].dtype)
    if reason is None:
        return True
    if engine == "native":
        raise UserError(f"the native engine cannot run here: {reason}; engine='reference' can")
    _say(f"the reference engine runs, slower: {reason}")
    return False


@constant
def _say(text: str) -> None:
    if text not in _said:
        _said.add(text)
        warnings.warn(text, RuntimeWarning, stacklevel=5)


def _obstacle(tensors: Sequence[Tensor]) -> str | None:
    """The one guard of the native engine: why it must not be given these tensors."""
    dtype = tensors[0].dtype
    if {tensor.is_cpu for tensor in tensors} != {True}:
        other = next(t.device.type for t in tensors if not t.is_cpu)
        return f"the native engine is for the CPU, the data are on {other}"
    if dtype not in DTYPES:
        return f"the native engine is for float32 and float64, not {dtype}"
    if {tensor.layout for tensor in tensors} != {torch.strided}:
        return "the native engine is for dense tensors"
    return transform(tensors)


@constant
def _without_kernel(cell: Cell, phi: Nonlinearity, dtype: torch.dtype) -> str | None:
    """Why there is no kernel, if there is none."""
    try:
        kernel(cell, phi, dtype)
    except NativeUnavailable as error:
        return str(error)
    return None


def _cut(lengths: Tensor | Sequence[int], x: Tensor) -> tuple[Tensor, Tensor]:
    """The lengths as the engines take them, and the input with zeros beyond them."""
    lengths = as_lengths(lengths, x)
    if not is_written_down() and transform([lengths]) is None and not is_stand_in(lengths):
        check_lengths(lengths, *x.shape[:2])
    beyond = torch.arange(x.shape[0], device=x.device)[:, None] >= lengths
    return lengths, x.masked_fill(beyond[..., None], 0)


def _factors(carry: Tensor, x: Tensor) -> Tensor:
    known = not (is_written_down() or is_stand_in(carry))
    if (
        carry.shape != x.shape[:1]
        or not carry.is_floating_point()
        or (known and not carry.isfinite().all())
    ):
        raise UserError(f"carry must be {x.shape[0]} finite numbers, one a step")
    return carry.detach().to(x.device, x.dtype).contiguous()

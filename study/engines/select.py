"""Which engine runs a cell: the native one where it can, else the reference."""

import warnings
from collections.abc import Mapping

import torch
from torch import Tensor

from study.engines import native, reference
from study.engines.compiler import NativeUnavailable, compiler
from study.engines.kernel import DTYPES, kernel
from study.engines.recording import Limit, StateGradients
from study.equations import Cell
from study.errors import UserError, unknown
from study.nonlinearities import Nonlinearity

ENGINES = ("auto", "native", "reference")

_said: set[str] = set()


def run(
    cell: Cell,
    phi: Nonlinearity,
    parameters: Mapping[str, Tensor],
    x: Tensor,
    state: Mapping[str, Tensor],
    recorder: StateGradients | None = None,
    lengths: Tensor | None = None,
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
    if lengths is not None:
        lengths, x = _cut(lengths, x)
    if carry is not None:
        carry = _factors(carry, x)
    if limit is not None and not isinstance(limit, Limit):
        limit = Limit(limit)
    tensors = (x, *parameters.values(), *state.values())
    is_native = engine != "reference" and x.numel() > 0 and _can_native(cell, phi, tensors, engine)
    chosen = native.run if is_native else reference.run
    return chosen(cell, phi, parameters, x, state, recorder, lengths, carry, limit)


def check_engine(engine: str) -> None:
    """Raises UserError when "native" is asked for and there is no C compiler."""
    if engine == "native":
        try:
            compiler()
        except NativeUnavailable as error:
            raise UserError(f"the native engine cannot run here: {error}") from None


def _can_native(cell: Cell, phi: Nonlinearity, tensors: tuple[Tensor, ...], engine: str) -> bool:
    reason = _obstacle(tensors)
    if reason is None:
        try:
            kernel(cell, phi, tensors[0].dtype)
            return True
        except NativeUnavailable as error:
            reason = str(error)
    if engine == "native":
        raise UserError(f"the native engine cannot run here: {reason}")
    if reason not in _said:
        _said.add(reason)
        warnings.warn(f"the reference engine runs, slower: {reason}", RuntimeWarning, stacklevel=4)
    return False


def _obstacle(tensors: tuple[Tensor, ...]) -> str | None:
    for tensor in tensors:
        if tensor.device.type != "cpu":
            return f"the native engine is for the CPU, the data are on {tensor.device.type}"
        if tensor.dtype not in DTYPES or tensor.layout != torch.strided:
            return f"the native engine is for float32 and float64, not {tensor.dtype}"
        if tensor.dtype != tensors[0].dtype:
            return f"the native engine needs one dtype, got {tensors[0].dtype} and {tensor.dtype}"
    return None


def _cut(lengths: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """The lengths as the engines take them, and the input with zeros beyond them."""
    steps, batch = x.shape[:2]
    if lengths.shape != (batch,) or lengths.is_floating_point() or lengths.is_complex():
        raise UserError(f"lengths must be {batch} whole numbers, got {tuple(lengths.shape)}")
    if batch and not (int(lengths.min()) >= 1 and int(lengths.max()) <= steps):
        raise UserError(f"lengths must be from 1 to {steps}")
    lengths = lengths.to(x.device, torch.int64).contiguous()
    beyond = torch.arange(steps, device=x.device)[:, None] >= lengths
    return lengths, x.masked_fill(beyond[..., None], 0)


def _factors(carry: Tensor, x: Tensor) -> Tensor:
    if carry.shape != x.shape[:1] or not carry.is_floating_point() or not carry.isfinite().all():
        raise UserError(f"carry must be {len(x)} finite numbers, one a step")
    return carry.detach().to(x.device, x.dtype).contiguous()

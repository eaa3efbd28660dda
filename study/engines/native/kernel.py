"""A cell's compiled passes, called with tensors."""

import ctypes
import hashlib
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

import torch
from torch import Tensor

from study.engines.columns import entries
from study.engines.lowering import Evaluate, lower
from study.engines.native.codegen import generate, tiles
from study.engines.native.compiler import NativeUnavailable, library
from study.engines.native.memory import empty
from study.engines.native.program import input_operands
from study.engines.recording import Limit
from study.language.cell import Cell
from study.language.expressions import phi
from study.language.nonlinearities import ARGUMENT, Nonlinearity

DTYPES = {torch.float32: ("float", 0), torch.float64: ("double", 1)}
# Rows whose gradients the backward pass gathers before it forms those of the matrices: enough for
# products at full speed, few enough to stay in the second-level cache.
CHUNK_ROWS = 256


@dataclass(frozen=True)
class History:
    """What a forward pass keeps: the slots, and the states but the first (T,B,padded H)."""

    slots: Tensor
    states: tuple[Tensor, ...]


class Kernel:
    """Compiled once for a cell, a nonlinearity and a dtype. Holds no state between calls."""

    def __init__(self, cell: Cell, nonlinearity: Nonlinearity, dtype: torch.dtype) -> None:
        name, is_double = DTYPES[dtype]
        self.cell, self.dtype = cell, dtype
        self._expressions = input_operands(cell)
        self.operands: list[Evaluate] = [
            lower(o.replace(phi, lambda a: nonlinearity.expression.subs(ARGUMENT, a)))
            for o in self._expressions
        ]
        self._rows: dict[int, tuple[int, int]] = {}
        self._shapes: dict[tuple[int, tuple[int, ...]], list[torch.Size]] = {}
        text = (cell.state, cell.equations, nonlinearity.formula, _generator())
        key = hashlib.sha256("\0".join(text).encode()).hexdigest()
        real = (f"-DREAL={name}", f"-DDOUBLE={is_double}")
        products = library(f"tiles {_generator()}", tiles, real).tiles
        products.restype = ctypes.c_void_p
        loaded = library(key, lambda: generate(cell, nonlinearity), real)
        loaded.use.argtypes = [ctypes.c_void_p]
        loaded.use(products())
        self._calls = {}
        for call in ("forward", "backward", "slots", "padded"):
            function = getattr(loaded, call)
            function.restype = ctypes.c_int64
            function.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
            self._calls[call] = function

    def forward(
        self,
        inputs: Sequence[Tensor],
        start: Sequence[Tensor],
        parameters: Sequence[Tensor],
        lengths: Tensor | None,
        keep: bool,
    ) -> tuple[Tensor, list[Tensor], History]:
        """Outputs (T,B,H), the last states (B,H), and what the backward pass needs if ``keep``.

        All tensors contiguous; ``inputs`` (T,B,I) one for each operand, ``lengths`` int64 (B,).
        """
        steps, batch, hidden = inputs[0].shape[0], *start[0].shape
        sizes = self._sizes(steps, start[0], inputs, keep)
        numbers, padded = self.row(hidden)
        kept = steps if keep else 1
        outputs = empty((steps, batch, hidden), self.dtype)
        last = [torch.empty_like(s) for s in start]
        history = History(
            empty((kept * batch * numbers,), self.dtype),
            tuple([empty((steps if keep else 2, batch, padded), self.dtype) for _ in start[1:]]),
        )
        workspace = empty((self._calls["forward"](sizes, None),), torch.uint8)
        common = self._common(inputs, start, parameters, lengths, outputs, history)
        self._calls["forward"](sizes, _pointers(*common, *last, workspace))
        return outputs, last, history

    def backward(
        self,
        inputs: Sequence[Tensor],
        start: Sequence[Tensor],
        parameters: Sequence[Tensor],
        lengths: Tensor | None,
        outputs: Tensor,
        history: History,
        given: Sequence[Tensor | None],
        wanted: Sequence[Tensor | None],
        carry: Tensor | None,
        limit: Limit | None,
    ) -> None:
        """Fills ``wanted``: ∂L/∂s_t of every state (T,B,H), then the gradients of the inputs, the
        start and the parameters (these zeroed). ``given``: those of the outputs and last states.
        ``carry`` (T,) in the kernel's dtype. A ``limit`` is told how many entries were beyond it.
        """
        sizes = self._sizes(len(outputs), start[0], inputs, True)
        workspace = empty((self._calls["backward"](sizes, None),), torch.uint8)
        common = self._common(inputs, start, parameters, lengths, outputs, history)
        bound = None if limit is None else torch.tensor([limit.value], dtype=self.dtype)
        clipped = None if limit is None else torch.zeros(len(outputs), dtype=torch.int64)
        self._calls["backward"](
            sizes, _pointers(*common, carry, bound, clipped, *given, *wanted, workspace)
        )
        if limit is not None and clipped is not None:
            limit.store(clipped, entries(self.cell, outputs.shape, lengths))

    def row(self, hidden: int) -> tuple[int, int]:
        """What one sequence keeps of one step: numbers in the slots, and in each state."""
        if hidden not in self._rows:
            like = torch.empty(1, hidden, device="meta")
            sizes = self._sizes(1, like, [like] * len(self.operands), True)
            self._rows[hidden] = tuple(self._calls[c](sizes, None) for c in ("slots", "padded"))
        return self._rows[hidden]

    def weight_shapes(self, hidden: int, widths: tuple[int, ...]) -> list[torch.Size]:
        """Those of the cell's operands, for inputs of these ``widths``."""
        key = hidden, widths
        if key not in self._shapes:
            inputs = {
                product.matrix: widths[self._expressions.index(product.operand)]
                for product in self.cell.products.values()
                if product.operand in self._expressions
            }
            self._shapes[key] = [
                torch.Size([hidden] if p.columns is None else [hidden, inputs.get(name, hidden)])
                for name, p in self.cell.operands.items()
            ]
        return self._shapes[key]

    def _sizes(
        self, steps: int, start: Tensor, inputs: Sequence[Tensor], keep: bool
    ) -> "ctypes.Array[ctypes.c_int64]":
        widths = [x.shape[-1] for x in inputs]
        numbers = [steps, *start.shape, int(keep), CHUNK_ROWS, *widths[: len(self.operands)]]
        return (ctypes.c_int64 * len(numbers))(*numbers)

    def _common(
        self,
        inputs: Sequence[Tensor],
        start: Sequence[Tensor],
        parameters: Sequence[Tensor],
        lengths: Tensor | None,
        outputs: Tensor,
        history: History,
    ) -> tuple[Tensor | None, ...]:
        used = inputs[: len(self.operands)]
        return (lengths, *used, *start, *parameters, outputs, *history.states, history.slots)


def _pointers(*tensors: Tensor | None) -> "ctypes.Array[ctypes.c_void_p]":
    addresses = [None if t is None else t.data_ptr() for t in tensors]
    return (ctypes.c_void_p * len(addresses))(*addresses)


@cache
def _generator() -> str:
    """Changes with any file that the generated source depends on."""
    rooms = ("study.language", "study.engines", "study.engines.native")
    folders = [resources.files(room) for room in rooms]
    folders.append(folders[-1] / "headers")
    found = (file for folder in folders for file in folder.iterdir())
    files = sorted((f for f in found if f.name.endswith((".h", ".py"))), key=str)
    return hashlib.sha256(b"\0".join(f.read_bytes() for f in files)).hexdigest()


Key = tuple[Cell, str, torch.dtype]

_kernels: dict[Key, Kernel | NativeUnavailable] = {}
_locks: dict[Key, threading.Lock] = {}


def _after_fork() -> None:
    _locks.clear()  # another thread of the parent may have held one


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def kernel(cell: Cell, nonlinearity: Nonlinearity, dtype: torch.dtype) -> Kernel:
    """The kernel, compiled at the first call. Raises NativeUnavailable, from then on at once."""
    key = (cell, nonlinearity.formula, dtype)
    found = _kernels.get(key)
    if found is None:
        with _locks.setdefault(key, threading.Lock()):
            found = _kernels.get(key)
            if found is None:
                try:
                    found = Kernel(cell, nonlinearity, dtype)
                except NativeUnavailable as error:
                    found = error
                _kernels[key] = found
    if isinstance(found, NativeUnavailable):
        raise NativeUnavailable(str(found))
    return found

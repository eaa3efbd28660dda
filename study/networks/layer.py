"""A recurrent layer for any PyTorch code: a cell of the catalogue as an `nn.Module`."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Generator, Tensor, nn

from study.base.errors import UserError, unknown
from study.cells import CELLS
from study.credit import CREDIT, Credit
from study.engines.recording import Limit, StateGradients
from study.engines.reference import state_dtype
from study.engines.select import ENGINES, as_lengths
from study.initializers import (
    BIASES,
    INPUT_WEIGHTS,
    RECURRENT,
    VECTORS,
    BiasInitializer,
    MatrixInitializer,
    VectorInitializer,
    check_suits,
)
from study.language.cell import Cell
from study.language.nonlinearities import NONLINEARITIES

_FULL = CREDIT.build("full")  # made once: a compiled layer cannot


class Layer(nn.Module):
    """One recurrent layer.

    ``layer = Layer("lstm", input_size=3, hidden_size=5, generator=g)``, then
    ``outputs, state = layer(x)`` with x (T,B,I), outputs (T,B,H) and state {"h": (B,H), "c": (B,H)}.
    Parameters are attributes named as in the equations: ``layer.U_i`` (H,H) acts as U_i h,
    ``layer.W_i`` is (H,I), ``layer.b_i`` (H,). There is one bias a gate, where torch adds two. A
    parameter that is not free, such as an orthogonal U, is a parametrization of torch's.

    ``recurrent``, ``inputs``, ``biases`` and ``vectors`` (peepholes and other element-wise
    parameters) choose the initializers by name or as made ones; all draws come from ``generator``
    (torch's global one when None), first those of the matrices, so that they are the same whatever
    the biases. ``engine`` is "auto", "native" or "reference". Raises UserError for
    unknown names and for an initializer that does not suit the cell.

    The native engine reads numbers below the smallest normal one as zero, which makes it as fast where
    a gradient vanishes as elsewhere: one below 1.2e-38 in float32, 2.2e-308 in float64, is exactly 0.
    The calling thread computes as before when it returns. The reference engine does as the thread
    does; see ``torch.set_flush_denormal``.
    """

    def __init__(
        self,
        cell: str | Cell,
        input_size: int,
        hidden_size: int,
        phi: str = "tanh",
        *,
        recurrent: str | Mapping[str, object] | MatrixInitializer = "uniform",
        inputs: str | Mapping[str, object] | MatrixInitializer = "uniform",
        biases: str | Mapping[str, object] | BiasInitializer = "zeros",
        vectors: str | Mapping[str, object] | VectorInitializer = "source",
        generator: Generator | None = None,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
        engine: str = "auto",
    ) -> None:
        super().__init__()
        if engine not in ENGINES:
            raise unknown("engine", engine, ENGINES)
        self.engine = engine
        for what, size in (("input_size", input_size), ("hidden_size", hidden_size)):
            if not isinstance(size, int) or isinstance(size, bool) or size < 1:
                raise UserError(f"{what} must be a whole number, at least 1 (got {size!r})")
        self.cell = cell if isinstance(cell, Cell) else CELLS[cell]
        self.phi = NONLINEARITIES[phi]
        self.input_size, self.hidden_size = input_size, hidden_size
        of_u, of_w = RECURRENT.build(recurrent), INPUT_WEIGHTS.build(inputs)
        of_b, of_p = BIASES.build(biases), VECTORS.build(vectors)
        check_suits(self.cell, of_u, of_w, of_b, of_p)
        generator = generator if generator is not None else torch.default_generator
        drawn = {
            name: (of_u if parameter.columns == "H" else of_w).draw(
                parameter.shape(input_size, hidden_size), hidden_size, generator
            )
            for name, parameter in self.cell.parameters.items()
            if parameter.columns is not None and not parameter.is_fixed
        }
        drawn |= of_b.draw(self.cell, hidden_size, generator)
        drawn |= of_p.draw(self.cell, hidden_size, generator)
        for name, parameter in self.cell.parameters.items():
            # What is not drawn is fixed: its form says what it is.
            value = drawn.get(name, torch.zeros(parameter.shape(input_size, hidden_size)))
            value = value.to(dtype=dtype or torch.get_default_dtype(), device=device)
            if parameter.form is None:
                self.register_parameter(name, nn.Parameter(value))
            else:
                parameter.form.attach(self, name, value)

    def forward(
        self,
        x: Tensor,
        state: Mapping[str, Tensor] | None = None,
        *,
        recorder: StateGradients | None = None,
        lengths: Tensor | Sequence[int] | None = None,
        credit: str | Mapping[str, object] | Credit = "full",
        generator: Generator | None = None,
        limit: Limit | float | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """x (T,B,I), state by name (B,H) or None for zeros -> outputs (T,B,H), the last state.

        With a ``recorder``, the pass leaves every state s_t there and the backward pass ∂L/∂s_t.
        Beyond its entry of ``lengths`` (B,) a sequence's outputs are zero and its state is held.
        ``credit`` names the rule by which the gradient is computed, with draws from ``generator``;
        ``limit`` bounds it within the backward pass. Raises UserError when a shape or a state's name
        is wrong.
        """
        if not isinstance(x, Tensor):
            raise UserError(f"x must be a tensor (T, B, {self.input_size}), got {type(x).__name__}")
        if x.dim() != 3 or x.shape[-1] != self.input_size or x.shape[0] < 1:
            raise UserError(
                f"x must be (T, B, {self.input_size}) with T at least 1, got {tuple(x.shape)}"
            )
        start = self.initial_state(x) if state is None else self._checked(state, x)
        # What is not there is made of others, or fixed.
        own: dict[str, Any] = self._parameters
        parameters = {n: own[n] if n in own else getattr(self, n) for n in self.cell.parameters}
        rule = _FULL if credit == "full" else CREDIT.build(credit)
        return rule.run(
            self.cell,
            self.phi,
            parameters,
            x,
            start,
            generator=generator,
            recorder=recorder,
            lengths=None if lengths is None else as_lengths(lengths, x),
            engine=self.engine,
            limit=limit,
        )

    def parameter_count(self) -> int:
        """Trained numbers; a constrained matrix counts those that it has left, a frozen one none."""
        sizes = self.input_size, self.hidden_size
        trained = (p for name, p in self.cell.parameters.items() if not self.is_frozen(name))
        return sum(int(parameter.count(*sizes)) for parameter in trained)

    def behind(self, name: str) -> list[nn.Parameter]:
        """What is trained in place of the cell's parameter of that name: itself, or what a
        parametrization makes it from; nothing where it is fixed."""
        return [p for path, p in self.named_parameters() if name in path.split(".")]

    def is_frozen(self, name: str) -> bool:
        """Whether the parameter would be trained, but no gradient is asked for."""
        found = self.behind(name)
        return bool(found) and not any(p.requires_grad for p in found)

    def initial_state(self, x: Tensor) -> dict[str, Tensor]:
        """Zeros (B,H) for every state."""
        size = x.shape[1], self.hidden_size
        return {n: x.new_zeros(size, dtype=state_dtype(n, x.dtype)) for n in self.cell.states}

    def _checked(self, state: Mapping[str, Tensor], x: Tensor) -> dict[str, Tensor]:
        if not isinstance(state, Mapping):
            raise UserError(
                f"state must map names to tensors, {{{', '.join(self.cell.states)}}}, "
                f"got {type(state).__name__}"
            )
        shape = (x.shape[1], self.hidden_size)
        if set(state) != set(self.cell.states):
            raise UserError(
                f"{self.cell.name} has the states {', '.join(self.cell.states)}, "
                f"got {', '.join(state) or 'none'}"
            )
        for name, value in state.items():
            if tuple(value.shape) != shape:
                raise UserError(f"state {name} must be {shape}, got {tuple(value.shape)}")
        return dict(state)

    def extra_repr(self) -> str:
        return f"{self.cell.name}, {self.input_size} -> {self.hidden_size}, phi={self.phi.name}"

"""A recurrent layer for any PyTorch code: a cell of the catalogue as an `nn.Module`."""

from collections.abc import Mapping

import torch
from torch import Generator, Tensor, nn

from study.cells import CELLS
from study.engines.recording import StateGradients
from study.engines.select import ENGINES, run
from study.equations import Cell
from study.errors import UserError, unknown
from study.initializers import (
    BIASES,
    INPUT_WEIGHTS,
    RECURRENT,
    BiasInitializer,
    MatrixInitializer,
    check_suits,
)
from study.nonlinearities import NONLINEARITIES
from study.notation import is_vector


class Layer(nn.Module):
    """One recurrent layer.

    ``layer = Layer("lstm", input_size=3, hidden_size=5, generator=g)``, then
    ``outputs, state = layer(x)`` with x (T,B,I), outputs (T,B,H) and state {"h": (B,H), "c": (B,H)}.
    Parameters are attributes named as in the equations: ``layer.U_i`` (H,H) acts as U_i h,
    ``layer.W_i`` is (H,I), ``layer.b_i`` (H,). There is one bias a gate, where torch adds two. A
    parameter that is not free, such as an orthogonal U, is a parametrization of torch's.

    ``recurrent``, ``inputs`` and ``biases`` choose the initializers by name or as made ones; all
    draws come from ``generator`` (torch's global one when None). Peepholes start as the biases of
    torch do, uniform in 1/√H. ``engine`` is "auto", "native" or "reference". Raises UserError for
    unknown names and for an initializer that does not suit the cell.
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
        of_u, of_w, of_b = (
            RECURRENT.build(recurrent),
            INPUT_WEIGHTS.build(inputs),
            BIASES.build(biases),
        )
        check_suits(self.cell, of_u, of_w, of_b)
        generator = generator if generator is not None else torch.default_generator
        for name, parameter in self.cell.parameters.items():
            shape = parameter.shape(input_size, hidden_size)
            if parameter.columns == "H":
                value = of_u.draw(shape, hidden_size, generator)
            elif parameter.columns == "I":
                value = of_w.draw(shape, hidden_size, generator)
            elif is_vector(name) and name.startswith("b"):
                value = of_b.draw(name, self.cell, hidden_size, generator)
            else:
                value = BIASES.build("uniform").draw(name, self.cell, hidden_size, generator)
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
        lengths: Tensor | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """x (T,B,I), state by name (B,H) or None for zeros -> outputs (T,B,H), the last state.

        With a ``recorder``, the backward pass leaves ∂L/∂s_t of every state there. Beyond its entry
        of ``lengths`` (B,) a sequence's outputs are zero and its state is held. Raises UserError
        when a shape or a state's name is wrong.
        """
        if not isinstance(x, Tensor):
            raise UserError(f"x must be a tensor (T, B, {self.input_size}), got {type(x).__name__}")
        if x.dim() != 3 or x.shape[-1] != self.input_size or x.shape[0] < 1:
            raise UserError(
                f"x must be (T, B, {self.input_size}) with T at least 1, got {tuple(x.shape)}"
            )
        start = self.initial_state(x) if state is None else self._checked(state, x)
        parameters = {name: getattr(self, name) for name in self.cell.parameters}
        outputs, last = run(
            self.cell, self.phi, parameters, x, start, recorder, lengths, self.engine
        )
        if recorder is not None:
            recorder.see(x, start, outputs)
        return outputs, last

    def parameter_count(self) -> int:
        """Trained numbers; a constrained matrix counts those that it has left."""
        return int(self.cell.parameter_count(self.input_size, self.hidden_size))

    def initial_state(self, x: Tensor) -> dict[str, Tensor]:
        """Zeros (B,H) for every state."""
        return {name: x.new_zeros(x.shape[1], self.hidden_size) for name in self.cell.states}

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

"""Biases: most of these set how long the forget gate keeps the state before anything is learned.

A forget gate at rest at σ(b) keeps the state for about τ = 1/(1-σ(b)) = 1 + e^b steps: 2 at b = 0,
3.7 at b = 1. So even "forget bias 1" forgets within a few steps.
"""

import math
from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import Generator, Tensor

from study.base.errors import UserError
from study.initializers.base import BIASES, BiasInitializer, biases_of, uniform
from study.initializers.gates import keeper
from study.language.cell import Cell


def _zeros(cell: Cell, hidden: int) -> dict[str, Tensor]:
    return {n: torch.zeros(s, dtype=torch.float64) for n, s in biases_of(cell, hidden).items()}


@BIASES.register
class Zeros(BiasInitializer):
    """b = 0 everywhere."""

    name: Literal["zeros"] = "zeros"

    def draw(self, cell: Cell, hidden: int, generator: Generator) -> dict[str, Tensor]:
        return _zeros(cell, hidden)


@BIASES.register
class UniformBias(BiasInitializer):
    """U[-1/√H, 1/√H] for every bias, torch's default (torch has two that add; here there is one)."""

    name: Literal["uniform"] = "uniform"

    def draw(self, cell: Cell, hidden: int, generator: Generator) -> dict[str, Tensor]:
        bound = 1 / math.sqrt(hidden)
        return {n: uniform(s, bound, generator) for n, s in biases_of(cell, hidden).items()}


class _OfForgetGate(BiasInitializer):
    def refusal(self, cell: Cell) -> str | None:
        return None if cell.forget_gate else f"{cell.name} has no forget gate; use zeros or uniform"


@BIASES.register
class ForgetBias(_OfForgetGate):
    """The forget gate's bias is ``value``, all others 0.

    What a cell adds to it in its equations counts: lstm-b's, which has a 1 there, starts at value - 1.
    A constant bias b holds the state for about 1 + e^b steps: 3.7 at b = 1. Gers, Schmidhuber &
    Cummins (2000); Jozefowicz, Zaremba & Sutskever (2015).
    """

    name: Literal["forget"] = "forget"
    value: float = 1.0

    def draw(self, cell: Cell, hidden: int, generator: Generator) -> dict[str, Tensor]:
        gate = keeper(cell)
        value = self.value - (gate.offset if gate is not None else 0.0)
        level = torch.full((hidden,), value, dtype=torch.float64)
        return _zeros(cell, hidden) | {f"b_{cell.forget_gate}": level}


@BIASES.register
class PowerLaw(_OfForgetGate):
    """The forget gate's bias of unit k = 0 … H-1 is 5 - 12(k/(H-1))^power, all others 0. The sLSTM of
    Beck et al. (2024), "powerlaw_blockdependent" in their code (NX-AI/xlstm).

    From 5, 149 steps, down to -7, none; with the power 0.3 of their first block only the first 5 %
    of the units are above 0. The power grows to 1.6 in the last block, and each of their heads has
    its own powers; the layers here have one head.
    """

    name: Literal["slstm-powers"] = "slstm-powers"
    power: float = Field(default=0.3, gt=0, description="0.3 in a first block to 1.6 in a last")

    def draw(self, cell: Cell, hidden: int, generator: Generator) -> dict[str, Tensor]:
        places = torch.linspace(0, 1, hidden, dtype=torch.float64)
        return _zeros(cell, hidden) | {f"b_{cell.forget_gate}": 5 - 12 * places**self.power}


@BIASES.register
class Chrono(BiasInitializer):
    """The gate that keeps the state starts with timescales τ ~ U[t_min, t_max] steps, one a unit:
    b = log(τ - 1), of the input gate -b, all others 0. Tallec & Ollivier (2018).

    With t_min = 2 this is their LSTM, b_f = log U[1, t_max - 1]. An update gate, which keeps near 0
    as in h' = (1-z)*h + z*n, gets -b, their formula for GRUs. They set t_max to the task's longest lag:
    the length for adding, 3/2 of it for copying; ``lags`` does so for tasks of any length.
    """

    name: Literal["chrono"] = "chrono"
    t_min: float = Field(default=2.0, gt=1, description="shortest timescale, steps")
    t_max: float = Field(default=100.0, gt=1, description="longest timescale, steps")
    lags: float = Field(
        default=0.0,
        ge=0,
        description="above 0: t_max is so many times the task's longest lag, whatever t_max says",
    )

    @model_validator(mode="after")
    def _is_a_range(self) -> "Chrono":
        if not self.lags and self.t_min >= self.t_max:
            raise ValueError(f"t_min must be below t_max (got {self.t_min:g} and {self.t_max:g})")
        return self

    @property
    def follows_lag(self) -> bool:
        return self.lags > 0

    def for_lag(self, longest: int) -> "Chrono":
        if not self.lags:
            return self
        t_max = self.lags * longest
        if self.t_min >= t_max:
            raise UserError(
                f"init.bias.t_min must be below init.bias.lags times the task's longest lag (got "
                f"{self.t_min:g} and {self.lags:g} × {longest})"
            )
        return Chrono(t_min=self.t_min, t_max=t_max)

    def refusal(self, cell: Cell) -> str | None:
        if keeper(cell):
            return None
        gate = cell.forget_gate or cell.update_gate
        if gate is None:
            return f"{cell.name} has no gate that keeps or replaces the state; use zeros or uniform"
        return (
            f"its gate {gate} is no sigmoid around b_{gate}, which alone has such a timescale; "
            "use zeros or uniform"
        )

    def draw(self, cell: Cell, hidden: int, generator: Generator) -> dict[str, Tensor]:
        if self.lags:
            raise UserError(
                "init.bias.lags is of a task's lag, and a layer alone has none; set t_max"
            )
        draws = torch.rand(hidden, generator=generator, dtype=torch.float64)
        level = torch.log(self.t_min + (self.t_max - self.t_min) * draws - 1)
        biases = _zeros(cell, hidden)
        if gate := keeper(cell):
            biases[gate.bias] = gate.sign * level - gate.offset
        if cell.input_gate:
            biases[f"b_{cell.input_gate}"] = -level
        return biases

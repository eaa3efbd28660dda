"""The choices for φ, written in the equation language: to add one, add a line."""

from dataclasses import dataclass
from functools import cached_property

import sympy

from study.equations import function_of
from study.registry import Registry

ARGUMENT = sympy.Symbol("a")


@dataclass(frozen=True)
class Nonlinearity:
    """φ(a), with γ = sup |φ'|.

    γ enters the conditions of Pascanu, Mikolov & Bengio (2013): a largest singular value of U below
    1/γ suffices for the gradient to vanish, one above 1/γ is necessary for it to explode.
    """

    name: str
    formula: str
    gamma: float

    @cached_property
    def expression(self) -> sympy.Expr:
        return function_of(ARGUMENT.name, self.formula)


NONLINEARITIES: Registry[Nonlinearity] = Registry("nonlinearity")

for _entry in (
    Nonlinearity("tanh", "tanh(a)", gamma=1.0),
    Nonlinearity("relu", "relu(a)", gamma=1.0),
    Nonlinearity("sigmoid", "sigmoid(a)", gamma=0.25),
    Nonlinearity("identity", "a", gamma=1.0),
    # torch.nn.LeakyReLU's slope of 0.01 below zero, and its derivative there at zero
    Nonlinearity("leaky-relu", "0.01*a + 0.99*relu(a)", gamma=1.0),
):
    NONLINEARITIES.add(_entry.name, _entry)

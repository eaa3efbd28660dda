"""The choices for φ, written in the equation language: to add one, add a line."""

from dataclasses import dataclass
from functools import cached_property

import sympy

from study.base.registry import Registry
from study.language.expressions import function_of

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
    # torch.nn.Hardsigmoid: relu6(a + 3)/6
    Nonlinearity("hard-sigmoid", "0.5 + 0.5*hardtanh(a/3)", gamma=1 / 6),
    Nonlinearity("hard-tanh", "hardtanh(a)", gamma=1.0),
    # a - relu(a) is min(a, 0), whose derivative at zero is 1, as torch's elu has it
    Nonlinearity("elu", "relu(a) + expm1(a - relu(a))", gamma=1.0),
    # Klambauer et al. (2017): scale and alpha keep mean 0 and variance 1; gamma is their product
    Nonlinearity(
        "selu",
        "1.0507009873554805*(relu(a) + 1.6732632423543772*expm1(a - relu(a)))",
        gamma=1.0507009873554805 * 1.6732632423543772,
    ),
    Nonlinearity("softplus", "softplus(a)", gamma=1.0),
    Nonlinearity("softsign", "a/(1 + relu(a) + relu(-a))", gamma=1.0),
    # Hendrycks & Gimpel (2016), with the exact normal distribution; largest slope at a = √2
    Nonlinearity("gelu", "0.5*a*(1 + erf(0.7071067811865476*a))", gamma=1.128904145185155),
    # Largest slope where a tanh(a/2) = 2
    Nonlinearity("silu", "a*sigmoid(a)", gamma=1.099839320128867),
    Nonlinearity("sine", "sin(a)", gamma=1.0),
    # LeCun et al. (1998), Efficient backprop: ±1 goes to ±1; the slope at zero is the product
    Nonlinearity("scaled-tanh", "1.7159*tanh(0.6666666666666666*a)", gamma=1.7159 * 2 / 3),
):
    NONLINEARITIES.add(_entry.name, _entry)

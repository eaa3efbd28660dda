"""The elementary functions of the equation language, each with its derivative.

A cell's equations and the nonlinearities are written in these and nothing else, so that whatever
is written can be run, differentiated, compiled and typeset. A function's derivative is in the
language too. Where one does not exist the convention is torch's: relu'(0) = 0.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import sympy
import torch
from torch import Tensor

# sympy's own tanh, exp and log rewrite what they are given, for nested ones in exponential time, and
# turn numbers into symbols such as E. These stay as written.


class tanh(sympy.Function):
    """(e^a - e^-a)/(e^a + e^-a)."""

    nargs = 1

    def fdiff(self, argindex: int = 1) -> sympy.Expr:
        return 1 - tanh(self.args[0]) ** 2


class exp(sympy.Function):
    """e^a."""

    nargs = 1

    def fdiff(self, argindex: int = 1) -> sympy.Expr:
        return exp(self.args[0])


class log(sympy.Function):
    """Natural logarithm."""

    nargs = 1

    def fdiff(self, argindex: int = 1) -> sympy.Expr:
        return 1 / self.args[0]


class sigmoid(sympy.Function):
    """σ(a) = 1/(1+e^-a)."""

    nargs = 1

    def fdiff(self, argindex: int = 1) -> sympy.Expr:
        value = sigmoid(self.args[0])
        return value * (1 - value)


class relu(sympy.Function):
    """max(a, 0)."""

    nargs = 1

    def fdiff(self, argindex: int = 1) -> sympy.Expr:
        return step(self.args[0])


class step(sympy.Function):
    """1 where a > 0, else 0; its derivative is 0 everywhere."""

    nargs = 1

    def fdiff(self, argindex: int = 1) -> sympy.Expr:
        return sympy.Integer(0)


class expm1(sympy.Function):
    """e^a - 1, accurate near 0."""

    nargs = 1

    def fdiff(self, argindex: int = 1) -> sympy.Expr:
        return exp(self.args[0])


class softplus(sympy.Function):
    """log(1 + e^a), so that log σ(a) = -softplus(-a)."""

    nargs = 1

    def fdiff(self, argindex: int = 1) -> sympy.Expr:
        return sigmoid(self.args[0])


class hardtanh(sympy.Function):
    """a limited to [-1, 1]."""

    nargs = 1

    def fdiff(self, argindex: int = 1) -> sympy.Expr:
        return step(1 - hardtanh(self.args[0]) ** 2)


class sin(sympy.Function):
    """Sine."""

    nargs = 1

    def fdiff(self, argindex: int = 1) -> sympy.Expr:
        return cos(self.args[0])


class cos(sympy.Function):
    """Cosine."""

    nargs = 1

    def fdiff(self, argindex: int = 1) -> sympy.Expr:
        return -sin(self.args[0])


class erf(sympy.Function):
    """2/√π ∫ e^(-u²) du from 0 to a; (1 + erf(a/√2))/2 is the normal distribution."""

    nargs = 1

    def fdiff(self, argindex: int = 1) -> sympy.Expr:
        return sympy.Float(2 / math.sqrt(math.pi)) * exp(-(self.args[0] ** 2))


class floor(sympy.Function):
    """The largest whole number up to a; its derivative is 0 everywhere."""

    nargs = 1

    def fdiff(self, argindex: int = 1) -> sympy.Expr:
        return sympy.Integer(0)


@dataclass(frozen=True)
class Elementary:
    """One function: its symbol in sympy, what torch computes, and how it is typeset.

    ``c`` names the same function in ``engines/vector.h``. Where torch's derivative is more than a
    factor (a dead relu passes on nothing, not 0·∞), ``c_pullback`` names one there that takes the
    function's value and the gradient with respect to it, and ``pullback`` is the same in torch.
    """

    name: str
    symbol: Any
    evaluate: Callable[[Tensor], Tensor]
    latex: str
    c: str
    c_pullback: str | None = None
    pullback: Callable[[Tensor, Tensor], Tensor] | None = None


def _step(a: Tensor) -> Tensor:
    # NaN stays NaN: a diverged activation must not look like a dead unit.
    return torch.where(a.isnan(), a, (a > 0).to(a.dtype))


def _softplus(a: Tensor) -> Tensor:
    # torch's softplus is a itself from 20 on, 2e-9 off; its logsigmoid is exact.
    return -torch.nn.functional.logsigmoid(-a)


def _relu_pullback(value: Tensor, bar: Tensor) -> Tensor:
    return torch.where(value <= 0, torch.zeros_like(value), bar)


def _hardtanh_pullback(value: Tensor, bar: Tensor) -> Tensor:
    return torch.where(value.abs() >= 1, torch.zeros_like(value), bar)


FUNCTIONS: dict[str, Elementary] = {
    entry.name: entry
    for entry in (
        Elementary("tanh", tanh, torch.tanh, r"\tanh", "tanh_"),
        Elementary("sigmoid", sigmoid, torch.sigmoid, r"\sigma", "sigmoid_"),
        Elementary(
            "relu",
            relu,
            torch.relu,
            r"\operatorname{relu}",
            "relu_",
            "relu_pullback",
            _relu_pullback,
        ),
        Elementary("step", step, _step, r"\operatorname{step}", "step_"),
        Elementary("exp", exp, torch.exp, r"\exp", "exp_"),
        Elementary("log", log, torch.log, r"\log", "log_"),
        Elementary("expm1", expm1, torch.expm1, r"\operatorname{expm1}", "expm1_"),
        Elementary("softplus", softplus, _softplus, r"\operatorname{softplus}", "softplus_"),
        Elementary(
            "hardtanh",
            hardtanh,
            torch.nn.functional.hardtanh,
            r"\operatorname{hardtanh}",
            "hardtanh_",
            "hardtanh_pullback",
            _hardtanh_pullback,
        ),
        Elementary("sin", sin, torch.sin, r"\sin", "sin_"),
        Elementary("cos", cos, torch.cos, r"\cos", "cos_"),
        Elementary("erf", erf, torch.erf, r"\operatorname{erf}", "erf_"),
        Elementary("floor", floor, torch.floor, r"\operatorname{floor}", "floor_"),
    )
}

"""What stands before and after recurrent layers: an embedding, fully connected layers, a readout."""

import math
from collections.abc import Callable
from functools import lru_cache

import sympy
import torch
from torch import Generator, Tensor, nn

from study.base.errors import UserError
from study.engines.lowering import Evaluate, lower
from study.language.nonlinearities import ARGUMENT, NONLINEARITIES


def linear(
    inputs: int, outputs: int, generator: Generator | None = None, *, bias: bool = True
) -> nn.Linear:
    """y = W x + b, W (outputs, inputs), uniform in 1/√inputs as torch starts its linear layers.

    The draws come from ``generator``, torch's own when None: first those of W, then those of b.
    """
    # torch would draw once from its own generator, for values that are not kept.
    made = nn.utils.skip_init(nn.Linear, inputs, outputs, bias=bias)
    bound = 1 / math.sqrt(inputs)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.uniform_(-bound, bound, generator=generator)
    return made


class Embedding(nn.Module):
    """y_t = E x_t: one-hot symbols (…,V) -> vectors (…,D), ``size`` = D.

    It is a product, where torch's nn.Embedding looks a row up by its number: so what a task does to its
    one-hot inputs keeps its meaning. The zeros beyond a sequence's end give a zero vector, and noise
    on the inputs moves the vectors. ``weight`` (V,D) has a row a symbol, drawn from N(0, 1), as torch's
    has; Sutskever, Vinyals & Le (2014) start smaller, in U[-0.08, 0.08]. Raises UserError for sizes
    that are none.
    """

    def __init__(self, symbols: int, size: int, generator: Generator | None = None) -> None:
        super().__init__()
        _check(symbols=symbols, size=size)
        self.symbols, self.size = symbols, size
        self.weight = nn.Parameter(torch.empty(symbols, size).normal_(generator=generator))

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weight

    def extra_repr(self) -> str:
        return f"{self.symbols} -> {self.size}"


class Perceptron(nn.Module):
    """a_1 = φ(W_1 x + b_1), a_2 = φ(W_2 a_1 + b_2), …: (…,I) -> (…,units), ``depth`` layers.

    Each starts as `linear` says, in their order. ``size`` is the width of what comes out: ``units``,
    of depth 0, where x comes out as it is, ``inputs``. Raises UserError for unknown φ and for sizes
    that are none.
    """

    def __init__(
        self, inputs: int, units: int, depth: int, phi: str, generator: Generator | None = None
    ) -> None:
        super().__init__()
        if not isinstance(depth, int) or isinstance(depth, bool) or depth < 0:
            raise UserError(f"depth must be a whole number, at least 0 (got {depth!r})")
        _check(inputs=inputs, units=units)
        self.phi = NONLINEARITIES[phi]
        self.size = units if depth else inputs
        widths = [inputs, *[units] * depth]
        self.layers = nn.ModuleList(linear(below, units, generator) for below in widths[:-1])

    def forward(self, x: Tensor) -> Tensor:
        phi = _lowered(self.phi.expression)
        for layer in self.layers:
            x = phi({ARGUMENT.name: layer(x)})
        return x

    def extra_repr(self) -> str:
        return f"phi={self.phi.name}"


def through(part: nn.Module | None, x: Tensor) -> Tensor:
    """``part(x)``, or x where there is no such part."""
    return x if part is None else part(x)


_lowered: Callable[[sympy.Expr], Evaluate] = lru_cache(maxsize=256)(lower)


def _check(**sizes: int) -> None:
    for name, size in sizes.items():
        if not isinstance(size, int) or isinstance(size, bool) or size < 1:
            raise UserError(f"{name} must be a whole number, at least 1 (got {size!r})")

"""Symbolic expressions as functions of torch tensors."""

from collections.abc import Callable, Mapping
from functools import reduce
from operator import add, mul
from typing import Any

import sympy
import torch

from study.language.functions import FUNCTIONS

Values = Mapping[str, Any]  # symbol name -> tensor, or a number where an equation says so
Evaluate = Callable[[Values], Any]

_TORCH = {entry.symbol: entry.evaluate for entry in FUNCTIONS.values()}
_PULLBACKS = {e.c_pullback: e.pullback for e in FUNCTIONS.values() if e.pullback}


def lower(expression: sympy.Expr) -> Evaluate:
    """The function that computes ``expression`` from the values of its symbols, by torch operations.

    A tree of closures: nothing is compiled from text.
    """
    match expression:
        case sympy.Symbol(name=name):
            return lambda values: values[name]
        case sympy.Integer():
            integer = int(expression)
            return lambda values: integer
        case sympy.Number():
            number = float(expression)
            return lambda values: number
        case sympy.Add():
            return _sum(expression.as_ordered_terms())
        case sympy.Mul():
            return _product(expression)
        case sympy.Pow(exp=sympy.Integer() as power):
            base, exponent = lower(expression.base), int(power)
            return lambda values: base(values) ** exponent
        case sympy.Function() if expression.func in _TORCH:
            function, argument = _TORCH[expression.func], lower(expression.args[0])
            if not expression.free_symbols:
                folded = float(function(torch.as_tensor(argument({}), dtype=torch.float64)))
                return lambda values: folded
            return lambda values: function(argument(values))
        case sympy.Function() if expression.func.__name__ in _PULLBACKS:
            pullback = _PULLBACKS[expression.func.__name__]
            value, bar = map(lower, expression.args)
            return lambda values: pullback(value(values), bar(values))
    raise NotImplementedError(f"cannot compute {expression!r}")


def _sum(terms: list[sympy.Expr]) -> Evaluate:
    positive = [lower(t) for t in terms if not t.could_extract_minus_sign()]
    negative = [lower(-t) for t in terms if t.could_extract_minus_sign()]
    if not positive:
        total = _sum([-t for t in terms])
        return lambda values: -total(values)

    def evaluate(values: Values) -> Any:
        total = reduce(add, (term(values) for term in positive))
        for term in negative:
            total = total - term(values)
        return total

    return evaluate


def _product(expression: sympy.Mul) -> Evaluate:
    numerator, denominator = expression.as_numer_denom()
    if denominator != 1:
        above, below = lower(numerator), lower(denominator)
        return lambda values: above(values) / below(values)
    if expression.could_extract_minus_sign():
        positive = lower(-expression)
        return lambda values: -positive(values)
    factors = [lower(f) for f in expression.as_ordered_factors()]
    return lambda values: reduce(mul, (factor(values) for factor in factors))

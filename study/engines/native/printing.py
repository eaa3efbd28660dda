"""Symbolic expressions as C, on the vectors of ``vector.h``."""

import sympy

from study.language.functions import FUNCTIONS

_C = {entry.symbol: entry.c for entry in FUNCTIONS.values()}
_PULLBACKS = {entry.c_pullback for entry in FUNCTIONS.values()}


def to_c(expression: sympy.Expr) -> str:
    """A vector-valued C expression; symbols are the names of vectors."""
    text = _print(expression)
    return text if expression.free_symbols or _calls(expression) else f"all({text})"


def _calls(expression: sympy.Expr) -> bool:
    return any(node.is_Function for node in sympy.preorder_traversal(expression))


def _print(node: sympy.Expr) -> str:
    match node:
        case sympy.Symbol(name=name):
            return name
        case sympy.Number():
            return f"N({float(node)!r})"
        case sympy.Add():
            return _sum(node.as_ordered_terms())
        case sympy.Mul():
            return _product(node)
        case sympy.Pow(exp=sympy.Integer() as power) if power > 0:
            return "(" + " * ".join([_print(node.base)] * int(power)) + ")"
        case sympy.Pow(exp=sympy.Integer() as power):
            return f"(N(1) / {_print(node.base**-power)})"
        case sympy.Function() if node.func in _C:
            return f"{_C[node.func]}({to_c(node.args[0])})"
        case sympy.Function() if node.func.__name__ in _PULLBACKS:
            return f"{node.func.__name__}({', '.join(to_c(a) for a in node.args)})"
    raise NotImplementedError(f"cannot write {node!r} as C")


def _sum(terms: list[sympy.Expr]) -> str:
    positive = [_print(t) for t in terms if not t.could_extract_minus_sign()]
    negative = [_print(-t) for t in terms if t.could_extract_minus_sign()]
    if not positive:
        return f"(-{_sum([-t for t in terms])})"
    return f"({' + '.join(positive)}{''.join(f' - {n}' for n in negative)})"


def _product(node: sympy.Mul) -> str:
    above, below = node.as_numer_denom()
    if below != 1:
        return f"({_print(above)} / {_print(below)})"
    if node.could_extract_minus_sign():
        return f"(-{_print(-node)})"
    return f"({' * '.join(_print(f) for f in node.as_ordered_factors())})"

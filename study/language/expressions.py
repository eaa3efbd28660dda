"""Equations as sympy expressions, with the parameters and matrix products in them."""

import ast
import re
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

import sympy
import torch

from study.base.errors import unknown
from study.language.forms import Form
from study.language.functions import FUNCTIONS
from study.language.notation import (
    INPUT,
    PHI,
    PRIME,
    TIME,
    EquationError,
    as_written,
    delay_of,
    is_matrix,
    is_vector,
    parse,
    shorten,
)

phi = sympy.Function(PHI)
_LARGEST = 1e300  # a literal beyond it is a mistake, and infinite in float64 soon
_APPLIED = re.compile(rf"\b([WU](?:_\w+)?)\(([A-Za-z]\w*{PRIME}?(?:\[[^\]]*\])?)\)")
_DELAYED = re.compile(r"\[t - (\d+)\]")


@dataclass(frozen=True)
class Parameter:
    """A matrix (H, columns) with columns "I" or "H", or a vector (H,) with columns None.

    ``form`` says how its value follows from fewer trained numbers, if it does.
    """

    name: str
    columns: str | None
    form: Form | None = None

    @property
    def is_fixed(self) -> bool:
        """Whether none of it is drawn or trained."""
        return self.form is not None and self.form.is_fixed

    def count(self, inputs: Any, hidden: Any) -> Any:
        """Number of trained values; with symbols for I and H, the formula."""
        if self.form is not None:
            return self.form.count(hidden)
        return hidden * {None: 1, "I": inputs, "H": hidden}[self.columns]

    def shape(self, inputs: int, hidden: int) -> tuple[int, ...]:
        return (
            (hidden,)
            if self.columns is None
            else (hidden, {"I": inputs, "H": hidden}[self.columns])
        )


@dataclass(frozen=True)
class Product:
    """A matrix applied to a value; ``symbol`` stands for the result in the expressions."""

    matrix: str
    operand: sympy.Expr
    symbol: sympy.Symbol


@dataclass(frozen=True)
class Assignment:
    """``target`` (a gate, or a new state written with a prime) is ``expression``."""

    target: str
    expression: sympy.Expr
    tree: ast.expr = field(repr=False)

    def __str__(self) -> str:
        """As written, with the brackets and spaces that Python puts."""
        right = _APPLIED.sub(r"\1 \2", ast.unparse(self.tree))
        right = _DELAYED.sub(r"[t-\1]", right)
        return f"{as_written(self.target)} = {as_written(right)}"

    @property
    def symbol(self) -> sympy.Symbol:
        return sympy.Symbol(self.target)


def function_of(argument: str, text: str) -> sympy.Expr:
    """``function_of("a", "a*sigmoid(a)")``: one value of one argument, in the same language.

    Raises EquationError.
    """
    [(_, tree)] = parse(f"value = {text}")
    reader = Reader((argument,), has_input=False)
    expression = reader.expression(tree)
    if reader.parameters or reader.products or reader.delays or expression.has(phi):
        raise EquationError(f"a function of {argument} has no parameters and no past: {text!r}")
    return expression


def delayed(state: str, steps: int) -> str:
    """The name of a state's value so many steps back: h, h[t-2], h[t-3], …."""
    return state if steps == 1 else f"{state}[t-{steps}]"


class Reader:
    """Turns syntax trees into expressions, collecting on the way what they are made of.

    ``delays``: by state, the furthest of its earlier values in use; ``uses_time``: whether the step's
    index is. ``prelude``: the assignments that depend on vectors alone.
    """

    def __init__(self, states: tuple[str, ...], has_input: bool = True) -> None:
        if not states or len(set(states)) != len(states):
            raise EquationError(f"a cell needs distinct states, got {states!r}")
        for state in states:
            self._refuse_reserved(state)
        self.states, self.has_input = states, has_input
        self.defined: dict[str, None] = dict.fromkeys(states)
        self.parameters: dict[str, Parameter] = {}
        self.products: dict[sympy.Symbol, Product] = {}
        self.prelude: dict[str, Assignment] = {}
        self.delays: dict[str, int] = {}
        self.uses_time = False

    @staticmethod
    def _refuse_reserved(name: str) -> None:
        reserved = (
            name in (INPUT, PHI, TIME) or name in FUNCTIONS or is_matrix(name) or is_vector(name)
        )
        if reserved or not name.removesuffix(PRIME).isidentifier():
            raise EquationError(f"{as_written(name)!r} cannot be assigned: it means something else")

    def assignment(self, target: str, tree: ast.expr) -> Assignment:
        self._refuse_reserved(target)
        if target in self.defined:
            raise EquationError(f"{as_written(target)} is assigned twice, or without its prime")
        if target.endswith(PRIME) and target.removesuffix(PRIME) not in self.states:
            raise EquationError(
                f"{as_written(target)} is no state; states: {' '.join(self.states)}"
            )
        expression = self.expression(tree)
        if self.width(tree) == "I":
            raise EquationError(
                f"{as_written(target)}: x has I entries and a state H; apply a matrix to it, W x"
            )
        self.defined[target] = None
        assignment = Assignment(target, expression, tree)
        names = {s.name for s in expression.free_symbols}
        constant = names and names <= self.vectors and not expression.has(phi)
        if constant and not target.endswith(PRIME):
            self.prelude[target] = assignment
        return assignment

    @property
    def vectors(self) -> set[str]:
        """The names of what has one value a unit throughout a sequence."""
        given = {p.name for p in self.parameters.values() if p.columns is None}
        return given | set(self.prelude)

    def auxiliary(self) -> list[Assignment]:
        """What carries earlier values of states, and the step's index, from step to step."""

        def copied(new: str, expression: sympy.Expr) -> Assignment:
            return Assignment(new + PRIME, expression, ast.Name(id=new))

        lines = [
            copied(delayed(state, k), sympy.Symbol(delayed(state, k - 1)))
            for state, furthest in self.delays.items()
            for k in range(2, furthest + 1)
        ]
        return lines + [copied(TIME, sympy.Symbol(TIME) + 1)] * self.uses_time

    def width(self, node: ast.expr) -> str | None:
        """I for what is as wide as the input, H for the state's width, None for a number.

        Read off the tree, as written: sympy may have simplified a name away.
        """
        match node:
            case ast.Constant():
                return None
            case ast.Name(id=name):
                return "I" if name == INPUT else "H"
            case ast.Subscript():
                return "H"
            case ast.Call(func=ast.Name(id=name), args=[argument]):
                return "H" if is_matrix(name) else self.width(argument)
            case ast.UnaryOp(operand=operand):
                return self.width(operand)
            case ast.BinOp(left=left, right=right):
                widths = {self.width(left), self.width(right)} - {None}
                if len(widths) > 1:
                    raise EquationError(
                        f"x has I entries and a state H; apply a matrix to x first: "
                        f"{as_written(ast.unparse(node))}"
                    )
                return widths.pop() if widths else None
        raise AssertionError(ast.dump(node))

    def expression(self, node: ast.expr) -> sympy.Expr:
        """Refuses what is no finite real number: h/0, or a literal beyond floating point."""
        value = self._expression(node)
        if value.has(sympy.zoo, sympy.nan, sympy.oo, sympy.I) or (
            value.is_Number and not abs(value) <= _LARGEST
        ):
            text = shorten(as_written(ast.unparse(node)))
            raise EquationError(f"{text} is not a finite number")
        return value

    def _expression(self, node: ast.expr) -> sympy.Expr:
        match node:
            case ast.Constant(value=int(value)):
                return sympy.Integer(value)
            case ast.Constant(value=value):
                return sympy.Float(value)
            case ast.Name(id=name):
                return self.name(name)
            case ast.Subscript(value=ast.Name(id=name)):
                return self.earlier(name, delay_of(node) or 1)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return -self.expression(operand)
            case ast.UnaryOp(operand=operand):
                return self.expression(operand)
            case ast.BinOp(left=left, op=op, right=right):
                a, b = self.expression(left), self.expression(right)
                match op:
                    case ast.Add():
                        return a + b
                    case ast.Sub():
                        return a - b
                    case ast.Mult():
                        return a * b
                    case ast.Div():
                        return a / b
                    case _:
                        return a**b
            case ast.Call(func=ast.Name(id=name), args=[argument]):
                return self.call(name, argument)
        raise AssertionError(ast.dump(node))

    def name(self, name: str) -> sympy.Expr:
        if is_matrix(name):
            raise EquationError(
                f"matrix {name} is applied to nothing; write {name} x or {name} (…)"
            )
        if is_vector(name):
            self.parameters.setdefault(name, Parameter(name, None))
        elif name == PHI or name in FUNCTIONS:
            raise EquationError(f"{name} needs its argument, {name}(…)")
        elif name == TIME and self.has_input:
            self.uses_time = True
        elif name not in self.defined and not (name == INPUT and self.has_input):
            known = [INPUT] * self.has_input + [as_written(d) for d in self.defined]
            raise EquationError(str(unknown("value", as_written(name), known)))
        return sympy.Symbol(name)

    def earlier(self, state: str, steps: int) -> sympy.Expr:
        if state not in self.states:
            raise EquationError(
                f"only a state has earlier values, {as_written(state)} is none; "
                f"states: {' '.join(self.states)}"
            )
        self.delays[state] = max(steps, self.delays.get(state, 1))
        return sympy.Symbol(delayed(state, steps))

    def call(self, name: str, node: ast.expr) -> sympy.Expr:
        argument = self.expression(node)
        if is_matrix(name):
            columns = self.width(node)
            if columns is None or argument.is_Number:
                raise EquationError(f"matrix {name} is applied to a number; write {name} x")
            known = self.parameters.setdefault(name, Parameter(name, columns))
            if known.columns != columns:
                raise EquationError(f"matrix {name} is applied both to the input and to a state")
            symbol = sympy.Symbol(f"{name}[{argument}]")
            self.products[symbol] = Product(name, argument, symbol)
            return symbol
        if name == PHI:
            return phi(argument)
        if name not in FUNCTIONS:
            raise EquationError(str(unknown("function", name, [PHI, *FUNCTIONS])))
        if argument.is_Number:
            number = torch.tensor(float(argument), dtype=torch.float64)
            value = float(FUNCTIONS[name].evaluate(number))
            return sympy.Float(value) if isfinite(value) else sympy.nan
        return FUNCTIONS[name].symbol(argument)

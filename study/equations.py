"""A cell is its equations: text in, states, parameters and symbolic expressions out."""

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from math import isfinite
from types import MappingProxyType
from typing import Any

import sympy
import torch

from study.errors import unknown
from study.functions import FUNCTIONS
from study.notation import (
    INPUT,
    PHI,
    PRIME,
    EquationError,
    as_written,
    is_matrix,
    is_vector,
    parse,
    shorten,
    to_latex,
)

phi = sympy.Function(PHI)
_LARGEST = 1e300  # a literal beyond it is a mistake, and infinite in float64 soon
_APPLIED = re.compile(rf"\b([WU](?:_\w+)?)\(([A-Za-z]\w*{PRIME}?)\)")


@dataclass(frozen=True)
class Parameter:
    """A matrix (H, columns) with columns "I" or "H", or a vector (H,) with columns None."""

    name: str
    columns: str | None

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
        return f"{as_written(self.target)} = {as_written(right)}"

    @property
    def symbol(self) -> sympy.Symbol:
        return sympy.Symbol(self.target)


@dataclass(frozen=True, eq=False)
class Cell:
    """One recurrent layer's equations for a single time step.

    ``state`` names the state variables, the first being the layer's output. In ``equations``, x is
    the input, W_… and U_… are matrices, b_… and p_… vectors, phi the nonlinearity that the user
    chooses, and a primed name is a new state: ``h' = phi(W x + U h + b)``.

    ``forget_gate`` names the gate that, near 1, keeps the state; None when there is none.
    Raises EquationError when the equations are not well formed.
    """

    name: str
    state: str
    equations: str
    source: str
    summary: str = ""
    forget_gate: str | None = None

    states: tuple[str, ...] = field(init=False)
    assignments: tuple[Assignment, ...] = field(init=False)
    products: Mapping[sympy.Symbol, Product] = field(init=False)
    parameters: Mapping[str, Parameter] = field(init=False)

    def __post_init__(self) -> None:
        reader = _Reader(tuple(self.state.split()))
        assignments = tuple(
            reader.assignment(target, tree) for target, tree in parse(self.equations)
        )
        missing = [s for s in reader.states if s + PRIME not in reader.defined]
        if missing:
            raise EquationError(f"cell {self.name!r} has no equation for {missing[0]}'")
        gate = self.forget_gate
        if gate is not None and (gate not in reader.defined or gate in reader.states):
            raise EquationError(f"cell {self.name!r} has no gate {gate!r} to be its forget gate")
        if gate is not None and f"b_{gate}" not in reader.parameters:
            raise EquationError(f"cell {self.name!r} has no bias b_{gate} for its forget gate")
        for name, value in (
            ("states", reader.states),
            ("assignments", assignments),
            ("products", MappingProxyType(reader.products)),
            ("parameters", MappingProxyType(reader.parameters)),
        ):
            object.__setattr__(self, name, value)

    def __deepcopy__(self, memo: dict[int, Any]) -> "Cell":
        return self  # immutable, and the engines keep what they derive from it by identity

    def __reduce__(self) -> tuple[Any, ...]:
        given = (f.name for f in fields(self) if f.init)
        return Cell, tuple(getattr(self, name) for name in given)

    @property
    def output(self) -> str:
        return self.states[0]

    @property
    def uses_phi(self) -> bool:
        written = [a.expression for a in self.assignments]
        return any(e.has(phi) for e in [*written, *(p.operand for p in self.products.values())])

    @property
    def recurrent_matrices(self) -> tuple[str, ...]:
        """The (H, H) matrices, in the order of the equations."""
        return tuple(p.name for p in self.parameters.values() if p.columns == "H")

    def replace(
        self,
        edits: Mapping[str, str] | None = None,
        *,
        name: str | None = None,
        source: str | None = None,
        summary: str | None = None,
        **right_hand_sides: str,
    ) -> "Cell":
        """This cell with some right-hand sides exchanged: ``lstm.replace(f="1-i")`` is CIFG.

        A new state is named with its prime in ``edits``: ``lstm.replace({"h'": "o*c'"})``.
        Parameters that no equation uses any more are gone. Raises UserError for a name that has no
        equation.
        """
        if twice := sorted(set(edits or ()) & set(right_hand_sides)):
            raise EquationError(f"{twice[0]} is replaced twice")
        changes = {**(edits or {}), **right_hand_sides}
        for target, right in changes.items():
            if not isinstance(right, str) or not right.strip() or "\n" in right:
                raise EquationError(f"replace {target} by one expression as text (got {right!r})")
        targets = {as_written(a.target): a for a in self.assignments}
        for target in changes:
            if target not in targets:
                raise unknown(f"equation in {self.name!r}", target, targets)
        lines = [
            f"{target} = {changes[target]}" if target in changes else str(assignment)
            for target, assignment in targets.items()
        ]
        edited = ", ".join(f"{target} = {right.strip()}" for target, right in changes.items())
        changed = replace(
            self,
            name=name or f"{self.name} with {edited}",
            equations="\n".join(lines),
            source=source or self.source,
            summary=f"{self.name} with {edited}" if summary is None else summary,
            forget_gate=None,
        )
        keeps = self.forget_gate and f"b_{self.forget_gate}" in changed.parameters
        return replace(changed, forget_gate=self.forget_gate) if keeps else changed

    def parameter_count(self, inputs: Any, hidden: Any) -> Any:
        """Number of trained values; with symbols for I and H, the formula."""
        columns = {None: 1, "I": inputs, "H": hidden}
        return sum(hidden * columns[p.columns] for p in self.parameters.values())

    def parameter_formula(self) -> str:
        """Such as ``4*H*(H + I + 1)``."""
        inputs, hidden = sympy.symbols("I H")
        return str(sympy.factor(self.parameter_count(inputs, hidden)))

    def latex(self) -> list[str]:
        """One equation a line, time written out: h is h_{t-1}, h' is h_t."""
        functions = {name: f.latex for name, f in FUNCTIONS.items()} | {PHI: r"\varphi"}
        return [to_latex(a.target, a.tree, self.states, functions) for a in self.assignments]

    def bind(self, nonlinearity: sympy.Expr, argument: sympy.Symbol) -> tuple[Assignment, ...]:
        """The assignments with phi(a) replaced by ``nonlinearity`` of ``argument`` = a."""
        return tuple(
            Assignment(
                a.target,
                a.expression.replace(phi, lambda value: nonlinearity.subs(argument, value)),
                a.tree,
            )
            for a in self.assignments
        )


def function_of(argument: str, text: str) -> sympy.Expr:
    """``function_of("a", "a*sigmoid(a)")``: one value of one argument, in the same language.

    Raises EquationError.
    """
    [(_, tree)] = parse(f"value = {text}")
    reader = _Reader((argument,), has_input=False)
    expression = reader.expression(tree)
    if reader.parameters or reader.products or expression.has(phi):
        raise EquationError(f"a function of {argument} has no parameters: {text!r}")
    return expression


class _Reader:
    """Turns syntax trees into expressions, collecting parameters and products on the way."""

    def __init__(self, states: tuple[str, ...], has_input: bool = True) -> None:
        if not states or len(set(states)) != len(states):
            raise EquationError(f"a cell needs distinct states, got {states!r}")
        for state in states:
            self._refuse_reserved(state)
        self.states, self.has_input = states, has_input
        self.defined: dict[str, None] = dict.fromkeys(states)
        self.parameters: dict[str, Parameter] = {}
        self.products: dict[sympy.Symbol, Product] = {}

    @staticmethod
    def _refuse_reserved(name: str) -> None:
        reserved = name in (INPUT, PHI) or name in FUNCTIONS or is_matrix(name) or is_vector(name)
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
        return Assignment(target, expression, tree)

    def width(self, node: ast.expr) -> str | None:
        """I for what is as wide as the input, H for the state's width, None for a number.

        Read off the tree, as written: sympy may have simplified a name away.
        """
        match node:
            case ast.Constant():
                return None
            case ast.Name(id=name):
                return "I" if name == INPUT else "H"
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
        elif name not in self.defined and not (name == INPUT and self.has_input):
            known = [INPUT] * self.has_input + [as_written(d) for d in self.defined]
            raise EquationError(str(unknown("value", as_written(name), known)))
        return sympy.Symbol(name)

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

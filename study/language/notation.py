"""The text of an equation as a checked syntax tree.

``i = sigmoid(W_i x + U_i h + b_i)`` reads as in a textbook: ``W_i x`` applies a matrix, ``U_z (r*h)``
applies one to a computed value, ``f*c`` is element-wise and ``c'`` is the new value of a state. At
step t, a state ``h`` is h_{t-1}, ``h[t-5]`` its value five steps back and ``t`` the index of the step,
0 at the first.
The text becomes Python by two substitutions and is parsed by `ast`; only the node kinds below pass,
and nothing is ever evaluated as Python.
"""

import ast
import re
from collections.abc import Collection, Mapping

from study.base.errors import UserError

PRIME = "ʹ"  # a letter to Python, so that c' is an identifier
INPUT = "x"
PHI = "phi"
TIME = "t"
LONGEST_DELAY = 64  # each step of it is a further state

_MATRIX = re.compile(r"[WU](_\w+)?")
_VECTOR = re.compile(r"[bpk](_\w+)?")
_VALUE = rf"[A-Za-z]\w*{PRIME}?(?:\[[^\]]*\])?"
_APPLICATION = re.compile(rf"\b([WU](?:_\w+)?)\s+({_VALUE})(?!\s*[\w(\[])")
_NESTED = re.compile(r"\b([WU](?:_\w+)?)\s+([A-Za-z]\w*)\s*\(")
_CHAINED = re.compile(r"\b([WU](?:_\w+)?)\s+([WU](?:_\w+)?)\b")
_JUXTAPOSED = re.compile(rf"([A-Za-z_]\w*{PRIME}?)\s+([A-Za-z_]\w*)")
_OPERATORS = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.Pow)
_LONGEST = 10_000
_MOST_NODES = 2_000
_DEEPEST = 60
_HIGHEST_POWER = 8


class EquationError(UserError):
    """An equation that is not one: the text names the line and what is wrong with it."""


def is_matrix(name: str) -> bool:
    """W, W_i, U_f: a matrix, applied to what follows."""
    return _MATRIX.fullmatch(name) is not None


def is_vector(name: str) -> bool:
    """b_i (biases), p_i (peepholes and other weights), k_i (fixed): one number a unit."""
    return _VECTOR.fullmatch(name) is not None


def as_written(name: str) -> str:
    return name.replace(PRIME, "'")


def parse(text: str) -> list[tuple[str, ast.expr]]:
    """(target, right-hand side) of each non-empty line. Raises EquationError."""
    if len(text) > _LONGEST:
        raise EquationError(f"equations are longer than {_LONGEST} characters")
    lines = [line.strip() for line in text.splitlines()]
    return [_parse_line(line) for line in lines if line and not line.startswith("#")]


def shorten(line: str) -> str:
    """For error messages: long text is cut."""
    return repr(line if len(line) <= 80 else line[:77] + "…")


def _parse_line(line: str) -> tuple[str, ast.expr]:
    if PRIME in line:
        raise EquationError(f"write a new state as c', not c{PRIME}: {shorten(line)}")
    code = re.sub(r"(?<=\w)'", PRIME, line)
    if nested := _NESTED.search(code):
        matrix, function = nested.groups()
        raise EquationError(
            f"put what {matrix} applies to in brackets, {matrix} ({function}(…)): {shorten(line)}"
        )
    if chained := _CHAINED.search(code):
        first, second = chained.groups()
        raise EquationError(
            f"put what {first} applies to in brackets, {first} ({second} …): {shorten(line)}"
        )
    code = _APPLICATION.sub(r"\1(\2)", code)
    if two := _JUXTAPOSED.search(code):
        first, second = two.groups()
        second = second.replace(PRIME, "'")
        raise EquationError(
            f"write {first}*{second} to multiply element by element; a matrix begins with W or U: "
            f"{shorten(line)}"
        )
    try:
        statements = ast.parse(code).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise EquationError(f"not an equation: {shorten(line)}") from None
    if len(statements) != 1 or not isinstance(statements[0], ast.Assign):
        raise EquationError(f"an equation is 'name = expression', this is not: {shorten(line)}")
    target = statements[0].targets[0]
    if len(statements[0].targets) != 1 or not isinstance(target, ast.Name):
        raise EquationError(f"the left-hand side must be one name: {shorten(line)}")
    _measure(statements[0].value, line)
    _check(statements[0].value, line)
    return target.id, statements[0].value


def _measure(tree: ast.expr, line: str) -> None:
    """Refuse what is too large to walk by recursion; no cell of the literature comes near."""
    nodes, level = 0, [tree]
    for _ in range(_DEEPEST):
        nodes += len(level)
        level = [
            child
            for node in level
            for child in ast.iter_child_nodes(node)
            if isinstance(child, ast.expr)
        ]
        if not level:
            break
    if level or nodes > _MOST_NODES:
        raise EquationError(f"the equation is too long or too deeply nested: {shorten(line)}")


def _check(node: ast.expr, line: str) -> None:
    match node:
        case ast.Name():
            return None
        case ast.Constant(value=bool()):
            pass
        case ast.Constant(value=int() | float()):
            return None
        case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=operand):
            return _check(operand, line)
        case ast.BinOp(left=left, op=ast.Pow(), right=ast.Constant(value=int(power))):
            if isinstance(power, bool) or not 0 <= power <= _HIGHEST_POWER:
                raise EquationError(f"a power must be 0 to {_HIGHEST_POWER}: {shorten(line)}")
            return _check(left, line)
        case ast.BinOp(op=ast.Pow()):
            raise EquationError(f"a power must be a whole number: {shorten(line)}")
        case ast.BinOp(left=left, op=op, right=right) if isinstance(op, _OPERATORS):
            _check(left, line)
            return _check(right, line)
        case ast.Call(func=ast.Name(), args=[argument], keywords=[]):
            return _check(argument, line)
        case ast.Subscript(value=ast.Name(id=name)):
            if delay_of(node) is None:
                raise EquationError(
                    f"an earlier value of {name} is {name}[t-2] to {name}[t-{LONGEST_DELAY}]: "
                    f"{shorten(line)}"
                )
            return None
        case _:
            pass
    raise EquationError(
        f"{ast.unparse(node)!r} is not part of the equation language: {shorten(line)}"
    )


def delay_of(node: ast.Subscript) -> int | None:
    """5 for the index in ``h[t-5]``; None for any other index."""
    match node.slice:
        case ast.BinOp(left=ast.Name(id="t"), op=ast.Sub(), right=ast.Constant(value=int(steps))):
            return steps if steps is not True and 1 <= steps <= LONGEST_DELAY else None
    return None


_LATEX_NAMES = {"alpha", "beta", "gamma", "eps", "tau", "lambda", "nu", "mu", "theta", "zeta"}
_SUM, _PRODUCT, _POWER, _ATOM = range(4)


def latex_name(name: str) -> str:
    """``U_{i}``."""
    letter, index = _letter(name)
    return f"{letter}_{{{index}}}" if index else letter


def _letter(text: str) -> tuple[str, str]:
    """The letter and the index of a name, typeset: of x_a_b, a,b, as TeX has no index of an index."""
    base, _, index = text.removesuffix(PRIME).partition("_")
    letter = f"\\{base}" if base in _LATEX_NAMES else base
    if len(base) > 1 and base not in _LATEX_NAMES:
        letter = f"\\mathrm{{{base}}}"
    parts = (f"\\{part}" if part in _LATEX_NAMES else part for part in index.split("_"))
    return letter, ",".join(parts)


def to_latex(
    target: str,
    tree: ast.expr,
    states: Collection[str],
    functions: Mapping[str, str],
    constants: Collection[str] = (),
) -> str:
    """``i_t = \\sigma(W_{i} x_t + U_{i} h_{t-1} + b_{i})``; terms stand in the order written.

    ``constants`` are the names of what is the same at every step.
    """

    def name(text: str, delay: int = 1) -> str:
        if text == TIME:
            return TIME
        letter, index = _letter(text)
        if is_matrix(text) or is_vector(text) or text in constants:
            return f"{letter}_{{{index}}}" if index else letter
        time = f"t-{delay}" if text in states else "t"
        return f"{letter}_{{{index + ',' if index else ''}{time}}}"

    def show(node: ast.expr, outer: int) -> str:
        text, level = render(node)
        return f"\\left({text}\\right)" if level < outer else text

    def render(node: ast.expr) -> tuple[str, int]:
        match node:
            case ast.Name(id=id_):
                return name(id_), _ATOM
            case ast.Constant(value=value):
                return str(value), _ATOM
            case ast.Subscript(value=ast.Name(id=id_)):
                return name(id_, delay_of(node) or 1), _ATOM
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return f"-{show(operand, _PRODUCT)}", _SUM
            case ast.UnaryOp(operand=operand):
                return render(operand)
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return f"{show(left, _SUM)} + {show(right, _SUM)}", _SUM
            case ast.BinOp(left=left, op=ast.Sub(), right=right):
                return f"{show(left, _SUM)} - {show(right, _PRODUCT)}", _SUM
            case ast.BinOp(left=left, op=ast.Mult(), right=right):
                number = isinstance(left, ast.Constant) or isinstance(right, ast.Constant)
                sign = r"\," if number else r" \odot "
                return f"{show(left, _PRODUCT)}{sign}{show(right, _PRODUCT)}", _PRODUCT
            case ast.BinOp(left=left, op=ast.Div(), right=right):
                return f"\\frac{{{show(left, _SUM)}}}{{{show(right, _SUM)}}}", _ATOM
            case ast.BinOp(left=left, right=right):
                return f"{show(left, _ATOM)}^{{{show(right, _SUM)}}}", _POWER
            case ast.Call(func=ast.Name(id=id_), args=[argument]) if is_matrix(id_):
                return f"{name(id_)} {show(argument, _ATOM)}", _PRODUCT
            case ast.Call(func=ast.Name(id=id_), args=[argument]):
                return f"{functions[id_]}\\left({show(argument, _SUM)}\\right)", _ATOM
        raise AssertionError(ast.dump(node))  # _check let nothing else through

    return f"{name(target)} = {render(tree)[0]}"

"""C source for a cell: its tables, and the element-wise part of its step and of the derivative.

The loops through time and the matrix products are the same for every cell and lie in ``forward.h``
and ``backward.h``; what they need to know of a cell stands in the tables. What is called from
outside lies in ``calls.h``.
"""

from importlib import resources

from study.engines.native.adjoint import adjoint
from study.engines.native.elementwise import Elementwise
from study.engines.native.program import Column, Program
from study.engines.native.storage import Storage, operands_of
from study.language.cell import Cell
from study.language.nonlinearities import Nonlinearity


def generate(cell: Cell, phi: Nonlinearity) -> str:
    """The whole translation unit; REAL (float or double) and DOUBLE are given to the compiler."""
    program = Program(cell, phi)
    storage = Storage(program, adjoint(program))
    elementwise, numbers = Elementwise(storage), range(len(program.segments))
    headers = [_header("vector.h"), _header("matmul.h")]
    loops = [_header(name) for name in ("layout.h", "forward.h", "backward.h", "calls.h")]
    functions = [elementwise.forward(k) for k in numbers]
    functions += [elementwise.backward(k) for k in numbers]
    calls = [
        _table("rows *", "forward_rows", [f"forward_{k}" for k in numbers]),
        _table("back_rows *", "backward_rows", [f"backward_{k}" for k in numbers]),
    ]
    return "\n".join([*headers, _tables(storage), loops[0], *functions, *calls, *loops[1:], ""])


def tiles() -> str:
    """The translation unit of the matrix products, the same for every cell."""
    return "\n".join([_header(name) for name in ("vector.h", "matmul.h", "tiles.h")])


def _range(columns: list[Column], operand: int) -> tuple[int, int]:
    at = [i for i, c in enumerate(columns) if operand in dict(c.products)]
    return min(at), max(at) + 1


def _tables(storage: Storage) -> str:
    program, parameters = storage.program, list(storage.program.cell.operands)
    operands = []
    computed = 0
    for operand in program.operands:
        if operand.is_input:
            operands.append(f"{{INPUT, {operand.symbol.name.removeprefix('input_')}}}")
        elif operand.symbol in storage.state_index:
            operands.append(f"{{OLD, {storage.state_index[operand.symbol]}}}")
        elif operand.symbol in storage.new_index:
            operands.append(f"{{NEW, {storage.new_index[operand.symbol]}}}")
        else:
            operands.append(f"{{COMPUTED, {computed}}}")
            computed += 1
    parts: list[str] = []
    matrices: list[int] = []
    segments: list[str] = []
    for k, columns in enumerate(storage.columns):
        used = operands_of(columns)
        segments.append(f"{{{len(columns)}, {len(parts)}, {len(used)}}}")
        for o in used:
            low, high = _range(columns, o)
            row = [_matrix(parameters, columns[i], o) for i in range(low, high)]
            parts.append(f"{{{k}, {o}, {low}, {high}, {len(matrices)}, {storage.fresh[k, o]}}}")
            matrices += row
    terms = [
        f"{{{k}, {i}, {parameters.index(v)}}}"
        for k, columns in enumerate(storage.columns)
        for i, c in enumerate(columns)
        for v in c.vectors
    ]
    vectors = [str(parameters.index(name)) for name in program.vectors]
    untouched = ["0" if s in storage.touched else "1" for s in program.old.values()]
    sizes = {
        "STATES": len(program.old),
        "OPERANDS": len(program.operands),
        "INPUTS": len(program.inputs),
        "COMPUTED_OPERANDS": computed,
        "PARAMETERS": len(parameters),
        "SEGMENTS": len(program.segments),
        "PARTS": len(parts),
        "TERMS": len(terms),
        "VECTORS": len(vectors),
        "SLOTS": len(storage.slots),
        "LATER": len(storage.later),
    }
    lines = [f"#define {name} {value}" for name, value in sizes.items()]
    lines += [
        "enum { INPUT, OLD, NEW, COMPUTED };",
        _table("struct { int kind, index; }", "operands", operands),
        _table("struct { int columns, part, parts; }", "segments", segments),
        _table("struct { int segment, operand, low, high, matrix, fresh; }", "parts", parts),
        _table("int", "matrices", [str(m) for m in matrices]),
        _table("struct { int segment, column, parameter; }", "terms", terms),
        _table("int", "vector_parameters", vectors),
        _table("int", "untouched", untouched),
    ]
    return "\n".join(lines)


def _matrix(parameters: list[str], column: Column, operand: int) -> int:
    matrix = dict(column.products).get(operand)
    return -1 if matrix is None else parameters.index(matrix)


def _table(kind: str, name: str, rows: list[str]) -> str:
    """C has no empty arrays: one unused zero stands for them."""
    empty = "{0}" if kind.startswith("struct") else "0"
    constant = f"static {kind} const" if kind.endswith("*") else f"static const {kind}"
    return f"{constant} {name}[] = {{{', '.join(rows) or empty}}};"


def _header(name: str) -> str:
    return (
        resources.files("study.engines.native")
        .joinpath("headers", name)
        .read_text(encoding="utf-8")
    )

"""C source for a cell: its tables, and the element-wise part of its step and of the derivative.

The loops through time and the matrix products are the same for every cell and lie in ``forward.h``
and ``backward.h``; what they need to know of a cell stands in the tables.
"""

from importlib import resources

from sympy import Expr, Symbol

from study.engines.adjoint import Adjoint, adjoint, external
from study.engines.printing import to_c
from study.engines.program import Column, Program
from study.equations import Cell
from study.nonlinearities import Nonlinearity


def generate(cell: Cell, phi: Nonlinearity) -> str:
    """The whole translation unit; REAL (float or double) and DOUBLE are given to the compiler."""
    return _Source(Program(cell, phi)).text()


class _Source:
    def __init__(self, program: Program) -> None:
        self.program = program
        self.adjoints = adjoint(program)
        self.state_index = {s: i for i, s in enumerate(program.old.values())}
        self.new_index = {s: i for i, s in enumerate(program.new.values())}
        self.vector_index = {s: i for i, s in enumerate(program.vectors.values())}
        self.parameters = list(program.cell.operands)
        self.columns = [_order(program, s.columns) for s in program.segments]
        self.statements = {s.symbol: s for g in program.segments for s in g.statements}
        self.fresh = self._fresh_parts()
        self.aliases = self._aliases()
        self.slots = self._slots()
        self.later = list(dict.fromkeys(s for a in self.adjoints for s in a.earlier))
        self.later = [s for s in self.later if s not in self.new_index]

    def text(self) -> str:
        headers = [_header("vector.h"), self._widths(), _header("matmul.h")]
        loops = [_header(name) for name in ("layout.h", "forward.h", "backward.h")]
        forward = [self._forward(k) for k in range(len(self.program.segments))]
        backward = [self._backward(k) for k in range(len(self.program.segments))]
        names = range(len(self.program.segments))
        tables = [
            _table("rows *", "forward_rows", [f"forward_{k}" for k in names]),
            _table("back_rows *", "backward_rows", [f"backward_{k}" for k in names]),
        ]
        return "\n".join(
            [*headers, self._tables(), loops[0], *forward, *backward, *tables, *loops[1:], ""]
        )

    def _widths(self) -> str:
        """The vectors that a product may be wide, by the number of vectors that a tile may have."""
        ranges = {
            (len(columns), high - low)
            for columns in self.columns
            for low, high in (self._range(columns, o) for o in _operands(columns))
        }
        lines = []
        for widest in (2, 4):
            widths = set()
            for m, wide in ranges:
                for v in range(1, max(1, widest // m) + 1):
                    parts = -(-wide * v // widest)
                    widths |= {wide * v // parts, -(-wide * v // parts)}
            lines.append(f"#define WIDTHS_{widest} {sum(1 << w for w in widths)}")
        return "\n".join(lines)

    @staticmethod
    def _range(columns: list[Column], operand: int) -> tuple[int, int]:
        at = [i for i, c in enumerate(columns) if operand in dict(c.products)]
        return min(at), max(at) + 1

    # -- tables ---------------------------------------------------------------------------------

    def _tables(self) -> str:
        program = self.program
        operands = []
        computed = 0
        for operand in program.operands:
            if operand.is_input:
                operands.append(f"{{INPUT, {operand.symbol.name.removeprefix('input_')}}}")
            elif operand.symbol in self.state_index:
                operands.append(f"{{OLD, {self.state_index[operand.symbol]}}}")
            elif operand.symbol in self.new_index:
                operands.append(f"{{NEW, {self.new_index[operand.symbol]}}}")
            else:
                operands.append(f"{{COMPUTED, {computed}}}")
                computed += 1
        parts: list[str] = []
        matrices: list[int] = []
        segments: list[str] = []
        for k, columns in enumerate(self.columns):
            used = _operands(columns)
            segments.append(f"{{{len(columns)}, {len(parts)}, {len(used)}}}")
            for o in used:
                low, high = self._range(columns, o)
                row = [self._matrix(columns[i], o) for i in range(low, high)]
                parts.append(f"{{{k}, {o}, {low}, {high}, {len(matrices)}, {self.fresh[k, o]}}}")
                matrices += row
        terms = [
            f"{{{k}, {i}, {self.parameters.index(v)}}}"
            for k, columns in enumerate(self.columns)
            for i, c in enumerate(columns)
            for v in c.vectors
        ]
        vectors = [str(self.parameters.index(name)) for name in program.vectors]
        untouched = ["0" if s in self._touched else "1" for s in program.old.values()]
        sizes = {
            "STATES": len(program.old),
            "OPERANDS": len(program.operands),
            "INPUTS": len(program.inputs),
            "COMPUTED_OPERANDS": computed,
            "PARAMETERS": len(self.parameters),
            "SEGMENTS": len(program.segments),
            "PARTS": len(parts),
            "TERMS": len(terms),
            "VECTORS": len(vectors),
            "SLOTS": len(self.slots),
            "LATER": len(self.later),
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

    def _matrix(self, column: Column, operand: int) -> int:
        matrix = dict(column.products).get(operand)
        return -1 if matrix is None else self.parameters.index(matrix)

    def _fresh_parts(self) -> dict[tuple[int, int], int]:
        """1 for the product that is first, from the last segment on, to reach its operand."""
        fresh: dict[tuple[int, int], int] = {}
        touched: set[Symbol] = set()
        self._old_added: dict[tuple[int, Symbol], bool] = {}
        for k in reversed(range(len(self.columns))):
            for symbol in self.adjoints[k].old:
                self._old_added[k, symbol] = symbol in touched
                touched.add(symbol)
            for o in _operands(self.columns[k]):
                operand = self.program.operands[o]
                symbol = operand.symbol
                fresh[k, o] = int(symbol not in touched and symbol not in self.new_index)
                touched.add(symbol)
        self._touched = touched
        return fresh

    # -- where values are -----------------------------------------------------------------------

    def _aliases(self) -> dict[Symbol, Symbol]:
        """Values that are a new state: the state's history has them."""
        return {
            s.expression: s.symbol
            for s in self.statements.values()
            if s.symbol in self.new_index
            and s.expression.is_Symbol
            and self.program.where[s.expression] == self.program.where[s.symbol]
        }

    def _leaves(self, symbol: Symbol, local: set[Symbol]) -> list[Symbol]:
        """What must be loaded to have the symbol: itself, or what its expression is made of."""
        if symbol in local:
            return []
        symbol = self.aliases.get(symbol, symbol)
        statement = self.statements.get(symbol)
        if statement is None or statement.function or symbol in self.new_index:
            return [symbol]
        needed = sorted(statement.expression.free_symbols, key=str)
        return [leaf for inner in needed for leaf in self._leaves(inner, local)]

    def _slots(self) -> list[Symbol]:
        """Columns and function values that the backward pass or a later segment reads."""
        read: dict[Symbol, None] = {}
        for k, segment in enumerate(self.program.segments):
            local = set(self.program.defined(k))
            for statement in segment.statements:
                for symbol in sorted(statement.expression.free_symbols, key=str):
                    read |= dict.fromkeys(self._leaves(symbol, local))
            names = {s for e in self.adjoints[k].expressions() for s in e.free_symbols}
            names |= {
                s for o in self._computed_in(k) for s in self.statements[o].expression.free_symbols
            }
            for symbol in sorted(names, key=str):
                if symbol in self.program.where:
                    read |= dict.fromkeys(self._leaves(symbol, set()))
        kept = (*self.state_index, *self.new_index, *self.vector_index)
        return [s for s in read if s not in kept]

    def _computed_in(self, k: int) -> list[Symbol]:
        symbols = [o.symbol for o in self.program.operands if not o.is_input]
        defined = self.program.defined(k)
        return [s for s in symbols if s in defined and s not in self.new_index]

    def _computed_index(self, symbol: Symbol) -> int:
        states = (*self.state_index, *self.new_index)
        symbols = [o.symbol for o in self.program.operands if not o.is_input]
        return [s for s in symbols if s not in states].index(symbol)

    def _load(self, symbol: Symbol, done: set[Symbol], lines: list[str]) -> None:
        """Lines that declare the symbol, and what it needs, in the row's scope."""
        if symbol in done:
            return
        done.add(symbol)
        name = symbol.name
        if symbol in self.state_index:
            i = self.state_index[symbol]
            lines.append(f"const vec {name} = {_load_state('old', i)};")
        elif symbol in self.new_index:
            i = self.new_index[symbol]
            lines.append(f"const vec {name} = {_load_state('new', i)};")
        elif symbol in self.aliases:
            self._load(self.aliases[symbol], done, lines)
            lines.append(f"const vec {name} = {self.aliases[symbol].name};")
        elif symbol in self.slots:
            lines.append(f"const vec {name} = load(slot + {self.slots.index(symbol)} * LANES);")
        else:
            expression = self.statements[symbol].expression
            self._load_all(expression, done, lines)
            lines.append(f"const vec {name} = {to_c(expression)};")

    def _load_all(self, expression: Expr, done: set[Symbol], lines: list[str]) -> None:
        for symbol in sorted(expression.free_symbols, key=str):
            if symbol in self.program.where:
                self._load(symbol, done, lines)

    # -- the step -------------------------------------------------------------------------------

    def _forward(self, k: int) -> str:
        lines: list[str] = []
        done = set(self.vector_index)
        for i, column in enumerate(self.columns[k]):
            lines.append(f"const vec {column.symbol} = load(sum + {i} * v * LANES);")
            done.add(column.symbol)
        for statement in self.program.segments[k].statements:
            self._load_all(statement.expression, done, lines)
            lines.append(f"const vec {statement.symbol} = {to_c(statement.expression)};")
            done.add(statement.symbol)
        defined = self.program.defined(k)
        stores = [
            f"store(slot + {i} * LANES, {s});" for i, s in enumerate(self.slots) if s in defined
        ]
        for s in self._computed_in(k):
            stores.append(f"store({_at(f'r->computed[{self._computed_index(s)}]')}, {s});")
        zeros = []
        for s, i in self.new_index.items():
            if s in defined:
                stores.append(_store_state(i, s.name))
                zeros.append(_store_state(i, "all(0)"))
        return f"""
static void forward_{k}(const run *r, long first, long v, long b, long R, const REAL *sums) {{
    for (long i = 0; i < v; i++) {{
        const long at = (first + i) * LANES, n = r->H - at;
        {self._vectors()}
        for (long row = b; row < b + R; row++) {{
            const REAL *sum = sums + ((row - b) * {len(self.columns[k])} * v + i) * LANES;
            REAL *slot = r->slots + ((first + i) * r->B + row) * SLOTS * LANES;
            (void)sum, (void)slot, (void)n;
            if (ended(r, row)) {{
                {_join(zeros)}
                continue;
            }}
            {_join(lines)}
            {_join(stores)}
        }}
    }}
}}"""

    def _vectors(self) -> str:
        return _join(
            [f"const vec {s} = load(r->vectors[{i}] + at);" for s, i in self.vector_index.items()]
        )

    # -- its derivative -------------------------------------------------------------------------

    def _backward(self, k: int) -> str:
        part: Adjoint = self.adjoints[k]
        done = set(self.vector_index)
        lines: list[str] = []
        records = {bar: s for s, bar in part.records.items()}
        defined = self.program.defined(k)
        for symbol in defined:
            self._load_external(symbol, lines)
        for bar, value in part.bars:
            self._load_all(value, done, lines)
            lines.append(f"const vec {bar} = {to_c(value)};")
            if bar in records:
                i = self.new_index[records[bar]]
                lines.append(f"if (r->record[{i}]) {_record(i, bar.name)}")
        zeros = [
            f"if (r->record[{self.new_index[s]}]) {_record(self.new_index[s], 'all(0)')}"
            for s in part.records
        ]
        for i, column in enumerate(self.columns[k]):
            value = part.columns[column.symbol]
            self._load_all(value, done, lines)
            lines.append(f"store(out + {i} * v * LANES, only(inside, {to_c(value)}));")
            zeros.append(f"store(out + {i} * v * LANES, all(0));")
        for symbol, value in part.old.items():
            self._load_all(value, done, lines)
            at = _at(f"r->before[{self.state_index[symbol]}]")
            add = self._old_added[k, symbol]
            lines.append(f"store({at}, {f'load({at}) + ' if add else ''}{to_c(value)});")
            if not add:
                zeros.append(f"store({at}, all(0));")
        for symbol, value in part.earlier.items():
            self._load_all(value, done, lines)
            if symbol in self.new_index:
                at, add = _at(f"r->after[{self.new_index[symbol]}]"), True
            else:
                at = f"later + {self.later.index(symbol)} * LANES"
                add = any(symbol in a.earlier for a in self.adjoints[k + 1 :])
            lines.append(f"store({at}, {f'load({at}) + ' if add else ''}{to_c(value)});")
            if not add:
                zeros.append(f"store({at}, all(0));")
        for symbol in self._computed_in(k):
            expression = self.statements[symbol].expression
            self._load_all(expression, done, lines)
            at = f"r->operand_rows[{self._computed_index(symbol)}] + (ring + row) * r->Hp + at"
            lines.append(f"store({at}, {to_c(expression)});")
            zeros.append(f"store({at}, all(0));")
        sums: list[str] = []
        adds: list[str] = []
        ends: list[str] = []
        for symbol, value in part.vectors.items():
            i = self.vector_index[symbol]
            sums.append(f"vec sum_{i} = load(r->vector_sums[{i}] + at);")
            self._load_all(value, done, adds)
            adds.append(f"sum_{i} += {to_c(value)};")
            ends.append(f"store(r->vector_sums[{i}] + at, sum_{i});")
        return f"""
static void backward_{k}(const run *r, long first, long v, long b, long R, long ring, REAL *outs) {{
    for (long i = 0; i < v; i++) {{
        const long at = (first + i) * LANES, n = r->H - at;
        const mask inside = below(n);
        {self._vectors()}
        {_join(sums)}
        for (long row = b; row < b + R; row++) {{
            REAL *out = outs + ((row - b) * {len(self.columns[k])} * v + i) * LANES;
            const REAL *slot = r->slots + ((first + i) * r->B + row) * SLOTS * LANES;
            REAL *later = r->later + ((first + i) * r->B + row) * LATER * LANES;
            (void)out, (void)slot, (void)later, (void)inside, (void)n;
            if (ended(r, row)) {{
                {_join(zeros)}
                continue;
            }}
            {_join(lines)}
            {_join(adds)}
        }}
        {_join(ends)}
    }}
}}"""

    def _load_external(self, symbol: Symbol, lines: list[str]) -> None:
        name = external(symbol).name
        if symbol in self.new_index:
            i = self.new_index[symbol]
            carried = f"load({_at(f'r->after[{i}]')})"
            if i == 0:
                outer = "load_some(r->outer + row * r->H + at, n, r->outer_end)"
                carried += f" + (r->outer ? {outer} : all(0))"
            lines.append(f"const vec {name} = {carried};")
        elif symbol in self.later:
            lines.append(f"const vec {name} = load(later + {self.later.index(symbol)} * LANES);")
        elif symbol in self._computed_in(self.program.where[symbol]):
            at = _at(f"r->operand_bars[{self._computed_index(symbol)}]")
            lines.append(f"const vec {name} = load({at});")


def _order(program: Program, columns: list[Column]) -> list[Column]:
    """Columns of states, of both, of the input alone: what one operand feeds lies together."""

    def key(column: Column) -> tuple[bool, bool]:
        kinds = [program.operands[o].is_input for o, _ in column.products]
        return any(kinds), all(kinds)

    return sorted(columns, key=key)


def _operands(columns: list[Column]) -> list[int]:
    return sorted({o for c in columns for o, _ in c.products})


def _table(kind: str, name: str, rows: list[str]) -> str:
    """C has no empty arrays: one unused zero stands for them."""
    empty = "{0}" if kind.startswith("struct") else "0"
    constant = f"static {kind} const" if kind.endswith("*") else f"static const {kind}"
    return f"{constant} {name}[] = {{{', '.join(rows) or empty}}};"


def _at(pointer: str) -> str:
    return f"{pointer} + row * r->Hp + at"


def _load_state(which: str, i: int) -> str:
    at = f"r->{which}[{i}] + row * r->{which}_stride[{i}] + at"
    return f"load_some({at}, n, r->{which}_end)" if i == 0 else f"load({at})"


def _store_state(i: int, value: str) -> str:
    at = f"r->new[{i}] + row * r->new_stride[{i}] + at"
    return f"store_some({at}, {value}, n, r->new_end);" if i == 0 else f"store({at}, {value});"


def _record(i: int, value: str) -> str:
    return f"store_some(r->record[{i}] + row * r->H + at, {value}, n, r->record_end[{i}]);"


def _join(lines: list[str]) -> str:
    return "\n            ".join(lines)


def _header(name: str) -> str:
    return resources.files("study.engines").joinpath(name).read_text(encoding="utf-8")

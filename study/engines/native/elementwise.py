"""The element-wise part of a segment as C: its values, and their derivative.

One function each, over a block of vectors and of sequences. What a function reads is loaded in the
loop over sequences, from the states, the slots, or by computing it again.
"""

from sympy import Expr, Symbol

from study.engines.native.adjoint import external
from study.engines.native.printing import to_c
from study.engines.native.storage import Storage


class Elementwise:
    """C functions ``forward_k`` and ``backward_k`` of the segments of a program."""

    def __init__(self, storage: Storage) -> None:
        self.places, self.program = storage, storage.program

    def forward(self, k: int) -> str:
        """Columns in; slots, computed operands and new states out."""
        lines: list[str] = []
        done = set(self.places.vector_index)
        for i, column in enumerate(self.places.columns[k]):
            lines.append(f"const vec {column.symbol} = load(sum + {i} * v * LANES);")
            done.add(column.symbol)
        for statement in self.program.segments[k].statements:
            self._load_all(statement.expression, done, lines)
            lines.append(f"const vec {statement.symbol} = {to_c(statement.expression)};")
            done.add(statement.symbol)
        defined = self.program.defined(k)
        stores = [
            f"store(slot + {i} * LANES, {s});"
            for i, s in enumerate(self.places.slots)
            if s in defined
        ]
        for s in self.places.computed_in(k):
            stores.append(f"store({_at(f'r->computed[{self.places.computed_index(s)}]')}, {s});")
        zeros = []
        for s, i in self.places.new_index.items():
            if s in defined:
                stores.append(_store_state(i, s.name))
                zeros.append(_store_state(i, "all(0)"))
        return f"""
static void forward_{k}(const run *r, long first, long v, long b, long R, const REAL *sums) {{
    for (long i = 0; i < v; i++) {{
        const long at = (first + i) * LANES, n = r->H - at;
        {self._vectors()}
        for (long row = b; row < b + R; row++) {{
            const REAL *sum = sums + ((row - b) * {len(self.places.columns[k])} * v + i) * LANES;
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

    def backward(self, k: int) -> str:
        """Gradients of the new states in; of the columns, the old states and the vectors out."""
        part = self.places.adjoints[k]
        done = set(self.places.vector_index)
        lines: list[str] = []
        records = {bar: s for s, bar in part.records.items()}
        defined = self.program.defined(k)
        for symbol in defined:
            self._load_external(symbol, lines)
        for bar, value in part.bars:
            self._load_all(value, done, lines)
            lines.append(f"const vec {bar} = {to_c(value)};")
            if bar in records:
                i = self.places.new_index[records[bar]]
                lines.append(f"if (r->record[{i}]) {_record(i, bar.name)}")
        zeros = [
            f"if (r->record[{self.places.new_index[s]}]) {_record(self.places.new_index[s], 'all(0)')}"
            for s in part.records
        ]
        for i, column in enumerate(self.places.columns[k]):
            value = part.columns[column.symbol]
            self._load_all(value, done, lines)
            lines.append(f"store(out + {i} * v * LANES, only(inside, {to_c(value)}));")
            zeros.append(f"store(out + {i} * v * LANES, all(0));")
        for symbol, value in part.old.items():
            self._load_all(value, done, lines)
            at = _at(f"r->before[{self.places.state_index[symbol]}]")
            add = self.places.added[k, symbol]
            lines.append(f"store({at}, {f'load({at}) + ' if add else ''}{to_c(value)});")
            if not add:
                zeros.append(f"store({at}, all(0));")
        for symbol, value in part.earlier.items():
            self._load_all(value, done, lines)
            if symbol in self.places.new_index:
                at, add = _at(f"r->after[{self.places.new_index[symbol]}]"), True
            else:
                at = f"later + {self.places.later.index(symbol)} * LANES"
                add = any(symbol in a.earlier for a in self.places.adjoints[k + 1 :])
            lines.append(f"store({at}, {f'load({at}) + ' if add else ''}{to_c(value)});")
            if not add:
                zeros.append(f"store({at}, all(0));")
        for symbol in self.places.computed_in(k):
            expression = self.places.statements[symbol].expression
            self._load_all(expression, done, lines)
            at = (
                f"r->operand_rows[{self.places.computed_index(symbol)}] + (ring + row) * r->Hp + at"
            )
            lines.append(f"store({at}, {to_c(expression)});")
            zeros.append(f"store({at}, all(0));")
        sums: list[str] = []
        adds: list[str] = []
        ends: list[str] = []
        for symbol, value in part.vectors.items():
            i = self.places.vector_index[symbol]
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
            REAL *out = outs + ((row - b) * {len(self.places.columns[k])} * v + i) * LANES;
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

    def _vectors(self) -> str:
        return _join(
            [
                f"const vec {s} = load(r->vectors[{i}] + at);"
                for s, i in self.places.vector_index.items()
            ]
        )

    def _load(self, symbol: Symbol, done: set[Symbol], lines: list[str]) -> None:
        """Lines that declare the symbol, and what it needs, in the row's scope."""
        if symbol in done:
            return
        done.add(symbol)
        name = symbol.name
        if symbol in self.places.state_index:
            i = self.places.state_index[symbol]
            lines.append(f"const vec {name} = {_load_state('old', i)};")
        elif symbol in self.places.new_index:
            i = self.places.new_index[symbol]
            lines.append(f"const vec {name} = {_load_state('new', i)};")
        elif symbol in self.places.aliases:
            self._load(self.places.aliases[symbol], done, lines)
            lines.append(f"const vec {name} = {self.places.aliases[symbol].name};")
        elif symbol in self.places.slots:
            lines.append(
                f"const vec {name} = load(slot + {self.places.slots.index(symbol)} * LANES);"
            )
        else:
            expression = self.places.statements[symbol].expression
            self._load_all(expression, done, lines)
            lines.append(f"const vec {name} = {to_c(expression)};")

    def _load_all(self, expression: Expr, done: set[Symbol], lines: list[str]) -> None:
        for symbol in sorted(expression.free_symbols, key=str):
            if symbol in self.program.where:
                self._load(symbol, done, lines)

    def _load_external(self, symbol: Symbol, lines: list[str]) -> None:
        name = external(symbol).name
        if symbol in self.places.new_index:
            i = self.places.new_index[symbol]
            carried = f"load({_at(f'r->after[{i}]')})"
            if i == 0:
                outer = "load_some(r->outer + row * r->H + at, n, r->outer_end)"
                carried += f" + (r->outer ? {outer} : all(0))"
            lines.append(f"const vec {name} = {carried};")
        elif symbol in self.places.later:
            lines.append(
                f"const vec {name} = load(later + {self.places.later.index(symbol)} * LANES);"
            )
        elif symbol in self.places.computed_in(self.program.where[symbol]):
            at = _at(f"r->operand_bars[{self.places.computed_index(symbol)}]")
            lines.append(f"const vec {name} = load({at});")


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

"""Where a step's values and gradients are kept between its segments and between the passes.

What the backward pass or a later segment reads is kept in slots, unless it is a state, a parameter,
or cheap to compute again.
"""

from sympy import Symbol

from study.engines.native.adjoint import Adjoint
from study.engines.native.program import Column, Program


class Storage:
    """Places of the values of a program.

    ``columns`` of each segment in the order in which they lie, ``slots`` the values kept by the
    forward pass, ``aliases`` the values that are a new state, ``later`` the values whose gradients
    are handed to earlier segments. ``fresh`` is 1 for the part (segment, operand) that is first,
    from the last segment on, to reach its operand; ``added`` tells whether a segment's gradient of
    an old state is added to one there already, ``touched`` which old states have any.
    """

    def __init__(self, program: Program, adjoints: list[Adjoint]) -> None:
        self.program, self.adjoints = program, adjoints
        self.state_index = {s: i for i, s in enumerate(program.old.values())}
        self.new_index = {s: i for i, s in enumerate(program.new.values())}
        self.vector_index = {s: i for i, s in enumerate(program.vectors.values())}
        self.columns = [_order(program, s.columns) for s in program.segments]
        self.statements = {s.symbol: s for g in program.segments for s in g.statements}
        self.fresh: dict[tuple[int, int], int] = {}
        self.added: dict[tuple[int, Symbol], bool] = {}
        self.touched: set[Symbol] = set()
        self._reach()
        self.aliases = self._aliases()
        self.slots = self._slots()
        later = dict.fromkeys(s for a in adjoints for s in a.earlier)
        self.later = [s for s in later if s not in self.new_index]

    def computed_in(self, k: int) -> list[Symbol]:
        symbols = [o.symbol for o in self.program.operands if not o.is_input]
        defined = self.program.defined(k)
        return [s for s in symbols if s in defined and s not in self.new_index]

    def computed_index(self, symbol: Symbol) -> int:
        states = (*self.state_index, *self.new_index)
        symbols = [o.symbol for o in self.program.operands if not o.is_input]
        return [s for s in symbols if s not in states].index(symbol)

    def _reach(self) -> None:
        for k in reversed(range(len(self.columns))):
            for symbol in self.adjoints[k].old:
                self.added[k, symbol] = symbol in self.touched
                self.touched.add(symbol)
            for o in operands_of(self.columns[k]):
                symbol = self.program.operands[o].symbol
                is_first = symbol not in self.touched and symbol not in self.new_index
                self.fresh[k, o] = int(is_first)
                self.touched.add(symbol)

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
                s for o in self.computed_in(k) for s in self.statements[o].expression.free_symbols
            }
            for symbol in sorted(names, key=str):
                if symbol in self.program.where:
                    read |= dict.fromkeys(self._leaves(symbol, set()))
        kept = (*self.state_index, *self.new_index, *self.vector_index)
        return [s for s in read if s not in kept]


def _order(program: Program, columns: list[Column]) -> list[Column]:
    """Columns of states, of both, of the input alone: what one operand feeds lies together.

    A column between two others of an operand that it does not have costs a product with zeros, and
    zero times an infinite state is NaN.
    """

    def key(column: Column) -> tuple[bool, bool, list[int]]:
        kinds = [program.operands[o].is_input for o, _ in column.products]
        return any(kinds), all(kinds), sorted(o for o, _ in column.products)

    return sorted(columns, key=key)


def operands_of(columns: list[Column]) -> list[int]:
    """Of what the matrices in the columns are applied to, the indices."""
    return sorted({o for c in columns for o, _ in c.products})

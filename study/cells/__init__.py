"""The catalogue of cells: one file a family, equations and sources, nothing else.

To add a cell, write ``CELLS.define(Cell(name=…, state=…, equations=…, source=…))`` in a file here; the
engines, the tests and the command line find it by themselves.
"""

import re
from collections.abc import Callable

from study.base.errors import UserError
from study.base.registry import Registry, load_modules
from study.language.cell import Cell
from study.language.notation import LONGEST_DELAY

_NUMBERED = re.compile(r"(.+)-(\d{1,9})")


class CellRegistry(Registry[Cell]):
    """Cells under their own names, and families of cells with a number: skip-2, skip-3, ….

    Of a family one member is listed; the others are made when they are asked for.
    """

    def __init__(self) -> None:
        super().__init__("cell")
        self._families: dict[str, Callable[[int], Cell]] = {}
        self._made: dict[str, Cell] = {}

    def define(self, cell: Cell) -> Cell:
        return self.add(cell.name, cell)

    def family(self, prefix: str, make: Callable[[int], Cell], listed: int) -> None:
        """``make(k)`` is the cell ``prefix-k``, k up to the longest delay."""
        self._families[prefix] = make
        self.define(make(listed))

    def __getitem__(self, name: str) -> Cell:
        if not isinstance(name, str) or name in self._things:
            return super().__getitem__(name)
        if name not in self._made:
            match = _NUMBERED.fullmatch(name)
            if match is None or match[1] not in self._families:
                return super().__getitem__(name)
            k = int(match[2])
            if not 1 <= k <= LONGEST_DELAY or match[2] != str(k):
                raise UserError(f"{match[1]}-k goes from k = 1 to {LONGEST_DELAY} (got {name})")
            self._made[name] = self._families[match[1]](k)
        return self._made[name]

    def __contains__(self, name: object) -> bool:
        try:
            self[name]  # type: ignore[index]
        except UserError:
            return False
        return True


CELLS = CellRegistry()

load_modules(__name__, first=("simple", "delays", "lstm", "odyssey", "jozefowicz", "gru"))

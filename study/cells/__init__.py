"""The catalogue of cells: one file a family, equations and sources, nothing else.

To add a cell, write ``CELLS.add("name", Cell(name="name", state=…, equations=…, source=…))`` in a
file here; the engines, the tests and the command line find it by themselves.
"""

from study.equations import Cell
from study.registry import Registry, load_modules


class CellRegistry(Registry[Cell]):
    """Cells under their own names."""

    def define(self, cell: Cell) -> Cell:
        return self.add(cell.name, cell)


CELLS = CellRegistry("cell")

load_modules(__name__)

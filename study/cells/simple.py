"""Cells without gates."""

from study.cells import CELLS
from study.equations import Cell

ELMAN = CELLS.define(
    Cell(
        name="elman",
        state="h",
        equations="h' = phi(W x + U h + b)",
        summary="The simple recurrent network: one matrix carries the state",
        source="Elman (1990), Finding structure in time, Cognitive Science 14",
    )
)

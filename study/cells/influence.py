"""A linear system with one trained number, on which truncated gradients can be seen to go wrong."""

from study.cells import CELLS
from study.language.cell import Cell
from study.language.forms import HandedDown, Shared, Signs

CELLS.define(
    Cell(
        name="influence",
        state="s",
        equations="s' = U s + p_theta*(W x)",
        forms={"U": HandedDown(), "W": Signs(10), "p_theta": Shared()},
        starts={"p_theta": 0.5},
        summary="One trained number, which soon pushes the first unit one way and later the other",
        source="Tallec & Ollivier (2017), Unbiasing truncated backpropagation through time",
        note=(
            "Made for the task influence-balancing with 23 units, as in the source: 10 that a positive "
            "theta pushes up, and 13 that it pushes down, of which the first unit hears 10 steps later or "
            "more. The source has no input: here it is the task's 1 at every step."
        ),
    )
)

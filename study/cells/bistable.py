"""Bistable cells, which can hold a bit for ever."""

from study.cells import CELLS
from study.language.cell import Cell

_SOURCE = (
    "Vecoven, Ernst & Drion (2021), A bio-inspired bistable recurrent cell allows for long-lasting "
    "memory"
)
_NOTE = "The authors' code: biases in the two gates and none in the candidate."

CELLS.define(
    Cell(
        name="br",
        state="h",
        equations="""
            a = 1 + tanh(W_a x + p_a*h + b_a)
            c = sigmoid(W_c x + p_c*h + b_c)
            h' = c*h + (1 - c)*phi(W x + a*h)
        """,
        forget_gate="c",
        starts={"p_a": 1.0, "p_c": 1.0},
        summary="Each unit feeds back to itself, with a gain up to 2 that the input controls",
        source=_SOURCE,
        note=_NOTE,
    )
)

CELLS.define(
    Cell(
        name="nbr",
        state="h",
        equations="""
            a = 1 + tanh(W_a x + U_a h + b_a)
            c = sigmoid(W_c x + U_c h + b_c)
            h' = c*h + (1 - c)*phi(W x + a*h)
        """,
        forget_gate="c",
        summary="Neuromodulated: the other units control a unit's feedback too",
        source=_SOURCE,
        note=_NOTE,
    )
)

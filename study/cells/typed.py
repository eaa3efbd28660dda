"""Strongly-typed cells: gates see the input and the one before it, never the state."""

from study.cells import CELLS
from study.language.cell import Cell

_SOURCE = "Balduzzi & Ghifary (2016), Strongly-typed recurrent neural networks"
_PREVIOUS = (
    "The previous input x_{t-1} enters by products that were formed when it was read: s_z is V_z x_{t-1} "
    "in the source's letters; zero at the first step."
)

CELLS.define(
    Cell(
        name="trnn",
        state="h",
        equations="""
            z = W_z x
            f = sigmoid(W_f x + b_f)
            h' = f*h + (1 - f)*z
        """,
        forget_gate="f",
        summary="A moving average of the input with a gate that sees the input alone",
        source=_SOURCE,
    )
)

_GATES = """
            z = W_z x + s_z + b_z
            f = sigmoid(W_f x + s_f + b_f)
            o = phi(W_o x + s_o + b_o)
            s_z' = W_vz x
            s_f' = W_vf x
            s_o' = W_vo x
"""

CELLS.define(
    Cell(
        name="tgru",
        state="h s_z s_f s_o",
        equations=f"""{_GATES}
            h' = f*h + z*o
        """,
        forget_gate="f",
        summary="Strongly-typed GRU",
        source=_SOURCE,
        note=_PREVIOUS,
    )
)

CELLS.define(
    Cell(
        name="tlstm",
        state="h c s_z s_f s_o",
        equations=f"""{_GATES}
            c' = f*c + (1 - f)*z
            h' = c'*o
        """,
        forget_gate="f",
        summary="Strongly-typed LSTM",
        source=_SOURCE,
        note=_PREVIOUS,
    )
)

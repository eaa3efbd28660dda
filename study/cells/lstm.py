"""Long short-term memory."""

from study.cells import CELLS
from study.equations import Cell

LSTM = CELLS.define(
    Cell(
        name="lstm",
        state="h c",
        equations="""
            i = sigmoid(W_i x + U_i h + b_i)
            f = sigmoid(W_f x + U_f h + b_f)
            g = phi(W_g x + U_g h + b_g)
            o = sigmoid(W_o x + U_o h + b_o)
            c' = f*c + i*g
            h' = o*phi(c')
        """,
        forget_gate="f",
        summary="Input, forget and output gates around an additive cell state; no peepholes",
        source=(
            "Hochreiter & Schmidhuber (1997), Long short-term memory; forget gate: Gers, "
            "Schmidhuber & Cummins (2000), Learning to forget"
        ),
    )
)

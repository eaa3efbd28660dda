"""The cells of Jozefowicz, Zaremba & Sutskever's search: LSTM ablations, MUT1, MUT2 and MUT3."""

from study.cells import CELLS
from study.language.cell import Cell

_SOURCE = (
    "Jozefowicz, Zaremba & Sutskever (2015), An empirical exploration of recurrent network "
    "architectures"
)
_AS_PRINTED = (
    "The output gate is tanh as the paper prints it; what its i and j name is g and i here."
)

_B = Cell(
    name="lstm-b",
    state="h c",
    equations="""
        i = sigmoid(W_i x + U_i h + b_i)
        f = sigmoid(W_f x + U_f h + b_f + 1)
        g = phi(W_g x + U_g h + b_g)
        o = tanh(W_o x + U_o h + b_o)
        c' = f*c + i*g
        h' = o*phi(c')
    """,
    forget_gate="f",
    input_gate="i",
    summary="The paper's LSTM with a bias of 1 added to the forget gate",
    source=_SOURCE,
    note=_AS_PRINTED,
)
_PLAIN = CELLS.define(
    _B.replace(
        f="sigmoid(W_f x + U_f h + b_f)",
        name="lstm-jozefowicz",
        summary="The paper's LSTM, the baseline of lstm-f, -i, -o and -b",
        note=_AS_PRINTED,
    )
)

CELLS.define(
    _PLAIN.replace(f="1", name="lstm-f", summary="Its LSTM without forget gate", note=_AS_PRINTED)
)
CELLS.define(
    _PLAIN.replace(i="1", name="lstm-i", summary="Its LSTM without input gate", note=_AS_PRINTED)
)
CELLS.define(_PLAIN.replace(o="1", name="lstm-o", summary="Its LSTM without output gate"))
CELLS.define(_B)

_EMBEDDED = (
    "The paper embeds its symbols to the state's width before the cell, and tanh(x) needs that: here "
    "e = W_e x does it."
)

CELLS.define(
    Cell(
        name="mut1",
        state="h",
        equations="""
            e = W_e x
            z = sigmoid(U_xz e + b_z)
            r = sigmoid(U_xr e + U_r h + b_r)
            h' = phi(U_h (r*h) + tanh(e) + b_h)*z + h*(1 - z)
        """,
        update_gate="z",
        summary="Mutation 1: the update gate sees the input alone",
        source=_SOURCE,
        note=_EMBEDDED,
    )
)

CELLS.define(
    Cell(
        name="mut2",
        state="h",
        equations="""
            e = W_e x
            z = sigmoid(U_xz e + U_z h + b_z)
            r = sigmoid(e + U_r h + b_r)
            h' = phi(U_h (r*h) + U_xh e + b_h)*z + h*(1 - z)
        """,
        update_gate="z",
        summary="Mutation 2: the reset gate takes the input as it is",
        source=_SOURCE,
        note=_EMBEDDED,
    )
)

CELLS.define(
    Cell(
        name="mut3",
        state="h",
        equations="""
            e = W_e x
            z = sigmoid(U_xz e + U_z (tanh(h)) + b_z)
            r = sigmoid(U_xr e + U_r h + b_r)
            h' = phi(U_h (r*h) + U_xh e + b_h)*z + h*(1 - z)
        """,
        update_gate="z",
        summary="Mutation 3: the update gate sees tanh of the state",
        source=_SOURCE,
        note=_EMBEDDED,
    )
)

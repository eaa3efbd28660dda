"""The vanilla LSTM of Greff et al. and its eight ablations, each an edit of one or two equations."""

from dataclasses import replace

from study.cells import CELLS
from study.language.cell import Cell

_SOURCE = (
    "Greff, Srivastava, Koutník, Steunebrink & Schmidhuber (2017), LSTM: a search space odyssey"
)

V = CELLS.define(
    Cell(
        name="lstm-peephole",
        state="h c",
        equations="""
            i = sigmoid(W_i x + U_i h + p_i*c + b_i)
            f = sigmoid(W_f x + U_f h + p_f*c + b_f)
            g = phi(W_g x + U_g h + b_g)
            c' = g*i + c*f
            o = sigmoid(W_o x + U_o h + p_o*c' + b_o)
            h' = o*phi(c')
        """,
        forget_gate="f",
        input_gate="i",
        summary="V, the vanilla LSTM: gates see the cell state through diagonal peepholes",
        source=f"{_SOURCE}; Gers & Schmidhuber (2000), Recurrent nets that time and count",
        note="i and f see the old cell state, o the new one. With peepholes of 0 it is lstm.",
    )
)

_ABLATIONS = {
    "nig": ("no input gate", {"i": "1"}),
    "nfg": ("no forget gate", {"f": "1"}),
    "nog": ("no output gate", {"o": "1"}),
    "niaf": ("no input activation function", {"g": "W_g x + U_g h + b_g"}),
    "noaf": ("no output activation function", {"h'": "o*c'"}),
    "np": (
        "no peepholes",
        {
            "i": "sigmoid(W_i x + U_i h + b_i)",
            "f": "sigmoid(W_f x + U_f h + b_f)",
            "o": "sigmoid(W_o x + U_o h + b_o)",
        },
    ),
    "cifg": ("one gate for input and forgetting", {"f": "1 - i"}),
}

for _name, (_change, _edits) in _ABLATIONS.items():
    _cell = V.replace(
        _edits, name=f"lstm-{_name}", summary=f"V with {_change} ({_name.upper()})", source=_SOURCE
    )
    if _name == "cifg":
        _cell = replace(_cell, input_gate=None, update_gate="i")
    CELLS.define(_cell)

CELLS.define(
    Cell(
        name="lstm-fgr",
        state="h c i f o",
        equations="""
            i' = sigmoid(W_i x + U_i h + p_i*c + b_i + U_ii i + U_if f + U_io o)
            f' = sigmoid(W_f x + U_f h + p_f*c + b_f + U_fi i + U_ff f + U_fo o)
            g = phi(W_g x + U_g h + b_g)
            c' = g*i' + c*f'
            o' = sigmoid(W_o x + U_o h + p_o*c' + b_o + U_oi i + U_of f + U_oo o)
            h' = o'*phi(c')
        """,
        forget_gate="f",
        input_gate="i",
        summary="V with full gate recurrence (FGR): nine more matrices, between the gates",
        source=_SOURCE,
        note="The gates' values at the previous step are part of the state and start at 0.",
    )
)

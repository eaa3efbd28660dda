"""Gated recurrent units. Here z near 1 keeps the state, as in Cho et al.; Chung et al. swap z."""

from study.cells import CELLS
from study.equations import Cell

GRU = CELLS.define(
    Cell(
        name="gru",
        state="h",
        equations="""
            r = sigmoid(W_r x + U_r h + b_r)
            z = sigmoid(W_z x + U_z h + b_z)
            n = phi(W_n x + U_n (r*h) + b_n)
            h' = z*h + (1 - z)*n
        """,
        forget_gate="z",
        summary="Update and reset gates; the reset acts on the state before the matrix",
        source="Cho et al. (2014), Learning phrase representations using RNN encoder-decoder",
    )
)

GRU_TORCH = CELLS.define(
    Cell(
        name="gru-torch",
        state="h",
        equations="""
            r = sigmoid(W_r x + U_r h + b_r)
            z = sigmoid(W_z x + U_z h + b_z)
            n = phi(W_n x + b_n + r*(U_n h + b_hn))
            h' = z*h + (1 - z)*n
        """,
        forget_gate="z",
        summary="The GRU of cuDNN and torch: the reset acts after the matrix, which has a bias",
        source="cuDNN's and torch.nn.GRU's documentation; not Cho et al.'s equation",
    )
)

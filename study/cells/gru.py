"""Gated recurrent units. Here z near 1 keeps the state, as in Cho et al.; Chung et al. swap z."""

from study.cells import CELLS
from study.language.cell import Cell

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

CELLS.define(
    Cell(
        name="mgu",
        state="h",
        equations="""
            f = sigmoid(W_f x + U_f h + b_f)
            n = phi(W_n x + U_n (f*h) + b_n)
            h' = (1 - f)*h + f*n
        """,
        update_gate="f",
        summary="Minimal gated unit: one gate resets and updates",
        source="Zhou, Wu, Zhang & Zhou (2016), Minimal gated unit for recurrent neural networks",
    )
)

CELLS.define(
    Cell(
        name="mingru",
        state="h",
        equations="""
            z = sigmoid(W_z x + b_z)
            a = W_h x + b_h
            g = (1 - step(-a))*(a + 0.5) + step(-a)*sigmoid(a)
            h' = (1 - z)*h + z*g
        """,
        update_gate="z",
        summary="The update gate and the candidate see the input alone",
        source="Feng et al. (2024), Were RNNs all we needed?",
        note="The candidate is a + 1/2 from 0 on, sigmoid(a) below. No gate sees the state.",
    )
)

CELLS.define(
    Cell(
        name="ran",
        state="h c",
        equations="""
            i = sigmoid(W_i x + U_i h + b_i)
            f = sigmoid(W_f x + U_f h + b_f)
            c' = i*(W_c x) + f*c
            h' = phi(c')
        """,
        forget_gate="f",
        input_gate="i",
        summary="Recurrent additive network: the state is a weighted sum of inputs",
        source="Lee, Levy & Zettlemoyer (2017), Recurrent additive networks",
    )
)

"""Long short-term memory and what is near to it. Its ablations are in ``odyssey`` and ``jozefowicz``."""

from study.cells import CELLS
from study.language.cell import Cell

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
        input_gate="i",
        summary="Input, forget and output gates around an additive cell state; no peepholes",
        source=(
            "Hochreiter & Schmidhuber (1997), Long short-term memory; forget gate: Gers, "
            "Schmidhuber & Cummins (2000), Learning to forget"
        ),
    )
)

CELLS.define(
    Cell(
        name="lstm-1997",
        state="h c",
        equations="""
            i = sigmoid(W_i x + U_i h + b_i)
            g = 4*sigmoid(W_g x + U_g h + b_g) - 2
            o = sigmoid(W_o x + U_o h + b_o)
            c' = c + i*g
            h' = o*(2*sigmoid(c') - 1)
        """,
        summary="The first LSTM: no forget gate, the cell state only adds up",
        source="Hochreiter & Schmidhuber (1997), Long short-term memory, appendix A.1",
        note=(
            "Squashing functions as published, in [-2, 2] and [-1, 1]. The paper's learning rule lets errors "
            "flow back through the cell state only; here the gradient is exact. Each memory cell is a block "
            "of its own."
        ),
    )
)

CELLS.define(
    Cell(
        name="lstm-relevance",
        state="h c",
        equations="""
            u = sigmoid(W_u x + U_u h + b_u)
            f = sigmoid(W_f x + U_f h + b_f)
            o = sigmoid(W_o x + U_o h + b_o)
            r = sigmoid(W_r x + U_r h + b_r)
            g = phi(W_g x + U_g (r*h) + b_g)
            c' = u*g + f*c
            h' = o*c'
        """,
        forget_gate="f",
        input_gate="u",
        summary="An LSTM whose candidate sees the past through a relevance gate",
        source="Amidi & Amidi (2019), Recurrent neural networks cheatsheet, Stanford CS 230",
        note="As in the lecture notes: no nonlinearity between the cell state and the output.",
    )
)

CELLS.define(
    Cell(
        name="janet",
        state="h",
        equations="""
            f = W_f x + U_f h + b_f
            g = phi(W_g x + U_g h + b_g)
            h' = sigmoid(f)*h + (1 - sigmoid(f - 1))*g
        """,
        forget_gate="f",
        summary="An LSTM with the forget gate alone",
        source="van der Westhuizen & Lasenby (2018), The unreasonable effectiveness of the forget gate",
        note="beta = 1 as in the source: more is kept and let in than the gate alone would.",
    )
)

CELLS.define(
    Cell(
        name="slstm",
        state="h c n m",
        equations="""
            i = W_i x + U_i h + b_i
            f = m - softplus(-(W_f x + U_f h + b_f))
            m' = i + step(n)*relu(f - i)
            e = exp(-relu(i - f))
            c' = e*c + exp(i - m')*phi(W_z x + U_z h + b_z)
            n' = e*n + exp(i - m')
            h' = sigmoid(W_o x + U_o h + b_o)*c'/n'
        """,
        forget_gate="f",
        input_gate="i",
        summary="Exponential gates, a normalizer and a stabilizer",
        source="Beck et al. (2024), xLSTM: extended long short-term memory",
        note=(
            "Forget gate sigmoid, as in the published code (log sigmoid(a) = -softplus(-a)); m' is i at "
            "the very first step, where n is 0, else the larger of i and f. What is kept, e^(f - m') = "
            "e^-relu(i - f), is at most 1, as the authors' later code has it: a small first i would give "
            "infinity times zero. One head."
        ),
    )
)

CELLS.define(
    Cell(
        name="minlstm",
        state="h",
        equations="""
            d = -softplus(-(W_f x + b_f)) + softplus(-(W_i x + b_i))
            f = sigmoid(d)
            i = sigmoid(-d)
            a = W_h x + b_h
            g = (1 - step(-a))*(a + 0.5) + step(-a)*sigmoid(a)
            h' = f*h + i*g
        """,
        forget_gate="f",
        input_gate="i",
        summary="Gates that see the input alone, normalized to add up to 1",
        source="Feng et al. (2024), Were RNNs all we needed?",
        note=(
            "The candidate is a + 1/2 from 0 on, sigmoid(a) below. No gate sees the state. f is the "
            "source's f/(f + i), in its form by logarithms: log f - log i = d, however small both are."
        ),
    )
)

CELLS.define(
    Cell(
        name="mlstm",
        state="h c",
        equations="""
            m = (W_m x)*(U_m h)
            i = sigmoid(W_i x + U_i m + b_i)
            f = sigmoid(W_f x + U_f m + b_f)
            g = phi(W_g x + U_g m + b_g)
            o = sigmoid(W_o x + U_o m + b_o)
            c' = f*c + i*g
            h' = o*phi(c')
        """,
        forget_gate="f",
        input_gate="i",
        summary="Multiplicative LSTM: the transition depends on the input",
        source="Krause, Lu, Murray & Renals (2016), Multiplicative LSTM for sequence modelling",
        note="The form of the authors' later code; from a zero state the first m is zero.",
    )
)

CELLS.define(
    Cell(
        name="lstm-wm",
        state="h c",
        equations="""
            i = sigmoid(W_i x + U_i h + tanh(U_ci c) + b_i)
            f = sigmoid(W_f x + U_f h + tanh(U_cf c) + b_f)
            g = phi(W_g x + U_g h + b_g)
            c' = f*c + i*g
            o = sigmoid(W_o x + U_o h + tanh(U_co c') + b_o)
            h' = o*phi(c')
        """,
        forget_gate="f",
        input_gate="i",
        summary="Working memory connections: gates see the cell state through squashed matrices",
        source="Landi, Baraldi, Cornia & Cucchiara (2021), Working memory connections for LSTM",
        note="The candidate is read in a port's code (its documentation leaves U_g h out).",
    )
)

CELLS.define(
    Cell(
        name="nas",
        state="h c",
        equations="""
            l_1 = phi(sigmoid(W_1 x + U_1 h)*relu(W_2 x + U_2 h))
            l_2 = phi(sigmoid(W_3 x + U_3 h) + relu((W_4 x)*(U_4 h)))
            l_3 = phi(phi(W_5 x + U_5 h)*sigmoid(W_6 x + U_6 h))
            l_4 = sigmoid(phi(W_7 x + U_7 h) + sigmoid(W_8 x + U_8 h))
            c' = phi(l_1 + c)*l_2
            h' = phi(c'*phi(l_3 + l_4))
        """,
        summary="Found by architecture search: eight products in a tree",
        source="Zoph & Le (2017), Neural architecture search with reinforcement learning",
        note="Wiring of TensorFlow's NASCell, which has no biases by default.",
    )
)

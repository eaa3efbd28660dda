"""Gated cells of other designs, each with what its authors left out or added."""

from study.cells import CELLS
from study.language.cell import Cell
from study.language.forms import Shared

CELLS.define(
    Cell(
        name="ugrnn",
        state="h",
        equations="""
            g = sigmoid(W_g x + U_g h + b_g)
            n = phi(W_n x + U_n h + b_n)
            h' = g*h + (1 - g)*n
        """,
        forget_gate="g",
        summary="Update gate RNN: a GRU without the reset gate",
        source="Collins, Sohl-Dickstein & Sussillo (2017), Capacity and trainability in RNNs",
    )
)

CELLS.define(
    Cell(
        name="intersection",
        state="y h",
        equations="""
            e = W_e x + b_e
            u = relu(U_xu e + U_u h + b_u)
            n = phi(U_xn e + U_n h + b_n)
            a = sigmoid(U_xa e + U_a h + b_a)
            g = sigmoid(U_xg e + U_g h + b_g)
            h' = g*h + (1 - g)*n
            y' = a*e + (1 - a)*u
        """,
        forget_gate="g",
        summary="Intersection (+) RNN: gated in time and in depth",
        source="Collins, Sohl-Dickstein & Sussillo (2017), Capacity and trainability in RNNs",
        note="The input is first brought to the state's width, e = W_e x + b_e. y does not return.",
    )
)

CELLS.define(
    Cell(
        name="cfn",
        state="h",
        equations="""
            f = sigmoid(W_f x + U_f h + b_f)
            i = sigmoid(W_i x + U_i h + b_i)
            h' = f*phi(h) + i*phi(W x)
        """,
        forget_gate="f",
        input_gate="i",
        summary="Chaos-free network: without input the state dies out in every case",
        source="Laurent & von Brecht (2017), A recurrent neural network without chaos",
    )
)

CELLS.define(
    Cell(
        name="ligru",
        state="h",
        equations="""
            z = sigmoid(W_z x + U_z h + b_z)
            n = phi(W_n x + U_n h + b_n)
            h' = z*h + (1 - z)*n
        """,
        forget_gate="z",
        summary="Light GRU: no reset gate; made for ReLU and batch normalization",
        source=(
            "Ravanelli, Brakel, Omologo & Bengio (2018), Light gated recurrent units for speech "
            "recognition"
        ),
        note=(
            "With phi = relu the source's cell, less the batch normalization of W x, whose shift the "
            "biases stand for; so its equations are ugrnn's."
        ),
    )
)

CELLS.define(
    Cell(
        name="lightru",
        state="h",
        equations="""
            n = phi(W_n x)
            f = sigmoid(W_f x + U_f h + b_f)
            h' = (1 - f)*h + f*n
        """,
        update_gate="f",
        summary="Light recurrent unit: one matrix on the state, in the gate",
        source="Ye et al. (2024), Light recurrent unit, Electronics 13(16)",
        note="Read in RecurrentLayers.jl's documentation and code, not in the paper.",
    )
)

CELLS.define(
    Cell(
        name="fastgrnn",
        state="h",
        equations="""
            m = sigmoid(p_zeta)
            n = sigmoid(p_nu)
            z = sigmoid(W x + U h + b_z)
            g = phi(W x + U h + b_h)
            h' = (m*(1 - z) + n)*g + z*h
        """,
        forget_gate="z",
        forms={"p_zeta": Shared(), "p_nu": Shared()},
        starts={"p_zeta": 1.0, "p_nu": -4.0},
        summary="Gate and candidate share their matrices",
        source="Kusupati et al. (2018), FastGRNN: a fast, accurate, stable and tiny kilobyte sized GRNN",
        note="The authors' code, where the two numbers pass through a logistic and biases start at 1.",
    )
)

CELLS.define(
    Cell(
        name="star",
        state="h",
        equations="""
            a = sigmoid(W_a x + U_a h + b_a)
            z = phi(W_z x + b_z)
            h' = phi((1 - a)*h + a*z)
        """,
        update_gate="a",
        summary="STAckable recurrent cell: one gate, and a squashing of the state itself",
        source="Turkoglu, D'Aronco, Wegner & Schindler (2021), Gating revisited",
    )
)

CELLS.define(
    Cell(
        name="atr",
        state="h",
        equations="""
            u = W x
            v = U h + b
            h' = sigmoid(u + v)*u + sigmoid(u - v)*h
        """,
        summary="Twin gates from the sum and the difference of two products",
        source="Zhang et al. (2018), Simplifying NMT with addition-subtraction twin-gated recurrent networks",
        note="The paper prints no bias; the authors' code has one, in U h.",
    )
)

_GATE = "0.5 + 0.5*hardtanh(0.4*(W_z x + U_z h + b_z))"

CELLS.define(
    Cell(
        name="sgu",
        state="h",
        equations=f"""
            u = W_g x + b_g
            g = phi(U_g (u*h))
            z = {_GATE}
            h' = (1 - z)*h + z*softplus(g*h)
        """,
        update_gate="z",
        summary="Simple gated unit: the input multiplies the state before the matrix",
        source="Gao & Glowacka (2016), Deep gate recurrent neural network",
        note="The hard sigmoid is the one of that time, 0.2 a + 0.5 in [0, 1].",
    )
)

CELLS.define(
    Cell(
        name="dsgu",
        state="h",
        equations=f"""
            u = W_g x + b_g
            g = phi(U_g (u*h))
            z = {_GATE}
            h' = (1 - z)*h + z*sigmoid(U_o (g*h))
        """,
        update_gate="z",
        summary="Deep simple gated unit: one matrix more on the way out",
        source="Gao & Glowacka (2016), Deep gate recurrent neural network",
        note="The hard sigmoid is the one of that time, 0.2 a + 0.5 in [0, 1].",
    )
)

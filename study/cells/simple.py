"""Cells without gates, and those whose one gate is a leak."""

from study.cells import CELLS
from study.language.cell import Cell
from study.language.forms import Orthogonal, Shared

CELLS.define(
    Cell(
        name="elman",
        state="h",
        equations="h' = phi(W x + U h + b)",
        summary="The simple recurrent network: one matrix carries the state",
        source="Elman (1990), Finding structure in time, Cognitive Science 14",
    )
)

CELLS.define(
    Cell(
        name="jordan",
        state="y h",
        equations="""
            h' = phi(W x + U y + b)
            y' = phi(U_y h' + b_y)
        """,
        summary="The cell's output, not its hidden state, returns",
        source="Jordan (1986), Attractor dynamics and parallelism in a connectionist sequential machine",
        note=(
            "As textbooks have it. Jordan's own context units also kept a fixed share of their "
            "previous value. The output returned is the cell's, H wide; the task's readout follows it."
        ),
    )
)

CELLS.define(
    Cell(
        name="output-recurrent",
        state="y h",
        equations="""
            h' = phi(W x + U y + b)
            y' = U_y h' + b_y
        """,
        summary="Only a linear output returns",
        source="Goodfellow, Bengio & Courville (2016), Deep learning, section 10.2, figure 10.4",
        note="Its hidden state depends on the past through the output alone; jordan squashes it too.",
    )
)

CELLS.define(
    Cell(
        name="linear",
        state="h",
        equations="h' = W x + U h + b",
        summary="No nonlinearity: the gradient's decay is that of the powers of U",
        source=(
            "Pascanu, Mikolov & Bengio (2013), On the difficulty of training recurrent neural networks, "
            "section 2.1, where it is analysed"
        ),
        note="An Elman cell with phi = identity.",
    )
)

CELLS.define(
    Cell(
        name="orthogonal-rnn",
        state="h",
        equations="h' = phi(W x + U h + b)",
        summary="An Elman cell whose U is kept orthogonal",
        source="Lezcano-Casado & Martínez-Rubio (2019), Cheap orthogonal constraints in neural networks",
        note=(
            "torch's own parametrization, U = B exp(A) with A skew, does it; the published expRNN has "
            "no bias and takes modReLU."
        ),
        forms={"U": Orthogonal()},
    )
)

CELLS.define(
    Cell(
        name="lt-rnn",
        state="h",
        equations="h' = phi(W x + b) + U h",
        summary="The nonlinearity acts on the input alone; the past is carried linearly",
        source="Henaff, Szlam & LeCun (2016), Recurrent orthogonal networks and long-memory tasks",
        note="The source starts U orthogonal or as the identity.",
    )
)

CELLS.define(
    Cell(
        name="leaky",
        state="h",
        equations="""
            a = sigmoid(p_a)
            h' = a*phi(W x + U h + b) + (1 - a)*h
        """,
        starts={"p_a": 0.0},
        summary="Each unit has a learned time constant 1/a",
        source="Tallec & Ollivier (2018), Can recurrent neural networks warp time?",
        note=(
            "The source's leak is in [0, 1]; here the logistic of a trained number keeps it there. With "
            "a = 1 an Elman cell."
        ),
    )
)

CELLS.define(
    Cell(
        name="gated-leaky",
        state="h",
        equations="""
            g = sigmoid(W_g x + U_g h + b_g)
            h' = g*phi(W x + U h + b) + (1 - g)*h
        """,
        update_gate="g",
        summary="A leak that input and state control, unit by unit",
        source="Tallec & Ollivier (2018), Can recurrent neural networks warp time?",
    )
)

CELLS.define(
    Cell(
        name="scrn",
        state="h s",
        equations="""
            s' = 0.05*(W_s x) + 0.95*s
            h' = sigmoid(U_p s' + W x + U h)
        """,
        summary="Slow context units beside the hidden ones",
        source="Mikolov et al. (2015), Learning longer memory in recurrent neural networks",
        note=(
            "The decay is fixed at .95, no biases. In the source the output also reads s; here the "
            "readout reads h. The paper gives h the new s (the published code the old one)."
        ),
    )
)

CELLS.define(
    Cell(
        name="minimal-rnn",
        state="h",
        equations="""
            z = phi(W_z x + b_z)
            u = sigmoid(U_h h + U_z z + b_u)
            h' = u*h + (1 - u)*z
        """,
        forget_gate="u",
        summary="An encoded input and one gate; no matrix between state and candidate",
        source="Chen (2017), MinimalRNN: toward more interpretable and trainable recurrent networks",
    )
)

CELLS.define(
    Cell(
        name="fastrnn",
        state="h",
        equations="""
            a = sigmoid(p_alpha)
            d = sigmoid(p_beta)
            h' = a*phi(W x + U h + b) + d*h
        """,
        forms={"p_alpha": Shared(), "p_beta": Shared()},
        starts={"p_alpha": -3.0, "p_beta": 3.0},
        summary="A residual connection weighted by two trained numbers",
        source="Kusupati et al. (2018), FastGRNN: a fast, accurate, stable and tiny kilobyte sized GRNN",
        note="The numbers pass through a logistic as in the authors' code, whose biases start at 1.",
    )
)

CELLS.define(
    Cell(
        name="indrnn",
        state="h",
        equations="h' = phi(W x + p_u*h + b)",
        starts={"p_u": (0.0, 1.0)},
        summary="Each unit hears only itself; made for ReLU and depth",
        source="Li et al. (2018), Independently recurrent neural network (IndRNN)",
        note="The source takes ReLU and keeps |u| below 2^(1/T), which is not enforced here.",
    )
)

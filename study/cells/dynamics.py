"""Cells that discretize a differential equation: antisymmetric, oscillators, several time scales."""

from study.cells import CELLS
from study.language.cell import Cell
from study.language.forms import Antisymmetric

_ANTISYMMETRIC = (
    "Chang, Chen, Haber & Chi (2019), AntisymmetricRNN: a dynamical system view on RNNs"
)
_STEP = "Step size and diffusion, both 0.01 here, are hyperparameters of the source."

CELLS.define(
    Cell(
        name="antisymmetric",
        state="h",
        equations="h' = h + 0.01*phi(U h + W x + b)",
        forms={"U": Antisymmetric(0.01)},
        summary="A residual step along an antisymmetric field, slightly damped",
        source=_ANTISYMMETRIC,
        note=_STEP,
    )
)

CELLS.define(
    Cell(
        name="residual",
        state="h",
        equations="h' = h + 0.01*phi(U h + W x + b)",
        summary="The antisymmetric cell's residual step with a matrix that is free",
        source=_ANTISYMMETRIC,
        note=(
            "Not in the source. It tells what of the antisymmetric cell's behaviour comes from the form of "
            "its step, and what from its matrix."
        ),
    )
)

CELLS.define(
    Cell(
        name="gated-antisymmetric",
        state="h",
        equations="""
            z = sigmoid(U h + W_z x + b_z)
            h' = h + 0.01*z*phi(U h + W x + b)
        """,
        forms={"U": Antisymmetric(0.01)},
        summary="The same with a gate on the step, which shares the matrix",
        source=_ANTISYMMETRIC,
        note=_STEP,
    )
)

CELLS.define(
    Cell(
        name="cornn",
        state="y z",
        equations="""
            z' = z + 0.042*(phi(U_y y + U_z z + W x + b) - 2.7*y - 4.7*z)
            y' = y + 0.042*z'
        """,
        summary="Coupled oscillators, driven and damped",
        source="Rusch & Mishra (2021), Coupled oscillatory recurrent neural network (coRNN)",
        note=(
            "Step .042, frequency 2.7 and damping 4.7 are the authors' for digits pixel by pixel; they tune "
            "the three for each task. Damping at the old z, as in their code."
        ),
    )
)

CELLS.define(
    Cell(
        name="unicornn",
        state="y z",
        equations="""
            d = 0.2*sigmoid(p_c)
            z' = z - d*(phi(p_w*y + W x + b) + y)
            y' = y + d*z'
        """,
        starts={"p_w": (0.0, 1.0), "p_c": (-0.1, 0.1)},
        summary="Undamped oscillators, each on its own and with its own clock",
        source="Rusch & Mishra (2021), UnICORNN: a recurrent model for learning very long time dependencies",
        note="Step .2 and frequency 1 are ours; the authors tune both, and stack layers.",
    )
)

CELLS.define(
    Cell(
        name="lem",
        state="y z",
        equations="""
            a = sigmoid(W_a x + U_a y + b_a)
            d = sigmoid(W_d x + U_d y + b_d)
            z' = (1 - d)*z + d*phi(W_z x + U_z y + b_z)
            y' = (1 - a)*y + a*phi(W_y x + U_y z' + b_y)
        """,
        update_gate="a",
        summary="Long expressive memory: two states, each with learned time steps",
        source="Rusch, Mishra, Erichson & Mahoney (2022), Long expressive memory for sequence modeling",
        note="The largest time step is 1, the authors' default.",
    )
)

CELLS.define(
    Cell(
        name="lru",
        state="y re im",
        equations="""
            r = exp(-exp(p_nu))
            u = r*cos(exp(p_theta))
            v = r*sin(exp(p_theta))
            g = exp(p_gamma)
            re' = u*re - v*im + g*(W_re x)
            im' = v*re + u*im + g*(W_im x)
            y' = U_re re' - U_im im' + W_d x
        """,
        starts="lru-ring",
        summary="Linear recurrent unit: complex diagonal, stable by construction, linear in the state",
        source="Orvieto et al. (2023), Resurrecting recurrent neural networks for long sequences",
        note=(
            "h = re + i im, lambda = u + i v. The source's D is a diagonal between equal widths, here a "
            "matrix from the input. Linear in time: it needs a nonlinear readout or several layers."
        ),
    )
)

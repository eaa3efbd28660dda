"""Cells with connections that reach several steps back, or that act only now and then."""

from study.cells import CELLS
from study.language.cell import Cell
from study.language.forms import Periods, SlowerOnly

_MODULES = 8
_DELAY = 10


def _skip(k: int) -> Cell:
    return Cell(
        name=f"skip-{k}",
        state="h",
        equations=f"h' = phi(W x + U h + U_k h[t-{k}] + b)",
        summary=f"An Elman cell with a second connection from {k} steps back",
        source=(
            "Lin, Horne, Tino & Giles (1996), Learning long-term dependencies in NARX recurrent "
            "neural networks"
        ),
        note=(
            "k is yours to choose, 1 to 64: skip-2, skip-3, …. From a zero state the first k steps see "
            "zeros there."
        ),
    )


def _skip_only(k: int) -> Cell:
    return Cell(
        name=f"skip-only-{k}",
        state="h",
        equations=f"h' = phi(W x + U h[t-{k}] + b)",
        summary=f"Connections of one step removed: the state returns {k} steps later",
        source="Goodfellow, Bengio & Courville (2016), Deep learning, section 10.9.3",
        note="k is yours to choose, 1 to 64. It is k interleaved Elman cells; skip-only-1 is one.",
    )


CELLS.family("skip", _skip, listed=5)
CELLS.family("skip-only", _skip_only, listed=5)

CELLS.define(
    Cell(
        name="clockwork",
        state="h",
        equations="""
            r = t/k - floor(t/k)
            u = 1 - step(r)
            h' = u*phi(W x + U h + b) + (1 - u)*h
        """,
        forms={"k": Periods(_MODULES), "U": SlowerOnly(_MODULES)},
        summary="Modules with periods 1, 2, 4, …; each hears itself and slower ones",
        source="Koutník, Greff, Gomez & Schmidhuber (2014), A clockwork RNN",
        note=(
            f"{_MODULES} modules of consecutive units, periods 1 to {2 ** (_MODULES - 1)}. Steps count "
            "from 0, so that every module acts at the first one. The paper prints no bias."
        ),
    )
)

CELLS.define(
    Cell(
        name="taugru",
        state="h",
        equations=f"""
            u = phi(W_u x + U_u h + b_u)
            z = phi(W_z x + U_z h[t-{_DELAY + 1}] + b_z)
            g = sigmoid(W_g x + U_g h + b_g)
            a = sigmoid(W_a x + U_a h + b_a)
            h' = (1 - g)*h + g*(u + a*z)
        """,
        update_gate="g",
        summary="Gated, with weighted feedback from a fixed number of steps before",
        source="Erichson, Lim & Mahoney (2022), Gated RNNs with weighted time-delay feedback",
        note=(
            f"The delay is {_DELAY} steps; the source tunes it. The formulas print no biases; one a gate "
            "here. Read in torchrecurrent's port."
        ),
    )
)

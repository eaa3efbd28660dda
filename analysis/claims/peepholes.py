"""Claim 5: peepholes help precise timing."""

from analysis.claims.claim import Claim, define

define(
    Claim(
        number=5,
        name="peepholes",
        text="Peephole connections help where time must be measured precisely.",
        source=(
            "Gers, Schraudolph & Schmidhuber (2002), Learning precise timing with LSTM recurrent "
            "networks"
        ),
        left_out="None of our tasks asks for precise timing yet.",
    )
)

"""Claim 13: a small spectral margin converges faster than strict orthogonality."""

from analysis.claims.claim import Claim, define

define(
    Claim(
        number=13,
        name="spectral-margin",
        text=(
            "Letting the singular values move within a small margin of 1 converges faster than "
            "strict orthogonality."
        ),
        source=(
            "Vorontsov, Trabelsi, Kadoury & Pal (2017), On orthogonality and learning recurrent "
            "networks with long term dependencies"
        ),
        left_out=(
            "The margin holds at the start of training only here; no cell keeps it while it trains."
        ),
    )
)

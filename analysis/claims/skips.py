"""Claim 22: skip connections lengthen the gradient's half-life in proportion."""

import numpy as np
import pandas as pd

from analysis.claims.claim import Answer, Claim, NotTested, Studies, define
from analysis.claims.evidence import runs
from analysis.claims.questions import within

STUDY = "claim-skips"
LOW, HIGH = 0.8, 1.25


def judge(studies: Studies) -> list[Answer]:
    return [
        _slope(studies, "skip-only", (1, 2, 4, 8, 16)),
        _slope(studies, "skip", (2, 4, 8, 16)),
    ]


def _slope(studies: Studies, family: str, lengths: tuple[int, ...]) -> Answer:
    """Of every seed the slope of ln half-life against ln length; 1 is in proportion."""
    lives = pd.DataFrame(
        {k: runs(studies, STUDY, f"{family}-{k}")["half_life_init"] for k in lengths}
    ).replace(np.inf, np.nan)
    lives = lives.dropna()
    if len(lives) < 5:
        raise NotTested(f"The gradient of {family} does not halve in too many runs of {STUDY}.")
    x = np.log(lengths)
    slopes = np.array([np.polyfit(x, row, 1)[0] for row in np.log(lives.to_numpy(dtype=float))])
    sentence = (
        f"{family}: from {lengths[0]} to {lengths[-1]} steps the half-life goes from "
        f"{lives[lengths[0]].median():.3g} to {lives[lengths[-1]].median():.3g}, as the length to the power "
        f"of {slopes.mean():.2f} ± {slopes.std(ddof=1):.2f}"
    )
    return within(slopes, LOW, HIGH, sentence)


define(
    Claim(
        number=22,
        name="skips",
        text=(
            "A skip connection lengthens the half-life of the gradient in proportion to its length."
        ),
        source=(
            "Lin, Horne, Tino & Giles (1996), Learning long-term dependencies in NARX recurrent "
            "neural networks"
        ),
        studies=(STUDY,),
        supports=(
            "Before training, the half-life goes as the skip's length to a power between 0.8 and "
            "1.25, beside the usual connection and in place of it."
        ),
        contradicts="The power lies outside in one of the two.",
        judge=judge,
        measure="half_life_init",
    )
)

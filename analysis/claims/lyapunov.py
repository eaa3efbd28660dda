"""Claim 14: an initial Lyapunov exponent near 0 foretells that a network trains."""

import numpy as np
from scipy import stats

from analysis.claims.claim import Answer, Claim, Studies, define, percent
from analysis.claims.evidence import runs
from analysis.claims.questions import better
from analysis.data.wording import short

STUDY = "claim-lyapunov"
GAINS = ("0.4", "0.6", "0.8", "1.0", "1.2", "1.6", "2.5")


def judge(studies: Studies) -> list[Answer]:
    arms = [runs(studies, STUDY, f"gain-{gain}") for gain in GAINS]
    exponents = np.array([arm["largest_exponent_init"].median() for arm in arms])
    places = np.array([arm["place"].mean() for arm in arms])
    distance = np.abs(exponents)
    # Exact: seven starts have 5,040 orders.
    found = stats.permutation_test(
        (distance,),
        lambda x: stats.spearmanr(x, places).statistic,
        permutation_type="pairings",
        n_resamples=np.inf,
    )
    rho, p = float(found.statistic), float(found.pvalue)
    sentence = (
        f"over seven starts with λ₁ from {short(float(exponents.min()))} to {short(float(exponents.max()))}, "
        f"|λ₁| against how badly the runs end: ρ = {rho:.2f} (exact permutation test, {percent(p)})"
    )
    nearest = GAINS[int(distance.argmin())]
    extremes = [
        better(studies, STUDY, f"gain-{nearest}", f"gain-{GAINS[end]}")
        for end in (0, -1)
        if GAINS[end] != nearest
    ]
    return [Answer(sentence, p if rho > 0 else 1.0, p if rho < 0 else 1.0), *extremes]


define(
    Claim(
        number=14,
        name="lyapunov",
        text=(
            "Networks whose largest Lyapunov exponent is near 0 before training are those that "
            "train."
        ),
        source=(
            "Vogt, Touzel, Shlizerman & Lajoie (2022), On Lyapunov exponents for RNNs; Engelken, "
            "Wolf & Abbott (2023), Lyapunov spectra of chaotic recurrent neural networks"
        ),
        studies=(STUDY,),
        supports=(
            "Over seven starts the distance of λ₁ from 0 goes with a worse outcome (Spearman, "
            "exact), and the start nearest to 0 does better than the smallest and than the "
            "largest gain."
        ),
        contradicts=(
            "The correlation is the other way round, or an extreme does better than the start "
            "nearest to 0."
        ),
        judge=judge,
    )
)

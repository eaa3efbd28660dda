"""Claim 18: every threshold from half to ten times the mean norm converges."""

import numpy as np

from analysis.claims.claim import Answer, Claim, NotTested, Studies, define
from analysis.claims.evidence import runs
from analysis.claims.questions import usually_solves
from analysis.data.wording import listing, short

STUDY = "claim-thresholds"
RANGE = (0.5, 10.0)  # times the mean norm


def judge(studies: Studies) -> list[Answer]:
    inside = [name for name, ratio in _ratios(studies).items() if RANGE[0] <= ratio <= RANGE[1]]
    if not inside:
        raise NotTested(f"{STUDY} has no threshold from 0.5 to 10 times the mean norm.")
    return [usually_solves(studies, STUDY, name) for name in inside]


def _ratios(studies: Studies) -> dict[str, float]:
    """Of every arm, its threshold over the mean norm of the gradient before clipping, median of runs."""
    results = studies[STUDY]
    curves = results.curves
    norms = curves[(curves["key"] == "train/grad_norm") & (curves["role"] == "confirmation")]
    means = (
        norms.groupby(["architecture", "run_id"])["value"].mean().groupby("architecture").median()
    )
    found = {}
    for name in results.architectures:
        threshold = float(name.split(" ")[-1])
        found[name] = threshold / float(means.get(name, np.nan))
    return found


def asides(studies: Studies) -> list[str]:
    told = []
    for name, ratio in _ratios(studies).items():
        table = runs(studies, STUDY, name)
        middle = table["steps_to_solve"].median()
        solved = int(table["solved"].sum())
        when = f" in {short(float(middle))} updates" if solved else ""
        norms = f"{short(ratio, 2)} times the mean norm"
        told.append(f"{name}, {norms}: {solved} of {len(table)}{when}")
    return [listing(told)]


define(
    Claim(
        number=18,
        name="thresholds",
        text=(
            "Any clipping threshold from 0.5 to 10 times the mean norm of the gradient converges; "
            "only the speed differs."
        ),
        source=(
            "Pascanu, Mikolov & Bengio (2013), On the difficulty of training recurrent neural "
            "networks"
        ),
        studies=(STUDY,),
        supports=(
            "Every arm whose threshold is within that range, by the mean norm in its own runs, "
            "solves the task in most runs."
        ),
        contradicts="An arm within the range solves in fewer than half of its runs.",
        left_out="One learning rate for all thresholds, 0.03.",
        judge=judge,
        asides=asides,
    )
)

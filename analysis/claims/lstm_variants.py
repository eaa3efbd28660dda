"""Claim 2: none of eight variants beats the vanilla LSTM, and the learning rate matters most."""

import numpy as np

from analysis.claims.claim import Answer, Claim, NotTested, Studies, define, percent
from analysis.claims.questions import better, no_worse
from analysis.data.wording import listing, short
from analysis.findings.summary import importances
from analysis.statistics.sign_test import Split, sign_test

STUDY = "claim-lstm-variants"
VARIANTS = ("NIG", "NFG", "NOG", "NIAF", "NOAF", "NP", "CIFG", "FGR")


def judge(studies: Studies) -> list[Answer]:
    none_better = [no_worse(studies, STUDY, "V", variant, factor=1.25) for variant in VARIANTS]
    worst = [better(studies, STUDY, "V", variant) for variant in ("NFG", "NOAF")]
    return [*none_better, *worst, _learning_rate(studies)]


def _learning_rate(studies: Studies) -> Answer:
    """Does the learning rate's main effect exceed each other setting's, in most of the nine arms?"""
    found = importances(studies[STUDY])
    table = found[found["refusal"] == ""].pivot(
        index="architecture", columns="parameter", values="fraction"
    )
    if table.empty or "train.lr" not in table or len(table) < len(VARIANTS):
        raise NotTested(f"{STUDY} has too few trials to tell what the settings explain.")
    rest = table.drop(columns="train.lr").max(axis="columns")
    split = Split(int((table["train.lr"] > rest).sum()), int((table["train.lr"] < rest).sum()))
    means = [f"{name} {short(float(np.mean(table[name])), 2)}" for name in table]
    p = sign_test(split)
    ahead = split.better > split.worse
    return Answer(
        f"the learning rate explains more than any other setting in {split.better} of {split.pairs} arms "
        f"({percent(p)}; mean share of the variance: {listing(means)})",
        p if ahead else 1.0,
        1.0 if ahead else p,
    )


define(
    Claim(
        number=2,
        name="lstm-variants",
        text=(
            "None of eight variants beats the vanilla LSTM; the forget gate and the output "
            "activation matter most; the learning rate explains most of the variance and momentum "
            "almost none."
        ),
        source=(
            "Greff, Srivastava, Koutník, Steunebrink & Schmidhuber (2017), LSTM: a search space "
            "odyssey"
        ),
        studies=(STUDY,),
        supports=(
            "V is no worse than each variant, with a margin of 1.25 times the updates; V does "
            "better than NFG and than NOAF; and in most arms the learning rate's main effect "
            "(fANOVA) is the largest."
        ),
        contradicts=(
            "A variant needs less than 1/1.25 of V's updates, or solves more often by 0.3; NFG or "
            "NOAF does better than V; or another setting explains more in most arms."
        ),
        left_out=(
            "One small task, 30 trials an arm, batches of 8 and clipping; the source had three "
            "large ones, 200 trials and single sequences."
        ),
        judge=judge,
    )
)

"""Claim 29: what the gradient is before training, for ReLU, the identity and the LSTM's cell state."""

import pandas as pd

from analysis.claims.claim import Answer, Claim, NotTested, Studies, define, percent
from analysis.claims.evidence import runs
from analysis.claims.questions import within
from analysis.data.wording import ten_to
from analysis.statistics.sign_test import Split, sign_test

STUDY = "claim-untrained-gradient"
RATIO = "log10_ratio_at_lag_init"


def judge(studies: Studies) -> list[Answer]:
    return [
        *(
            _larger(studies, f"relu-{start}", f"tanh-{start}")
            for start in ("uniform", "orthogonal", "he")
        ),
        _kept(studies, "relu-identity", "ReLU from the identity"),
        _kept(studies, "lstm-forget", "an LSTM with a forget bias of 1"),
    ]


def asides(studies: Studies) -> list[str]:
    return [_kept(studies, arm, arm).sentence for arm in ("lstm-chrono", "tanh-identity")]


def _ratios(studies: Studies, arm: str) -> pd.Series:
    found = runs(studies, STUDY, arm)[RATIO].dropna()
    if len(found) < 5:
        raise NotTested(f"{STUDY} has too few measured gradients of {arm}.")
    return found


def _larger(studies: Studies, x: str, y: str) -> Answer:
    a, b = _ratios(studies, x), _ratios(studies, y)
    d = (a - b).dropna()
    split = Split(int((d > 0).sum()), int((d < 0).sum()), int((d == 0).sum()))
    p = sign_test(split)
    sentence = (
        f"at the task's lag {ten_to(float(a.median()))} of the gradient is left with {x}, "
        f"{ten_to(float(b.median()))} with {y} ({percent(p)})"
    )
    ahead = split.better > split.worse
    return Answer(sentence, p if ahead else 1.0, 1.0 if ahead else p)


def _kept(studies: Studies, arm: str, name: str) -> Answer:
    """Is the gradient at the task's lag within a factor of ten of that at lag 0?"""
    found = _ratios(studies, arm).clip(lower=-300)
    return within(
        found, -1.0, 1.0, f"with {name} {ten_to(float(found.mean()))} of the gradient is left"
    )


define(
    Claim(
        number=29,
        name="untrained-gradient",
        text=(
            "ReLU keeps the gradient from shrinking where tanh does not, the identity keeps it "
            "before training, and the LSTM's cell state lets it flow uninterrupted."
        ),
        source="teaching notes on recurrent networks; Le, Jaitly & Hinton (2015)",
        studies=(STUDY,),
        supports=(
            "With each of three starts more of the gradient is left with ReLU than with tanh at "
            "the lag of 99 steps; from the identity, and in an LSTM with a forget bias of 1, it "
            "stays within a factor of ten."
        ),
        contradicts=(
            "Tanh keeps more with one of the starts, or the identity or the LSTM loses or "
            "multiplies it by more than ten."
        ),
        judge=judge,
        asides=asides,
        measure=RATIO,
    )
)

"""Claim 17: clipping helps to fit, rather than to generalize."""

import pandas as pd

from analysis.claims.claim import Answer, Claim, NotTested, Studies, define
from analysis.claims.evidence import Pair, pair
from analysis.claims.questions import positive
from analysis.data.wording import short

STUDY = "claim-clipping-generalization"
LAST = 5  # evaluations at the end of training, whose mean training loss is taken


def judge(studies: Studies) -> list[Answer]:
    found = pair(studies, STUDY, "norm", "none")
    curves = studies[STUDY].curves
    losses = curves[curves["key"] == "train/loss"].sort_values("step")
    train = losses.groupby("run_id")["value"].apply(lambda values: values.tail(LAST).mean())
    fitted = _of(found, train, "one") - _of(found, train, "other")
    test = found.one["test_loss"] - found.other["test_loss"]
    both = pd.DataFrame({"train": fitted, "gap": test - fitted}).dropna()
    if len(both) < 5:
        raise NotTested(f"{STUDY} has too few runs with a training and a test loss.")
    train_falls, gap_falls = -both["train"], -both["gap"]
    return [
        positive(
            train_falls,
            f"clipping changes the training loss by {short(float(both['train'].mean()))}",
        ),
        positive(
            train_falls - gap_falls,
            f"and the gap between test and training by {short(float(both['gap'].mean()))}",
        ),
    ]


def _of(found: Pair, values: pd.Series, side: str) -> pd.Series:
    table: pd.DataFrame = getattr(found, side)
    return table["run_id"].map(values)


define(
    Claim(
        number=17,
        name="clipping-generalization",
        text="Clipping helps optimization rather than generalization.",
        source=(
            "Pascanu, Mikolov & Bengio (2013), On the difficulty of training recurrent neural "
            "networks"
        ),
        studies=(STUDY,),
        supports=(
            "With clipping the training loss is lower, and it falls by more than the gap between "
            "test and training loss (sign-flip tests over seeds)."
        ),
        contradicts=(
            "With clipping the training loss is higher, or the gap falls by more than the "
            "training loss."
        ),
        left_out="Digits read pixel by pixel, in place of music and text.",
        judge=judge,
        measure="test_loss",
    )
)

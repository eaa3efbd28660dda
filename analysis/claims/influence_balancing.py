"""Claim 19: truncation that is too short leads the wrong way, at every rate."""

from analysis.claims.claim import Answer, Claim, NotTested, Studies, define, holds
from analysis.claims.questions import usually_solves
from analysis.data.wording import listing, short

STUDY = "claim-influence-balancing"


def judge(studies: Studies) -> list[Answer]:
    return [
        _wrong_way(studies, "window-1"),
        _wrong_way(studies, "window-10"),
        usually_solves(studies, STUDY, "artbp"),
    ]


def _wrong_way(studies: Studies, arm: str) -> Answer:
    """Of every rate: is the last validation loss above the first, and no lower one ever seen?"""
    results = studies[STUDY]
    trials = results.trials[results.trials["architecture"] == arm]
    rate = "param.train.lr"
    if trials[rate].nunique() < 3:
        raise NotTested(f"{STUDY} has fewer than three learning rates of {arm} so far.")
    ended = trials[trials["outcome"].isin(("budget", "diverged", "solved"))]
    curves = results.curves
    first = curves[(curves["key"] == "validation/loss") & (curves["step"] == 0)]
    if first.empty:
        raise NotTested(f"{STUDY} has no loss of an untrained network.")
    untrained = float(first["value"].iloc[0])  # nothing is drawn: all start alike
    never = (ended["validation_loss"] >= untrained * (1 - 1e-6)) & ~ended["solved"]
    rates = [short(float(value)) for value in sorted(ended.loc[never, rate].astype(float))]
    return holds(
        bool(never.all()),
        f"with {arm} the loss never falls below that of the untrained network, {short(untrained)}, at "
        f"{int(never.sum())} of {len(ended)} rates ({listing(rates)})",
    )


define(
    Claim(
        number=19,
        name="influence-balancing",
        text=(
            "Truncation that is too short moves the parameter the wrong way, a lower rate does "
            "not help, and ARTBP converges."
        ),
        source="Tallec & Ollivier (2017), Unbiasing truncated backpropagation through time",
        studies=(STUDY,),
        supports=(
            "With windows of 1 and 10 steps no update at any rate brings the loss below its "
            "start, and ARTBP solves the task in most runs."
        ),
        contradicts=(
            "A short window improves on the start at some rate, or ARTBP fails in most runs."
        ),
        left_out=(
            "With truncation nothing is drawn, so every run at a rate is the same one and no p is "
            "told."
        ),
        judge=judge,
    )
)

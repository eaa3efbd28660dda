"""Claim 26: two-sequence is solved faster by guessing."""

from analysis.claims.claim import Answer, Claim, Studies, define
from analysis.claims.questions import better

STUDY = "claim-guessing"


def judge(studies: Studies) -> list[Answer]:
    return [better(studies, STUDY, "guessing", cell) for cell in ("lstm-1997", "lstm")]


define(
    Claim(
        number=26,
        name="guessing",
        text=(
            "The two-sequence problem is solved faster by random guessing of the weights than by "
            "gradient descent."
        ),
        source="Hochreiter & Schmidhuber (1997), Long short-term memory, experiment 3",
        studies=(STUDY,),
        supports=(
            "Guessing solves it with fewer sequences than an LSTM of 1997 and one with a forget "
            "gate, trained by Adam."
        ),
        contradicts="One of the two needs fewer.",
        judge=judge,
    )
)

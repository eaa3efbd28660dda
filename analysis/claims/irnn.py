"""Claim 8: the IRNN matches the LSTM on the adding problem, and tanh fails at 200 steps."""

from analysis.claims.claim import Answer, Claim, Studies, define
from analysis.claims.questions import no_worse, usually_fails

STUDY = "claim-irnn"


def judge(studies: Studies) -> list[Answer]:
    return [
        *(no_worse(studies, STUDY, "irnn", "lstm", task, factor=2.0) for task in ("100", "200")),
        usually_fails(studies, STUDY, "tanh", "200"),
    ]


define(
    Claim(
        number=8,
        name="irnn",
        text=(
            "The IRNN matches or beats the LSTM on the adding problem, where tanh fails from 200 "
            "steps on."
        ),
        source=(
            "Le, Jaitly & Hinton (2015), A simple way to initialize recurrent networks of "
            "rectified linear units"
        ),
        studies=(STUDY,),
        supports=(
            "At 100 and at 200 steps the IRNN is no worse than the LSTM, with a margin of twice "
            "the updates, and tanh solves 200 steps in fewer than half of its runs."
        ),
        contradicts=(
            "The IRNN solves less often by 0.3 or needs more than twice the updates, or tanh "
            "solves 200 steps in most runs."
        ),
        left_out="Lengths of 300 and 400 are not swept. Adam in place of SGD.",
        judge=judge,
    )
)

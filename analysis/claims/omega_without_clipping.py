"""Claim 16: the regularizer without clipping usually fails."""

from analysis.claims.claim import Answer, Claim, Studies, define
from analysis.claims.questions import better, usually_fails

STUDY = "claim-clipping-length"


def judge(studies: Studies) -> list[Answer]:
    return [
        usually_fails(studies, STUDY, "omega", "80"),
        better(studies, STUDY, "omega-clip", "omega", "80"),
    ]


define(
    Claim(
        number=16,
        name="omega-without-clipping",
        text="The regularizer against vanishing gradients usually fails without clipping.",
        source=(
            "Pascanu, Mikolov & Bengio (2013), On the difficulty of training recurrent neural "
            "networks"
        ),
        studies=(STUDY,),
        supports=(
            "At 80 steps it solves in fewer than half of the runs without clipping, and does "
            "better with it."
        ),
        contradicts="At 80 steps it solves in most runs without clipping, or does better without.",
        judge=judge,
    )
)

"""Claim 11: leaky networks cope with uniform warping, only gated ones with any."""

from analysis.claims.claim import Answer, Claim, Studies, define
from analysis.claims.questions import usually_fails, usually_solves

STUDY = "claim-warping"


def judge(studies: Studies) -> list[Answer]:
    return [
        usually_solves(studies, STUDY, "leaky", "uniform"),
        usually_fails(studies, STUDY, "leaky", "variable"),
        usually_solves(studies, STUDY, "gated", "uniform"),
        usually_solves(studies, STUDY, "gated", "variable"),
    ]


define(
    Claim(
        number=11,
        name="warping",
        text="Leaky networks solve uniformly warped sequences; variable warping takes gates.",
        source="Tallec & Ollivier (2018), Can recurrent neural networks warp time?",
        studies=(STUDY,),
        supports=(
            "The leaky network solves the uniform case in most runs and the variable case in "
            "fewer than half; the gated one solves both in most."
        ),
        contradicts=(
            "The leaky network fails at uniform warping or solves the variable case in most runs, "
            "or the gated one fails at either."
        ),
        judge=judge,
    )
)

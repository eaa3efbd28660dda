"""Claim 3: whether the forget gate is needed depends on the task."""

from analysis.claims.claim import Answer, Claim, Studies, define
from analysis.claims.questions import better, no_worse, usually_fails, usually_solves

STUDY = "claim-forgetting"


def judge(studies: Studies) -> list[Answer]:
    return [
        usually_solves(studies, STUDY, "NFG", "single"),
        no_worse(studies, STUDY, "NFG", "V", "single", factor=2.0),
        usually_solves(studies, STUDY, "V", "continual"),
        usually_fails(studies, STUDY, "NFG", "continual"),
        better(studies, STUDY, "V", "NFG", "continual"),
    ]


define(
    Claim(
        number=3,
        name="forgetting",
        text=(
            "The harm of removing the forget gate depends on the task: little where each sequence "
            "comes by itself, fatal in an endless stream."
        ),
        source=(
            "Gers, Schmidhuber & Cummins (2000), Learning to forget; Hochreiter & Schmidhuber "
            "(1997), Long short-term memory"
        ),
        studies=(STUDY,),
        supports=(
            "Without the gate the embedded Reber grammar is solved in most runs and within twice "
            "the updates; the continual one is solved in most runs with the gate, in few without."
        ),
        contradicts="The gate is needed for single strings too, or not needed for the stream.",
        judge=judge,
    )
)

"""Claim 6: gated cells beat tanh."""

from analysis.claims.claim import Answer, Claim, Studies, define
from analysis.claims.questions import better

STUDY = "claim-forget-bias"
TASKS = ("adding-50", "order-50")


def judge(studies: Studies) -> list[Answer]:
    return [
        better(studies, STUDY, gated, "elman", task)
        for task in TASKS
        for gated in ("lstm-b", "gru")
    ]


def asides(studies: Studies) -> list[str]:
    return [better(studies, STUDY, "gru", "lstm-b", task).sentence for task in TASKS]


define(
    Claim(
        number=6,
        name="gates-and-tanh",
        text="Gated cells beat the tanh network; between LSTM and GRU there is no winner.",
        source=(
            "Chung, Gulcehre, Cho & Bengio (2014), Empirical evaluation of gated recurrent neural "
            "networks on sequence modeling"
        ),
        studies=(STUDY,),
        supports=(
            "With 10,000 parameters each, the LSTM with a forget bias of 1 and the GRU do better "
            "than a tanh network that starts orthogonal, on both tasks."
        ),
        contradicts="The tanh network does better than one of them on a task.",
        left_out=(
            "That there is no winner cannot be tested as such; the GRU against the LSTM is told "
            "beside."
        ),
        judge=judge,
        asides=asides,
    )
)

"""Claim 1: a forget bias of 1 closes the LSTM's gap to the GRU."""

from analysis.claims.claim import Answer, Claim, Studies, define
from analysis.claims.questions import better, no_worse

STUDY = "claim-forget-bias"
TASKS = ("adding-50", "order-50")


def judge(studies: Studies) -> list[Answer]:
    gap = [better(studies, STUDY, "gru", "lstm-jozefowicz", task) for task in TASKS]
    closed = [no_worse(studies, STUDY, "lstm-b", "gru", task, factor=1.25) for task in TASKS]
    return gap + closed


define(
    Claim(
        number=1,
        name="forget-bias",
        text="A forget bias of 1 closes the gap of the LSTM to the GRU.",
        source=(
            "Jozefowicz, Zaremba & Sutskever (2015), An empirical exploration of recurrent "
            "network architectures"
        ),
        studies=(STUDY,),
        supports=(
            "On both tasks the GRU does better than the LSTM with a bias of 0, and the LSTM with "
            "a bias of 1 is no worse than the GRU, with a margin of 1.25 times the updates."
        ),
        contradicts=(
            "The GRU does worse than the LSTM with a bias of 0 on a task, or the bias leaves the "
            "LSTM behind by more than the margin."
        ),
        left_out=(
            "The order of harm of removing a gate is not judged here. The source's tasks were "
            "arithmetic, markup and text; ours are adding and temporal order."
        ),
        judge=judge,
    )
)

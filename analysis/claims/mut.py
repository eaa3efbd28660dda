"""Claim 7: the MUT cells do not uniformly beat the GRU."""

from analysis.claims.claim import Answer, Claim, Studies, define, some
from analysis.claims.questions import better, no_worse

STUDY = "claim-forget-bias"
TASKS = ("adding-50", "order-50")


def judge(studies: Studies) -> list[Answer]:
    return [_not_everywhere(studies, cell) for cell in ("mut1", "mut2", "mut3")]


def _not_everywhere(studies: Studies, cell: str) -> Answer:
    here = [no_worse(studies, STUDY, "gru", cell, task, factor=1.1) for task in TASKS]
    beaten = [better(studies, STUDY, cell, "gru", task) for task in TASKS]
    told = some(here, "; ".join(answer.sentence for answer in here))
    return Answer(told.sentence, told.p_for, max(b.p_for for b in beaten), told.needed)


define(
    Claim(
        number=7,
        name="mut",
        text="The cells MUT1, MUT2 and MUT3 do not beat the GRU on every task.",
        source=(
            "Jozefowicz, Zaremba & Sutskever (2015), An empirical exploration of recurrent "
            "network architectures"
        ),
        studies=(STUDY,),
        supports=(
            "For each of the three there is a task of our two on which the GRU is no worse, with "
            "a margin of 1.1 times the updates (Bonferroni over the tasks)."
        ),
        contradicts="One of the three does better than the GRU on both tasks.",
        left_out="Two tasks only, neither of them the source's.",
        judge=judge,
    )
)

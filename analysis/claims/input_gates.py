"""Claim 25: gates that see the input alone fail at parity."""

from analysis.claims.claim import Answer, Claim, Studies, define
from analysis.claims.questions import usually_fails, usually_solves

STUDY = "claim-input-gates"


def judge(studies: Studies) -> list[Answer]:
    return [
        *(usually_solves(studies, STUDY, cell) for cell in ("lstm", "gru")),
        *(usually_fails(studies, STUDY, cell) for cell in ("mingru", "minlstm", "lru")),
    ]


define(
    Claim(
        number=25,
        name="input-gates",
        text="Cells whose gates see the input alone fail at parity, where LSTM and GRU succeed.",
        source="Merrill, Petty & Sabharwal (2024), The illusion of state in state-space models",
        studies=(STUDY,),
        supports=(
            "LSTM and GRU solve parity of up to 10 steps in most runs; minGRU, minLSTM and the "
            "LRU in fewer than half."
        ),
        contradicts="LSTM or GRU fails in most runs, or one of the three solves it in most.",
        left_out=(
            "Strings are short, so that a cell could learn them by heart; that it fails even "
            "there is the stronger result."
        ),
        judge=judge,
    )
)

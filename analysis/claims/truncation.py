"""Claim 20: truncated back-propagation fails on delayed XOR."""

from analysis.claims.claim import Answer, Claim, Studies, define
from analysis.claims.questions import better, usually_fails, usually_solves

STUDY = "claim-truncation"
CELLS = ("lstm", "gru")


def judge(studies: Studies) -> list[Answer]:
    asked = []
    for cell in CELLS:
        asked += [
            usually_solves(studies, STUDY, f"{cell} · full"),
            usually_fails(studies, STUDY, f"{cell} · window-3"),
            better(studies, STUDY, f"{cell} · full", f"{cell} · window-3"),
        ]
    return asked


def asides(studies: Studies) -> list[str]:
    return [
        usually_solves(studies, STUDY, f"lstm-1997 · {window}").sentence
        for window in ("full", "window-20", "window-3")
    ]


define(
    Claim(
        number=20,
        name="truncation",
        text="For modern cells truncated and full back-propagation do not agree on delayed XOR.",
        source=(
            "Hochreiter & Schmidhuber (1997), Long short-term memory; Engelken (2023), Gradient "
            "flossing"
        ),
        studies=(STUDY,),
        supports=(
            "LSTM and GRU solve it in most runs with the full gradient, in fewer than half with a "
            "window of 3 steps, and do better with the full one."
        ),
        contradicts="A window of 3 steps is enough, or the full gradient fails.",
        left_out=(
            "That the two agree for the LSTM of 1997 is about its own truncation, of what flows "
            "back through its gates, which no cell here has. A window is another kind; what it "
            "does is told beside."
        ),
        judge=judge,
        asides=asides,
    )
)

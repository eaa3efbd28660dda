"""Claim 10: chrono biases help long copies, and not where the delay varies."""

from analysis.claims.claim import Answer, Claim, Studies, define
from analysis.claims.questions import better, matches

COPY, VARIABLE = "claim-chrono", "claim-chrono-variable"


def judge(studies: Studies) -> list[Answer]:
    return [
        better(studies, COPY, "chrono", "forget-1"),
        matches(studies, VARIABLE, "chrono", "forget-1", factor=1.25),
    ]


define(
    Claim(
        number=10,
        name="chrono",
        text=(
            "Chrono biases beat a forget bias of 1 on long copies; where the delay varies they tie."
        ),
        source="Tallec & Ollivier (2018), Can recurrent neural networks warp time?",
        studies=(COPY, VARIABLE),
        supports=(
            "On the copy task chrono does better; on variable copy the two are equivalent within "
            "a factor of 1.25."
        ),
        contradicts=(
            "Chrono does worse on the copy task, or they differ by more than the margin where the "
            "delay varies."
        ),
        left_out=(
            "100 steps, 64 units and 5,000 updates; the source has 500 and 128, and more updates."
        ),
        judge=judge,
        measure="test_loss",
    )
)

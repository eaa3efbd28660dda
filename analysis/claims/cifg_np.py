"""Claim 4: coupling the gates, or leaving out the peepholes, costs nothing."""

from analysis.claims.claim import Answer, Claim, Studies, define
from analysis.claims.questions import matches

STUDY = "claim-lstm-variants"


def judge(studies: Studies) -> list[Answer]:
    return [matches(studies, STUDY, variant, "V", factor=1.5) for variant in ("CIFG", "NP")]


define(
    Claim(
        number=4,
        name="cifg-np",
        text="CIFG and NP match the vanilla LSTM with fewer parameters.",
        source="Greff et al. (2017), LSTM: a search space odyssey",
        studies=(STUDY,),
        supports=(
            "Both are equivalent to V: shares of solved runs within 0.3 and updates within a "
            "factor of 1.5, by two one-sided tests."
        ),
        contradicts="One of them differs from V by more than that.",
        judge=judge,
    )
)

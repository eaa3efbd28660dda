"""Claim 23: most of the antisymmetric network's gain is its residual form."""

from analysis.claims.claim import Answer, Claim, Studies, define
from analysis.claims.evidence import pair, runs
from analysis.claims.questions import better, positive
from analysis.data.wording import short

STUDY = "claim-residual"


def judge(studies: Studies) -> list[Answer]:
    found = pair(studies, STUDY, "antisymmetric", "elman")
    residual = runs(studies, STUDY, "residual")["test_metric"]
    gain = found.one["test_metric"] - found.other["test_metric"]
    share = (residual - found.other["test_metric"]).dropna()
    excess = (share - gain / 2).dropna()
    sentence = (
        f"on the digits the antisymmetric network gains {short(float(gain.mean()))} in accuracy over Elman, "
        f"the residual form alone {short(float(share.mean()))}"
    )
    return [better(studies, STUDY, "antisymmetric", "elman"), positive(excess, sentence)]


define(
    Claim(
        number=23,
        name="residual",
        text="Most of what the antisymmetric network gains is due to its residual form.",
        source="Chang, Chen, Haber & Chi (2019), AntisymmetricRNN",
        studies=(STUDY,),
        supports=(
            "The antisymmetric network does better than an Elman network, and the same residual "
            "step with a free matrix has more than half of its gain in accuracy."
        ),
        contradicts=(
            "The antisymmetric network does worse than the Elman network, or the residual form "
            "has less than half of the gain."
        ),
        left_out="Step size and diffusion are 0.01, not tuned.",
        judge=judge,
        measure="test_metric",
    )
)

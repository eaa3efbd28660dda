"""Claim 15: clipping matters more, the longer the lag."""

from analysis.claims.claim import Answer, Claim, Studies, define
from analysis.claims.evidence import pair
from analysis.claims.questions import better, positive

STUDY = "claim-clipping-length"
SHORT, LONG = "20", "80"


def judge(studies: Studies) -> list[Answer]:
    near = pair(studies, STUDY, "clip", "none", SHORT)
    far = pair(studies, STUDY, "clip", "none", LONG)
    gaps = [
        found.one["solved"].astype(float) - found.other["solved"].astype(float)
        for found in (near, far)
    ]
    # Seeds are the same at all lengths, where a run of each ended by itself.
    growth = (gaps[1] - gaps[0]).dropna()
    sentence = (
        f"clipping solves {_more(gaps[0].mean())} at {SHORT} steps and "
        f"{_more(gaps[1].mean())} at {LONG}"
    )
    return [positive(growth, sentence), better(studies, STUDY, "clip", "none", LONG)]


def _more(gap: float) -> str:
    return f"{gap:+.0%} of the runs"


define(
    Claim(
        number=15,
        name="clipping-and-length",
        text=(
            "The gap in success between clipping the gradient and not clipping it grows with the "
            "length."
        ),
        source=(
            "Pascanu, Mikolov & Bengio (2013), On the difficulty of training recurrent neural "
            "networks"
        ),
        studies=(STUDY,),
        supports=(
            "The difference of solved runs is larger at 80 steps than at 20 (sign-flip test over "
            "seeds), and with clipping 80 steps go better."
        ),
        contradicts="The difference falls with the length, or clipping does worse at 80 steps.",
        left_out=(
            "4,000 updates, where the source had up to five million; lengths up to 80, where it "
            "had 250."
        ),
        judge=judge,
    )
)

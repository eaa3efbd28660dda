"""The claims of the literature that a study is made for, as its report shows them."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.backends.backend_svg import FigureCanvasSVG

from analysis.claims import Claim, in_order
from analysis.claims.claim import Studies
from analysis.data.runs import Results
from analysis.figures import Missing, style
from analysis.figures.claim_evidence import caption, claim_evidence


@dataclass(frozen=True)
class Judged:
    """A claim and what the runs say of it; ``answers`` are a word and a sentence each."""

    number: int
    text: str
    source: str
    outcome: str
    reason: str
    needed: int | None
    answers: Sequence[tuple[str, str]]
    picture: str
    caption: str


def judged(results: Results) -> list[Judged]:
    """Those whose only study this is, or one of whose studies; of the latter most have no verdict."""
    studies = {results.study: results}
    return [_judge(claim, studies) for claim in in_order() if results.study in claim.studies]


def _judge(claim: Claim, studies: Studies) -> Judged:
    verdict = claim.verdict(studies)
    answers = [(verdict.word(a), a.sentence) for a in verdict.answers]
    answers += [("beside", aside) for aside in verdict.asides]
    picture = _picture(claim, studies)
    return Judged(
        claim.number,
        claim.text,
        claim.source,
        verdict.outcome,
        verdict.reason,
        verdict.needed,
        answers,
        picture,
        caption(claim) if picture else "",
    )


def _picture(claim: Claim, studies: Studies) -> str:
    with style.page():
        try:
            drawn = claim_evidence(claim, studies)
        except Missing:
            return ""
        buffer = io.BytesIO()
        FigureCanvasSVG(drawn).print_svg(buffer, metadata={"Date": None})
    return f"data:image/svg+xml;base64,{base64.b64encode(buffer.getvalue()).decode()}"

"""Claim 12: orthogonality helps copying, the identity helps adding."""

from analysis.claims.claim import Answer, Claim, Studies, define
from analysis.claims.questions import better

STUDY = "claim-orthogonal-identity"


def judge(studies: Studies) -> list[Answer]:
    return [
        better(studies, STUDY, "orthogonal", "identity", "copy-30"),
        better(studies, STUDY, "identity", "orthogonal", "adding-100"),
    ]


define(
    Claim(
        number=12,
        name="orthogonal-identity",
        text="An orthogonal start helps the copy task, the identity the adding problem.",
        source="Henaff, Szlam & LeCun (2016), Recurrent orthogonal networks and long-memory tasks",
        studies=(STUDY,),
        supports=(
            "In a network whose past is carried linearly, the orthogonal start does better at "
            "copying and the identity at adding."
        ),
        contradicts="One of the two is the other way round.",
        judge=judge,
    )
)

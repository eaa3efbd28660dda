"""Claims of the literature, one file each, and what a study's runs say of them.

A claim states, before its runs are looked at, which questions it stands or falls with. Each question is
answered from the confirmations of a study that comes along, `search_spaces/claims/`. A new file here adds
a claim to `longlag claims`, to the report and to docs/findings.md.
"""

from analysis.claims.claim import CLAIMS, Claim, Verdict
from study.base.registry import load_modules

__all__ = ["CLAIMS", "Claim", "Verdict", "in_order"]


def in_order() -> list[Claim]:
    """By number."""
    return sorted((claim for _, claim in CLAIMS.items()), key=lambda claim: claim.number)


load_modules(__name__)

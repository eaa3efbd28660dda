"""What the runs say of the claims of the literature: as a page of Markdown with a figure for each."""

from collections import Counter
from pathlib import Path

import matplotlib.pyplot as plt

from analysis.claims import Claim, Verdict, in_order
from analysis.claims.claim import NOT_TESTED, Studies
from analysis.data.wording import counted, listing
from analysis.figures import Missing, style
from analysis.figures.claim_evidence import caption, claim_evidence
from study.base.errors import UserError

_WORDS = {"yes": "Yes", "no": "No", "open": "Open"}


def wanted(names: list[str]) -> list[Claim]:
    """Claims by number or name, or those judged by the studies named; all where nothing is named.

    Raises UserError for what is neither.
    """
    if not names:
        return in_order()
    found: dict[int, Claim] = {}
    for name in names:
        chosen = [c for c in in_order() if name in (str(c.number), c.name, *c.studies)]
        if not chosen:
            raise UserError(
                f"no claim, and no study of a claim, is named {name!r}; `longlag claims` lists all"
            )
        found |= {claim.number: claim for claim in chosen}
    return [found[number] for number in sorted(found)]


def tally(verdicts: list[Verdict]) -> str:
    """ "5 claims supported, 2 contradicted, 22 not tested" """
    counts = Counter(verdict.outcome for verdict in verdicts)
    told = [f"{count} {outcome}" for outcome, count in counts.most_common()]
    return f"{counted(len(verdicts), 'claim')}: {listing(told)}"


def write_page(
    folder: Path, claims: list[Claim], studies: Studies, opening: str, beside: str = ""
) -> Path:
    """``folder``/findings.md with its figures in ``folder``/``beside``. Returns the page's path."""
    pictures = folder / beside if beside else folder
    pictures.mkdir(parents=True, exist_ok=True)
    verdicts = {claim.number: claim.verdict(studies) for claim in claims}
    parts = [opening.strip(), "", "## The verdicts", "", _table(claims, verdicts), ""]
    tested = [c for c in claims if verdicts[c.number].outcome != NOT_TESTED]
    for claim in tested:
        parts += _section(claim, verdicts[claim.number], studies, pictures, beside)
    if rest := [c for c in claims if c not in tested]:
        parts += ["## Not tested", ""]
        parts += [f"- **{c.number}** {verdicts[c.number].reason} ({c.source})" for c in rest]
    page = folder / "findings.md"
    page.write_text("\n".join(parts).rstrip() + "\n", encoding="utf-8")
    return page


def _table(claims: list[Claim], verdicts: dict[int, Verdict]) -> str:
    lines = ["| | claim | verdict |", "|---|---|---|"]
    for claim in claims:
        verdict = verdicts[claim.number].outcome
        if verdict == NOT_TESTED:
            lines.append(f"| {claim.number} | {claim.text} | [{verdict}](#not-tested) |")
        else:
            lines.append(f"| {claim.number} | [{claim.text}](#{_anchor(claim)}) | **{verdict}** |")
    return "\n".join([*lines, "", f"{tally(list(verdicts.values()))}."])


def _anchor(claim: Claim) -> str:
    return f"{claim.number}-{claim.name}"


def _section(
    claim: Claim, verdict: Verdict, studies: Studies, pictures: Path, beside: str
) -> list[str]:
    lines = [f"## {claim.number} {claim.name}", "", f"**{claim.text}** {claim.source}.", ""]
    lines += [f"*{verdict.outcome.capitalize()}*, by {listing([f'`{s}`' for s in claim.studies])}."]
    if verdict.needed is not None:
        lines[-1] += f" About {verdict.needed} runs an arm would decide what is open."
    lines.append("")
    lines += [f"- {_WORDS[verdict.word(a)]}: {a.sentence}." for a in verdict.answers]
    lines += [f"- Beside: {aside}." for aside in verdict.asides]
    lines += [
        "",
        f"Supported if: {claim.supports}",
        "",
        f"Contradicted if: {claim.contradicts}",
        "",
    ]
    if claim.left_out:
        lines += [f"Not judged: {claim.left_out}", ""]
    return [*lines, *_picture(claim, studies, pictures, beside)]


def _picture(claim: Claim, studies: Studies, pictures: Path, beside: str) -> list[str]:
    with style.page():
        try:
            drawn = claim_evidence(claim, studies)
        except Missing:
            return []
        name = f"claim-{claim.number:02d}-{claim.name}.png"
        drawn.savefig(pictures / name, dpi=110)
        plt.close(drawn)
    where = f"{beside}/{name}" if beside else name
    return [f"![{claim.text}]({where})", "", caption(claim), ""]

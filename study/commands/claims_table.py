"""The claims of the literature and their verdicts, for the terminal."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from analysis.claims.claim import (
    CONTRADICTED,
    INCONCLUSIVE,
    NOT_TESTED,
    SUPPORTED,
    Claim,
    Verdict,
)
from analysis.report.claims_page import tally

Judged = Sequence[tuple[Claim, Verdict]]

_STYLES = {
    SUPPORTED: "green",
    CONTRADICTED: "red",
    INCONCLUSIVE: "yellow",
    NOT_TESTED: "dim",
}


def table(judged: Judged) -> RenderableType:
    """A line a claim."""
    lines = Table(box=None, pad_edge=False, header_style="bold")
    lines.add_column("", justify="right")
    lines.add_column("claim")
    lines.add_column("verdict", no_wrap=True)
    lines.add_column("study", style="dim")
    for claim, verdict in judged:
        lines.add_row(
            str(claim.number),
            claim.text,
            Text(verdict.outcome, style=_STYLES[verdict.outcome]),
            " ".join(claim.studies),
        )
    ending = Text(
        f"{tally([verdict for _, verdict in judged])}. `longlag claims NUMBER` tells why; "
        "`longlag sweep STUDY` makes the runs.",
        style="dim",
    )
    return Group(lines, "", ending)


def details(judged: Judged) -> RenderableType:
    """Each claim with its questions and what the runs say of them."""
    parts: list[RenderableType] = []
    for claim, verdict in judged:
        parts += [*_claim(claim, verdict), ""]
    return Group(*parts[:-1])


def _claim(claim: Claim, verdict: Verdict) -> list[RenderableType]:
    heading = Text(f"{claim.number} {claim.text} ", style="bold")
    heading.append(verdict.outcome, style=_STYLES[verdict.outcome])
    parts: list[RenderableType] = [heading, Text(f"{claim.name}. {claim.source}", style="dim")]
    grid = Table.grid(padding=(0, 2))
    for answer in verdict.answers:
        grid.add_row(verdict.word(answer), f"{answer.sentence}.")
    for aside in verdict.asides:
        grid.add_row("beside", f"{aside}.")
    if verdict.reason:
        grid.add_row("", verdict.reason)
    if verdict.needed is not None:
        grid.add_row("", f"About {verdict.needed} runs an arm would decide what is open.")
    for name, text in (
        ("supported if", claim.supports),
        ("contradicted if", claim.contradicts),
        ("not judged", claim.left_out if claim.judge is not None else ""),
    ):
        if text:
            grid.add_row(Text(name, style="dim"), Text(text, style="dim"))
    return [*parts, Padding(grid, (0, 0, 0, 2))]

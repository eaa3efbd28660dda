"""The command that sets studies, or networks of them, side by side."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from study.base.errors import UserError
from study.commands.app import app, warn
from study.commands.sources import From, source_of

if TYPE_CHECKING:
    from analysis.data.runs import Results
    from study.tracking.store import Store
    from study.travel.study_file import StudyFile


@app.command()
def compare(
    names: Annotated[
        list[str], typer.Argument(help="Studies, or networks of them as STUDY/NETWORK.")
    ],
    source: From = None,
    out: Annotated[Path | None, typer.Option(help="A folder for the same as a page.")] = None,
) -> int:
    """Set studies, or some of their networks, side by side on the tasks that they share."""
    from longlag import check_ours

    check_ours("analysis")
    import numpy as np
    from rich.console import Console

    from analysis.findings.decisions import decisions
    from analysis.findings.overview import overview
    from analysis.findings.summary import summarize
    from analysis.findings.unpaired import sentences
    from analysis.report.page import SEED, write_page
    from study.commands.comparison_table import table

    if out is not None and (str(out) == "." or (out.exists() and not out.is_dir())):
        raise UserError(f"--out must name a folder of its own, new or old (got {str(out)!r})")
    store = source_of(source)
    results = _chosen(store, names)
    summary = summarize(results, np.random.default_rng(SEED))
    first = overview(results, summary, decisions(results))
    Console(highlight=False, markup=False).print(table(first, list(sentences(results))))
    failed: list[str] = []
    if out is not None:
        try:
            page = write_page(results, out, failed=failed, commands=_commands(names, out))
            print(f"page: {page}")
        except OSError as error:
            raise UserError(f"cannot write to {out}: {error.strerror}") from None
    warn([*store.notices, *failed])
    return 1 if failed else 0


def _commands(names: list[str], out: Path) -> list[str]:
    """What makes the studies and the page again."""
    studies = dict.fromkeys(name.partition("/")[0] for name in names)
    again = shlex.join(["longlag", "compare", *names, "--out", str(out)])
    return [*(f"longlag sweep {study}" for study in studies), again]


def _chosen(store: "Store | StudyFile", names: list[str]) -> "Results":
    """What the names mean. Raises UserError for one that is not there."""
    from analysis.data.runs import read_study
    from analysis.data.selection import selected, together

    wanted: dict[str, list[str]] = {}
    for name in names:
        study, _, network = name.partition("/")
        wanted.setdefault(study, []).append(network)
    parts = []
    for study, networks in wanted.items():
        results = read_study(store, study)
        parts.append(results if "" in networks else selected(results, networks))
    return parts[0] if len(parts) == 1 else together(parts)

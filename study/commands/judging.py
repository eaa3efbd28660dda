"""The command that holds runs against the claims of the literature."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from study.base.errors import UserError
from study.commands.app import app, warn
from study.commands.sources import From, source_of

if TYPE_CHECKING:
    from analysis.data.runs import Results


@app.command()
def claims(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Numbers or names of claims, or studies; by default every claim."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="A folder for the same as a page with figures.")
    ] = None,
    source: From = None,
) -> int:
    """Hold the runs against the literature: each claim is supported, contradicted, or open."""
    from longlag import check_ours

    check_ours("analysis")
    from rich.console import Console

    from analysis.report.claims_page import wanted, write_page
    from study.commands.claims_table import details, table

    if out is not None and (str(out) == "." or (out.exists() and not out.is_dir())):
        raise UserError(f"--out must name a folder of its own, new or old (got {str(out)!r})")
    chosen = wanted(names or [])
    studies = _swept({study for claim in chosen for study in claim.studies}, source)
    console = Console(highlight=False, markup=False)
    judged = [(claim, claim.verdict(studies)) for claim in chosen]
    console.print(details(judged) if names else table(judged))
    if out is not None:
        try:
            page = write_page(out, chosen, studies, "# Claims of the literature")
        except OSError as error:
            raise UserError(f"cannot write to {out}: {error.strerror}") from None
        print(f"page: {page}")
    return 0


def _swept(names: set[str], source: Path | None) -> "dict[str, Results]":
    """Those of these studies that are in the file or in this folder's store, with their runs."""
    from analysis.data.runs import read_study
    from study.tracking import database
    from study.tracking.relocation import FOLDER
    from study.tracking.store_address import given_address

    here = given_address(create=False) or (Path(FOLDER) / database.NAME).exists()
    if source is None and not here:
        return {}  # nothing has been swept here, and the claims can be read all the same
    store = source_of(source)
    found = {name: read_study(store, name) for name in sorted(names & set(store.studies()))}
    warn([*store.notices, *(notice for results in found.values() for notice in results.notices)])
    return found

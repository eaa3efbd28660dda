"""The commands that measure networks and train none: gradient and probe."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from study.base.errors import UserError
from study.base.limits import WHOLE
from study.commands.app import app

if TYPE_CHECKING:
    from study.commands.tracked_network import Tracked


@app.command()
def gradient(
    networks: Annotated[
        list[str] | None,
        typer.Argument(
            help="Cells, such as lstm elman; with settings of their own: elman,model.phi=relu."
        ),
    ] = None,
    run: Annotated[
        str | None,
        typer.Option(help="A run of `longlag train`: its network before and after training."),
    ] = None,
    length: Annotated[
        int | None, typer.Option(help="Of the task's sequences; by default 200.", min=1, max=WHOLE)
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="NAME=VALUE for all cells, such as model.hidden=32."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="A folder for the pictures and the numbers.")
    ] = None,
) -> int:
    """Show how far back the gradient of untrained networks reaches, and why."""
    if not networks and run is None:
        raise UserError("say which networks: cells, such as lstm elman, or a tracked one, --run ID")
    _check_folder(out)
    from rich.console import Console

    from study.base.threads import one_thread
    from study.commands.gradient import configured, measured, measured_run
    from study.commands.gradient_page import page

    configs = configured(networks or [], settings or [], length)
    tracked = None if run is None else _converged(run)
    console = Console(highlight=False, markup=False)
    with Console(stderr=True).status("measuring …"), one_thread():
        found = list(measured(configs))
        if tracked is not None:
            found += measured_run(tracked)
    console.print(page(found))
    if out is not None:
        from longlag import check_ours

        check_ours("analysis")
        from study.commands.gradient_files import write_files
        from study.commands.gradient_wording import picture_sentences

        how = picture_sentences(found)
        for path in write_files(found, out):
            console.print(str(path), soft_wrap=True)
            if path.suffix == ".png":
                console.print(how[path.stem], style="dim")
    return 0


@app.command()
def probe(
    run: Annotated[
        str, typer.Argument(help="The id of a run of `longlag train`, or its beginning.")
    ],
    probes: Annotated[
        str,
        typer.Option(help="Names between commas, as `longlag list probes` has them; or default."),
    ] = "all",
    out: Annotated[
        Path | None, typer.Option(help="A folder for the findings and their pictures.")
    ] = None,
) -> int:
    """Run probes on a tracked run's network, untrained and trained."""
    _check_folder(out)
    from rich.console import Console

    from study.base.threads import one_thread
    from study.commands.probing import chosen, probed
    from study.commands.probing_files import write_files
    from study.commands.probing_page import heading, section

    asked = chosen(probes)
    found = _converged(run)
    console = Console(highlight=False, markup=False)
    console.print(heading(found))
    failed, written = False, []
    with one_thread():
        for each in probed(found, asked):
            console.print(section(each))
            failed = failed or each.is_failed
            if out is not None:
                written += write_files(found, each, out)
    if written:
        console.print()
    for path in written:
        console.print(str(path), soft_wrap=True)
    return 1 if failed else 0


def _converged(run: str) -> "Tracked":
    from study.commands.tracked_network import converged
    from study.tracking.store import Store

    return converged(Store.open(), run)


def _check_folder(out: Path | None) -> None:
    """Raises UserError for what is no folder to write in, before anything is measured."""
    if out is None:
        return
    there = next(path for path in (out, *out.absolute().parents) if path.exists())
    if not there.is_dir():
        raise UserError(f"--out must name a folder, new or old (got {str(out)!r})")
    if not os.access(there, os.W_OK):
        raise UserError(f"cannot write to {out}: permission denied")

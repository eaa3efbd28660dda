"""The command that writes a study's report."""

import time
from pathlib import Path
from typing import Annotated

import typer

from study.base.errors import UserError
from study.commands.app import app, warn
from study.commands.sources import From, source_of

WATCH_SECONDS = 30


@app.command()
def report(
    study: Annotated[str, typer.Argument(help="A study that has been swept in this folder.")],
    out: Annotated[
        Path | None, typer.Option(help="Where to write; by default reports/STUDY.")
    ] = None,
    source: From = None,
    watch: Annotated[
        bool,
        typer.Option("--watch", help="Write it anew every 30 seconds while the study is swept."),
    ] = False,
) -> int:
    """Write a study's comparison: one HTML page, its figures and its tables."""
    from longlag import check_ours

    check_ours("analysis")
    from analysis.report.page import write_report
    from study.spaces.index import check_study_name
    from study.tracking.store import SINGLE_RUNS

    if study == SINGLE_RUNS:
        raise UserError(
            f"{study!r} has the runs of `longlag train`, each by itself, and no report; name a study"
        )
    check_study_name(study)
    store = source_of(source)
    folder = Path("reports") / study if out is None else out
    if out is not None and (str(out) == "." or (out.exists() and not out.is_dir())):
        raise UserError(f"--out must name a folder of its own, new or old (got {str(out)!r})")
    if watch and source is not None:
        raise UserError("--watch is for a study that is being swept here; leave it out with --from")
    while True:
        going_on = watch and any(
            run.status == "RUNNING" and run.tags.get("role") == "arm"
            for run in store.study(study).runs
        )
        try:
            failed: list[str] = []
            refresh = WATCH_SECONDS if going_on else 0
            page = write_report(store, study, folder, failed=failed, refresh=refresh)
        except OSError as error:
            raise UserError(f"cannot write the report to {folder}: {error.strerror}") from None
        warn([*store.notices, *failed])
        told = f", written anew every {WATCH_SECONDS} s until the sweep ends" if going_on else ""
        print(f"report: {page}{told}", flush=True)
        if not going_on:
            return 1 if failed else 0
        time.sleep(WATCH_SECONDS)

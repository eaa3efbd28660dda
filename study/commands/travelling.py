"""The commands by which a study travels: into a file, out of it, and as one table."""

from pathlib import Path
from typing import Annotated

import typer

from study.base.errors import UserError
from study.commands.app import app, warn
from study.commands.sources import From, source_of


@app.command()
def export(
    names: Annotated[
        list[str], typer.Argument(help="One or more studies, then the file to be written.")
    ],
    lean: Annotated[
        bool,
        typer.Option(
            "--lean",
            help="Without pictures, weights, what the probes wrote, and the curves of other trials.",
        ),
    ] = False,
) -> int:
    """Write studies with all their runs into one file, for another machine or store."""
    import study
    from study.tracking.store import Store
    from study.travel.departure import export as write

    if len(names) < 2:
        raise UserError(
            f"name a study and a file, such as: longlag export {names[0]} {names[0]}.longlag"
        )
    *studies, target = names
    store = Store.open()
    manifest = write(
        store, list(dict.fromkeys(studies)), Path(target), study.__version__, lean=lean
    )
    warn(store.notices)
    lacking = [each.name for each in manifest.studies if not each.journal]
    if lacking:
        where = "the runs travel, but a sweep cannot go on elsewhere"
        warn([f"no journal of {', '.join(lacking)} in this folder: {where}"])
    size = Path(target).stat().st_size
    print(f"wrote {target}, {size / 1e6:.1f} MB; elsewhere: longlag import {target}")
    return 0


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="A file of `longlag export`.")],
    names: Annotated[
        list[str] | None, typer.Argument(help="Which of its studies; by default all.")
    ] = None,
    as_name: Annotated[
        str | None, typer.Option("--as", help="Another name for the study, of one alone.")
    ] = None,
) -> int:
    """Bring the studies of a file into this folder's store; one that is there is joined with it."""
    from study.travel.study_file import StudyFile

    carrier = StudyFile.open(file)
    chosen = list(dict.fromkeys(names or carrier.studies()))
    for name in chosen:
        carrier.study(name)
    if as_name is not None and len(chosen) != 1:
        raise UserError(
            f"--as names one study, and {len(chosen)} would be imported: {', '.join(chosen)}; name one"
        )
    from study.travel.arrival import arrive

    for name in chosen:
        result = arrive(carrier, name, name=as_name)
        warn(result.notices)
        there = f", {result.there} were there" if result.there else ""
        runs = "run" if result.new == 1 else "runs"
        print(f"{result.name}: {result.new} {runs} imported{there}")
    one = as_name or chosen[0]
    print(f"\nreport: longlag report {one}\nbrowse: longlag ui   (experiment {one!r})")
    return 0


@app.command()
def results(
    study: Annotated[str, typer.Argument(help="A study.")],
    out: Annotated[
        Path | None, typer.Option(help="A file, .csv or .parquet; by default to the terminal.")
    ] = None,
    source: From = None,
) -> int:
    """A study as one table: a row a run, with its settings and what came out."""
    from longlag import check_ours

    check_ours("analysis")
    import sys

    from analysis.data.runs import read_study

    if out is not None and out.suffix not in (".csv", ".parquet"):
        raise UserError(f"--out must end in .csv or .parquet (got {str(out)!r})")
    store = source_of(source)
    found = read_study(store, study)
    table = found.runs()
    warn([*store.notices, *found.notices])
    try:
        if out is None:
            table.to_csv(sys.stdout, index=False)
        elif out.suffix == ".csv":
            table.to_csv(out, index=False)
        else:
            table.to_parquet(out, index=False)
    except OSError as error:
        raise UserError(f"cannot write {out}: {error.strerror or error}") from None
    if out is not None:
        print(f"wrote {out}: {len(table)} runs, {len(table.columns)} columns")
    return 0

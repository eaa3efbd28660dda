"""The command that runs a study."""

import os
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from study.base.errors import UserError
from study.base.interruption import first_interrupt
from study.commands.app import app, warn


@app.command()
def sweep(
    space: Annotated[
        str, typer.Argument(help="A name in search_spaces/, or a path to a TOML file.")
    ],
    trials: Annotated[int | None, typer.Option(help="Trials of every arm.", min=1)] = None,
    workers: Annotated[
        int | None, typer.Option(help="Worker processes; by default one for each core.", min=1)
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Seed of the study; by default from its name.", min=0)
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="NAME=VALUE for all arms, such as task.path=…; repeatable."),
    ] = None,
    as_name: Annotated[
        str | None, typer.Option("--as", help="Sweep under another name, as a study of its own.")
    ] = None,
    retry: Annotated[
        bool, typer.Option("--retry", help="Run the trials again that ended with an error.")
    ] = False,
    patience: Annotated[
        float,
        typer.Option(
            help="Minutes without a sign of life after which a worker is replaced.", min=0.1
        ),
    ] = 10.0,
    time_limit: Annotated[
        float | None,
        typer.Option(
            help="Most minutes for one trial; a longer one waits for the next sweep.",
            min=0.01,
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the arms and what is searched; run nothing.")
    ] = False,
) -> int:
    """Run a study: every arm's trials, then the winners on fresh seeds. Run again to resume."""
    from rich.console import Console

    from study.spaces import file as space_file
    from study.spaces import index as space_index
    from study.trial.config import read_settings

    path = space_index.find(space)
    chosen = read_settings(settings or [])
    loaded = space_file.load(path, chosen, trials=trials, seed=seed, name=as_name)
    console = Console(highlight=False, markup=False)
    count = workers or _cores()
    if dry_run:
        from study.commands.space_description import describe_space

        console.print(describe_space(loaded, str(path)))
        return 0
    from study.commands.display import watch
    from study.sweep.driver import Sweep
    from study.sweep.execution import Patience

    bounds = Patience(silence=60 * patience)
    if time_limit is not None:
        bounds = replace(bounds, job=60 * time_limit)
    given = [("--trials", trials), ("--seed", seed), ("--as", as_name)]
    given += [("--set", text) for text in settings or []]
    options = [str(word) for flag, value in given if value is not None for word in (flag, value)]
    again = shlex.join(["longlag", "sweep", space, *options])
    with first_interrupt(terminate=True) as stop:  # SIGTERM: a batch system's way of saying stop
        run = Sweep(loaded, Path(), count, stop, bounds, retry)
        statuses = run.run()
        try:
            watch(statuses, f"longlag sweep {loaded.name}", console)
        except KeyboardInterrupt:
            statuses.close()
            warn(run.status.warnings)
            done = sum(len(arm.counted) for arm in run.progress.values())
            told = f"\nstopped; {done} finished runs are kept. Go on with: {again}"
            console.print(told, soft_wrap=True)  # the command must be one line to copy
            return stop.exit_code
        except UserError:
            warn(run.status.warnings)
            raise
    if not run.ran and not run.waiting:
        console.print("nothing left to run: everything planned is there")
    warn([*run.status.warnings, *run.unfinished(again)])
    console.print(
        f"\nreport: longlag report {loaded.name}\nbrowse: longlag ui   (experiment {loaded.name!r})"
    )
    return 1 if run.waiting or run.status.left else 0


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS
        return os.cpu_count() or 1

"""The commands. Every command imports what it needs itself, so that ``--help`` is quick."""

import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from study.base.errors import UserError, unknown
from study.base.limits import SEED, WHOLE
from study.commands.app import app

if TYPE_CHECKING:
    from study.trial.config import TrialConfig


@app.command()
def train(
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="NAME=VALUE, such as train.lr=0.01; may be repeated. `longlag list settings` has all.",
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(help="A configuration as a TOML file, such as a run's config.toml."),
    ] = None,
    test: Annotated[
        bool, typer.Option("--test", help="Score the best parameters on the test set too.")
    ] = False,
) -> int:
    """Train one configuration as one tracked run, in the experiment "train"."""
    from study.commands.single import train_tracked

    chosen = _configuration(config, settings or [])
    return train_tracked(chosen, Path(), test=test)


@app.command()
def sample(
    run: Annotated[
        str | None,
        typer.Argument(
            help="The id of a run of `longlag train`, or its beginning; by default the last one."
        ),
    ] = None,
    prompt: Annotated[
        str, typer.Option("--prompt", "-p", help="A text to continue, or an input to answer.")
    ] = "",
    temperature: Annotated[
        float | None,
        typer.Option(
            "--temperature", "-t", help="Below 1 favours what is probable; by default 1 for a text."
        ),
    ] = None,
    length: Annotated[
        int | None, typer.Option("--length", "-n", help="Most symbols to write.", min=1, max=WHOLE)
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the draws.", min=0, max=SEED)] = 0,
    beam: Annotated[int, typer.Option(help="Width of a beam search.", min=1, max=100)] = 1,
) -> int:
    """Let a trained network write: go on with a text, or answer what it has read."""
    if temperature is not None and not 0 < temperature < float("inf"):
        raise UserError(
            f"--temperature must be a number above 0 (got {temperature:g}); near 0 what is most "
            "probable is taken"
        )
    from study.commands.sampling import Request, remarks, written
    from study.commands.tracked_network import tracked
    from study.tracking.store import Store

    request = Request(prompt, temperature, length, seed, beam)
    found = tracked(Store.open(Path()), run)
    task = found.config.task
    text = written(task, found.model, request)
    for remark in remarks(task, request):
        print(f"longlag: {remark}", file=sys.stderr)
    print(text)
    return 0


@app.command()
def ui(
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1.", min=1, max=65535)] = 5000,
) -> int:
    """Browse this folder's runs in the MLflow UI."""
    from study.tracking.server import serve

    signal.signal(signal.SIGTERM, _interrupt)
    return serve(Path(), port)


@app.command("list")
def list_(
    what: Annotated[
        str | None,
        typer.Argument(
            help="cells, nonlinearities, initializers, clipping, credit, attention, regularizers, "
            "tasks, probes, spaces or settings."
        ),
    ] = None,
) -> int:
    """List what there is of a kind."""
    from rich.console import Console

    from study.commands.descriptions import LISTS

    if what is None:
        raise UserError(f"say what to list: {', '.join(LISTS)}")
    if what not in LISTS:
        raise unknown("list", what, LISTS)
    Console(highlight=False, markup=False).print(LISTS[what]())
    return 0


@app.command()
def show(
    what: Annotated[str, typer.Argument(help="cell, task or space.")],
    name: Annotated[str, typer.Argument(help="Its name, as `longlag list` has it.")],
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="NAME=VALUE of a task, such as task.length=20; may be repeated."
        ),
    ] = None,
    baselines: Annotated[
        bool,
        typer.Option(
            "--baselines",
            help="Tell what simple answers without memory reach; fitted once, then kept.",
        ),
    ] = False,
) -> int:
    """Explain one cell, task or search space."""
    from rich.console import Console

    from study.commands.descriptions import PAGES, task_page

    if what not in PAGES:
        raise unknown("kind of page", what, PAGES)
    for option, given in (("--set", settings), ("--baselines", baselines)):
        if given and what != "task":
            raise UserError(f"{option} is for the page of a task, and a {what} has none to show")
    page = task_page(name, settings or [], baselines) if what == "task" else PAGES[what](name)
    Console(highlight=False, markup=False).print(page)
    return 0


def _configuration(path: Path | None, settings: list[str]) -> "TrialConfig":
    from study.trial.config import TrialConfig, merge, read_settings

    base = TrialConfig.from_file(path).flat() if path else {}
    return TrialConfig.from_flat(merge(base, read_settings(settings)))


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt

"""The command line. Every command imports what it needs itself, so that ``--help`` is quick."""

import os
import shlex
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from study.base.errors import UserError, unknown
from study.base.interruption import first_interrupt
from study.base.limits import SEED, WHOLE

if TYPE_CHECKING:
    from study.trial.config import TrialConfig

app = typer.Typer(
    name="longlag",
    help="Which recurrent network carries information and gradient across long time lags.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


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
            _warn(run.status.warnings)
            done = sum(len(arm.trials) + len(arm.confirmations) for arm in run.progress.values())
            told = f"\nstopped; {done} finished runs are kept. Go on with: {again}"
            console.print(told, soft_wrap=True)  # the command must be one line to copy
            return stop.exit_code
        except UserError:
            _warn(run.status.warnings)
            raise
    if not run.ran and not run.waiting:
        console.print("nothing left to run: everything planned is there")
    _warn([*run.status.warnings, *run.unfinished(again)])
    console.print(
        f"\nreport: longlag report {loaded.name}\nbrowse: longlag ui   (experiment {loaded.name!r})"
    )
    return 1 if run.waiting or run.status.left else 0


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
    from study.commands.sampling import Request, remarks, trained, written
    from study.tracking.store import Store

    request = Request(prompt, temperature, length, seed, beam)
    of, model = trained(Store.open(Path()), run)
    text = written(of.task, model, request)
    for remark in remarks(of.task, request):
        print(f"longlag: {remark}", file=sys.stderr)
    print(text)
    return 0


@app.command()
def report(
    study: Annotated[str, typer.Argument(help="A study that has been swept in this folder.")],
    out: Annotated[
        Path | None, typer.Option(help="Where to write; by default reports/STUDY.")
    ] = None,
) -> int:
    """Write a study's comparison: one HTML page, its figures and its tables."""
    from longlag import check_ours

    check_ours("analysis")
    from analysis.report.page import write_report
    from study.spaces.index import check_study_name
    from study.tracking.store import SINGLE_RUNS, Store

    if study == SINGLE_RUNS:
        raise UserError(
            f"{study!r} has the runs of `longlag train`, each by itself, and no report; name a study"
        )
    check_study_name(study)
    store = Store.open()
    folder = Path("reports") / study if out is None else out
    if out is not None and (str(out) == "." or (out.exists() and not out.is_dir())):
        raise UserError(f"--out must name a folder of its own, new or old (got {str(out)!r})")
    try:
        failed: list[str] = []
        page = write_report(store, study, folder, failed=failed)
        _warn([*store.notices, *failed])
    except OSError as error:
        raise UserError(f"cannot write the report to {folder}: {error.strerror}") from None
    print(f"report: {page}")
    return 1 if failed else 0


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


@app.command()
def gradient(
    networks: Annotated[
        list[str],
        typer.Argument(
            help="Cells, such as lstm elman; with settings of their own: elman,model.phi=relu."
        ),
    ],
    length: Annotated[
        int | None, typer.Option(help="Of the task's sequences; by default 200.", min=1, max=WHOLE)
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="NAME=VALUE for all of them, such as model.hidden=32."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="A folder for the picture and the numbers.")
    ] = None,
) -> int:
    """Show how far back the gradient of untrained networks reaches."""
    from rich.console import Console

    from study.base.threads import one_thread
    from study.commands.gradient import measure, page

    if out is not None and out.exists() and not out.is_dir():
        raise UserError(f"--out must name a folder, new or old (got {str(out)!r})")
    console = Console(highlight=False, markup=False)
    with Console(stderr=True).status("measuring …"), one_thread():
        measured = measure(networks, settings or [], length)
    console.print(page(measured))
    if out is not None:
        from longlag import check_ours

        check_ours("analysis")
        from study.commands.gradient_files import write_files

        for path in write_files(measured, out):
            console.print(str(path), soft_wrap=True)
    return 0


@app.command()
def bench(
    what: Annotated[str, typer.Argument(help="cells or probes.")],
    names: Annotated[
        list[str] | None, typer.Argument(help="Which of them; by default all.")
    ] = None,
    repeats: Annotated[
        int | None,
        typer.Option(help="Timings of each; by default 7, of a probe 3.", min=1, max=1000),
    ] = None,
    size: Annotated[
        list[str] | None,
        typer.Option(
            help="Of cells: BATCH,STEPS,HIDDEN,INPUTS; again for more; by default five sizes."
        ),
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the rows to this file.")
    ] = None,
) -> int:
    """Time the native engine against torch's own cells, or the probes against training."""
    if what not in ("cells", "probes"):
        raise unknown("benchmark", what, ["cells", "probes"])
    from rich.console import Console

    if what == "probes":
        if size:
            raise UserError("--size is of cells; probes are timed on the networks of quickstart")
        return _bench_probes(names or None, repeats or 3, json_file)
    from study.commands.bench import SIZES, bench_cells, print_table, read_size

    sizes = [read_size(text) for text in size or ()] or SIZES
    with Console(stderr=True).status("compiling and timing …") as status:
        rows = bench_cells(
            names or None,
            sizes,
            repeats or 7,
            json_file,
            told=lambda row: status.update(f"{row['cell']} measured; the table comes at the end"),
        )
    print_table(rows)
    return 0


def _bench_probes(names: list[str] | None, repeats: int, json_file: Path | None) -> int:
    from rich.console import Console

    from study.commands.bench_probes import bench_probes, print_costs
    from study.spaces import file as space_file
    from study.spaces import index as space_index

    space = space_file.load(space_index.find("quickstart"))
    with Console(stderr=True).status("training and timing …") as status:
        rows = bench_probes(
            space,
            names,
            repeats,
            json_file,
            told=lambda arm: status.update(f"{arm}; the table comes at the end"),
        )
    print_costs(rows, space.name)
    return 0


def _warn(warnings: list[str]) -> None:
    for warning in warnings:
        print(f"longlag: {warning}", file=sys.stderr)


def _version(asked: bool) -> None:
    if asked:
        import study

        print(f"longlag {study.__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Which recurrent network carries information and gradient across long time lags."""


def _configuration(path: Path | None, settings: list[str]) -> "TrialConfig":
    from study.trial.config import TrialConfig, merge, read_settings

    base = TrialConfig.from_file(path).flat() if path else {}
    return TrialConfig.from_flat(merge(base, read_settings(settings)))


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS
        return os.cpu_count() or 1


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt

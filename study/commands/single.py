"""`longlag train`: one configuration, one tracked run."""

import sys
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from study.base.errors import UserError
from study.base.interruption import first_interrupt
from study.engines.select import check_engine
from study.sweep.spool import Spool
from study.tracking.database import check_folder
from study.tracking.messages import message
from study.tracking.relocation import FOLDER
from study.tracking.store import SINGLE_RUNS, Store
from study.tracking.store_errors import StoreError, reason
from study.tracking.trial_record import TrialRecord
from study.tracking.views import CUSTOM_MODELS
from study.trial.config import TrialConfig
from study.trial.records import Evaluation
from study.trial.training import MET, train_until

GIVES_UP = "ends at the next evaluation and is recorded; Ctrl-C again gives it up\n"
NOTE = "Single runs of `longlag train`, each with its `config.toml` to run it again."


def train_tracked(config: TrialConfig, folder: Path, *, test: bool) -> int:
    """Trains, printing as it goes, and writes the run when it has ended. Returns the exit code.

    Ctrl-C ends the training at its next evaluation, and what there is then is written; a second one
    gives it up. So do SIGTERM, and SIGHUP, which a terminal that closes sends.
    """
    config.task.check_data()
    check_engine(config.train.engine)
    root = folder.resolve() / FOLDER
    check_folder(root)
    store = Store.open(folder, create=True)
    experiment = store.experiment(SINGLE_RUNS, {"mlflow.note.content": NOTE} | CUSTOM_MODELS)
    spool = Spool(root / "spool" / SINGLE_RUNS)
    torch.set_num_threads(1)  # as in a sweep, where each core has a trial of its own
    console = Console(highlight=False, markup=False)
    now = _now()
    title = f"{config.model.cell} · {config.task.name}"
    record = TrialRecord(
        key=f"{SINGLE_RUNS}/{now}/{config.seed}",
        name=title,
        role="single",
        config=config.complete(),
        start_ms=now,
    )
    _file_waiting(store, experiment, spool, console)
    console.print(
        f"{title}: solved means {config.task.solved_rule}; chance loss {config.task.chance_loss:.4g}"
    )
    for remark in config.task.remarks:
        print(f"longlag: {remark}", file=sys.stderr)
    with first_interrupt(GIVES_UP, terminate=True) as asked_to_stop:
        try:
            for item in train_until(config, asked_to_stop.is_set, test=test):
                kind, content = message(item, config)
                record.add(kind, {**content, "ms": _now()})
                if isinstance(item, Evaluation):
                    console.print(_line(item))
        except Exception:
            record.add("error", {"traceback": traceback.format_exc(), "ms": _now()})
        run_id = _written(store, experiment, spool, record)
    if record.error:
        console.print(record.error)
        console.print(f"failed; recorded as run {run_id} in experiment {SINGLE_RUNS!r}")
        return 1
    assert record.result is not None
    told = [_ended(record.outcome, record.result["steps"], config.train.steps)]
    told += _gradient(record.flows.get("final"))
    tested = dict(record.result["test"])
    met = tested.pop(MET, None)
    told += [f"test {name} {value:.4g}" for name, value in tested.items()]
    if met is not None:
        told.append(f"the criterion {'is' if met else 'is not'} met on the test set")
    console.print(
        f"{', '.join(told)}\nrun {run_id} in experiment {SINGLE_RUNS!r}; browse: longlag ui"
    )
    if config.task.writes and record.outcome != "diverged":
        prompt = "" if config.task.reads != "generated" else " --prompt …"
        console.print(f"let it write: longlag sample {run_id[:8]}{prompt}")
    return asked_to_stop.exit_code if asked_to_stop.is_set() else 0


def _written(store: Store, experiment: str, spool: Spool, record: TrialRecord) -> str:
    """The id of the record's run. Raises UserError when the store is away; it then waits."""
    try:
        spool.put(record)
    except OSError as error:
        kept = f"the run is lost ({reason(error)})"
    else:
        kept = f"the run waits in {spool.folder}, and the next `longlag train` files it"
    try:
        run_id = store.write(experiment, record.to_run())
    except StoreError as error:
        raise UserError(f"{error}; {kept}") from None
    spool.remove(record)
    return run_id


def _file_waiting(store: Store, experiment: str, spool: Spool, console: Console) -> None:
    """Runs that could not be written when they ended."""
    for record in spool:
        run_id = store.write(experiment, record.to_run())
        spool.remove(record)
        console.print(f"{record.name}, trained earlier, is filed as run {run_id}")
    for notice in [*store.notices, *spool.notices]:
        console.print(notice)


def _ended(outcome: str, steps: int, given: int) -> str:
    updates = f"{steps} update{'s' * (steps != 1)}"
    if outcome == "budget" and steps < given:
        return f"not solved; ended after {updates}, by train.patience"
    if outcome == "budget":
        return f"not solved in {updates}, which is all it was given"
    return f"{'stopped' if outcome == 'pruned' else outcome} after {updates}"


def _gradient(flow: Mapping[str, Any] | None) -> list[str]:
    """How its norm falls with the lag; nothing where it is not finite, or too short for a slope."""
    if flow is None or flow["log_slope_per_step"] is None:
        return []
    life = flow["half_life_steps"]
    return [f"gradient half-life {life:.3g} steps" if life else "gradient does not decay"]


def _line(evaluation: Evaluation) -> str:
    """The losses and the task's metrics, which fit 80 columns; the rest is in the run."""
    names = {"train/loss": "train loss", "validation/loss": "validation loss"}
    told = [
        f"{names.get(name, name.removeprefix('validation/'))} {value:.4g}"
        for name, value in evaluation.values.items()
        if name == "train/loss" or name.startswith("validation/")
    ]
    return f"{evaluation.step:>7}  {'  '.join(told)}"


def _now() -> int:
    return int(time.time() * 1000)

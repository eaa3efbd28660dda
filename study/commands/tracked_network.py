"""The network of a run that was tracked, with the parameters that it kept."""

from dataclasses import dataclass

from study.base.errors import UserError
from study.base.toml import read_toml
from study.networks.model import Model
from study.tracking.run_record import card_of
from study.tracking.store import SINGLE_RUNS, Store
from study.trial.config import TrialConfig, flatten
from study.trial.construction import build_model
from study.trial.weights import WEIGHTS, NotParameters, load


@dataclass(frozen=True)
class Tracked:
    """A run's configuration, and its network with the parameters after ``best_step`` updates, which
    solved the task or had the best validation loss."""

    run_id: str
    config: TrialConfig
    model: Model
    best_step: int


def tracked(store: Store, run_id: str | None) -> Tracked:
    """Of a run, the last one of `longlag train` when None; the beginning of an id will do where only
    one of `longlag train` begins so.

    Raises UserError when there is no such run, or none that kept its parameters.
    """
    found = store.newest(SINGLE_RUNS) if run_id is None else store.run(SINGLE_RUNS, run_id)
    try:
        with store.artifact(found, "config.toml") as file:
            settings = read_toml(file)
    except UserError:
        raise UserError(
            f"run {found} has no configuration that can be read: it is an arm, or no training that ended"
        ) from None
    config = TrialConfig.from_flat(flatten(settings))
    if not config.task.has_data_of(card_of(store.tags(found))):
        raise UserError(
            f"the data of task {config.task.name!r} are not those that run {found} was trained on; "
            "put the files back where they were"
        )
    again = (
        "train its config.toml again with `longlag train --config FILE`; it is in "
        f"{store.artifacts_of(found)}"
    )
    try:
        with store.artifact(found, WEIGHTS) as file:
            parameters = load(file)
    except NotParameters:
        raise UserError(f"{WEIGHTS} of run {found} is damaged: {again}") from None
    except UserError:
        raise UserError(
            f"run {found} kept no parameters, as those of `longlag train` do, and a study's "
            f"confirmations: {again}"
        ) from None
    model = build_model(config)
    try:
        model.load_state_dict(parameters)
    except RuntimeError:
        raise UserError(
            f"the parameters of run {found} are not those of its configuration's network, another "
            f"version of longlag may have written them: {again}"
        ) from None
    if not all(bool(p.isfinite().all()) for p in parameters.values()):
        raise UserError(
            f"the parameters of run {found} are not finite, so nothing can be done with them; train "
            "another"
        )
    return Tracked(found, config, model, int(store.metrics(found).get("best/step", 0)))


def converged(store: Store, run_id: str) -> Tracked:
    """As `tracked`, of a run that is to be measured. Raises UserError for one that diverged too."""
    found = tracked(store, run_id)
    if store.tags(found.run_id).get("outcome") == "diverged":
        raise UserError(
            f"run {found.run_id} diverged, so it has no trained network to measure; train another, with "
            "a lower train.lr or with clipping"
        )
    found.config.task.check_data()
    return found

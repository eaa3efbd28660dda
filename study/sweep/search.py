"""Optuna: which configuration an arm tries next, and which trial is not worth finishing.

The only file that imports optuna. One Optuna study an arm, all of a space in one journal file; the
driver is its single writer.
"""

import json
import math
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.pruners import BasePruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, Trial, TrialState

from study.base.errors import UserError
from study.base.seeding import derive
from study.spaces.space import (
    Arm,
    Searched,
    Space,
    check_unchanged,
    complete,
    identity,
    planned_trials,
)
from study.sweep.design import number_at, quantile, whole_number_at
from study.trial.config import Flat, TrialConfig, kind_of

optuna.logging.set_verbosity(optuna.logging.ERROR)
# TPE's group=True; a trial run again after a restart, which reports the same steps again.
warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
warnings.filterwarnings("ignore", message="The reported value is ignored", module="optuna")

STARTUP = 10  # trials before TPE models anything
HALVINGS = 3  # rungs at 1/8, 1/4 and 1/2 of the budget, the better half goes on


def open_searches(space: Space, path: Path) -> dict[str, "ArmSearch"]:
    """One search an arm, by its slug, all in one journal. The caller must hold the study's lock.

    Raises UserError, having written nothing, when the journal cannot be read or was begun with
    another search space.
    """
    journal = Journal(path)
    # Several, where arms were added; the later ones have all that the earlier ones had.
    for before in dict.fromkeys(a["space"] for a in journal.studies.values() if "space" in a):
        check_unchanged(space, json.loads(before))
    return {arm.slug: ArmSearch(space, arm, journal) for arm in space.tuned()}


class Journal:
    """The file that holds every arm's trials. ``studies`` are there already: name -> attributes."""

    def __init__(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _repair(path)
            check_once(path)
            self.storage = JournalStorage(JournalFileBackend(str(path)))
            summaries = optuna.get_all_study_summaries(self.storage, include_best_trial=False)
        except UserError:
            raise
        except Exception as error:  # whatever a damaged file makes of Optuna's reader
            raise UserError(f"cannot read the journal {path}: {error}") from None
        self.studies = {summary.study_name: summary.user_attrs for summary in summaries}

    def absorb(self, other: "Journal", prefix: str, name: str) -> None:
        """Take in the trials of another machine's journal of the study ``prefix``, under ``name``.

        What has ended in one of the two has ended then. Raises UserError, having written nothing, when
        two trials of the same number differ.
        """
        pairs = [
            (own, name + own.removeprefix(prefix))
            for own in other.studies
            if own.startswith(f"{prefix}/")
        ]
        theirs = {own: optuna.load_study(study_name=own, storage=other.storage) for own, _ in pairs}
        ours = {
            mine: optuna.load_study(study_name=mine, storage=self.storage)
            for _, mine in pairs
            if mine in self.studies
        }
        for own, mine in pairs:
            if mine in ours:
                _check_equal(theirs[own], ours[mine], mine)
        for own, mine in pairs:
            found = ours.get(mine)
            if found is None:
                found = optuna.create_study(study_name=mine, storage=self.storage)
                for key, value in theirs[own].user_attrs.items():
                    found.set_user_attr(key, _renamed(value, name) if key == "space" else value)
            _complete(found, theirs[own], self.storage)


def _check_equal(theirs: optuna.Study, ours: optuna.Study, name: str) -> None:
    for a, b in zip(
        theirs.get_trials(deepcopy=False), ours.get_trials(deepcopy=False), strict=False
    ):
        given = [t.params or t.system_attrs.get("fixed_params", {}) for t in (a, b)]
        if given[0] and given[1] and given[0] != given[1]:
            raise UserError(
                f"trial {a.number} of {name} has other settings here than there, so the two are no parts "
                "of one study; import it under another name (--as NAME)"
            )


def _complete(ours: optuna.Study, theirs: optuna.Study, storage: JournalStorage) -> None:
    """Trials that are only there are added in their order; those that ended only there are ended."""
    here = ours.get_trials(deepcopy=False)
    for trial in theirs.get_trials(deepcopy=True):
        if trial.number >= len(here):
            ours.add_trial(trial)
            continue
        mine = here[trial.number]
        if mine.state.is_finished() or not trial.state.is_finished():
            continue
        if mine.state == TrialState.WAITING:
            storage.set_trial_state_values(mine._trial_id, TrialState.RUNNING)
        for key, value in trial.params.items():
            if key not in mine.params:
                kind = trial.distributions[key]
                storage.set_trial_param(mine._trial_id, key, kind.to_internal_repr(value), kind)
        for step, value in trial.intermediate_values.items():
            if step not in mine.intermediate_values:
                storage.set_trial_intermediate_value(mine._trial_id, step, value)
        for key, value in trial.user_attrs.items():
            storage.set_trial_user_attr(mine._trial_id, key, value)
        storage.set_trial_state_values(mine._trial_id, trial.state, trial.values)


def _renamed(space: str, name: str) -> str:
    return json.dumps(json.loads(space) | {"name": name})


def _repair(path: Path) -> None:
    """Undo what a kill in the middle of a write leaves: a stale lock, half a last line."""
    for stale in path.parent.glob(f"{path.name}.lock*"):
        stale.unlink(missing_ok=True)
    if path.exists():
        content = path.read_bytes()
        whole, _, half = content.rpartition(b"\n")
        if whole:
            # Optuna passes over a last line that is no JSON, and fails at the next write.
            json.loads(whole.rpartition(b"\n")[2])
        if half:
            with path.open("r+b") as file:
                file.truncate(len(content) - len(half))


def check_once(path: Path) -> None:
    """Raises UserError when the journal has its beginning twice, as `cat` makes of two copies: every
    trial would count double."""
    begun: dict[str, int] = {}
    if not path.exists():
        return
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if b'"op_code":0' not in line.replace(b" ", b""):
                continue
            name = json.loads(line)["study_name"]
            if name in begun:
                raise UserError(
                    f"the journal {path} begins again at line {number}, as if it had been copied "
                    f"onto its own end; put back what was there before, or its first {number - 1} lines"
                )
            begun[name] = number


class ArmSearch:
    """One search of one arm: ask, report, prune, tell."""

    def __init__(self, space: Space, arm: Arm, journal: Journal) -> None:
        self.space, self.arm = space, arm
        self._searched = space.searched(arm)
        self._baselines = space.baselines_of(arm)
        self.seed = search_seed(space, arm.search)
        self._planned = planned_trials(space)  # counting a grid means laying it out
        timing = ("train.steps", "train.evaluate_every")
        config = TrialConfig.from_flat({k: v for k, v in arm.settings.items() if k in timing})
        self._updates = config.train.steps
        name = f"{space.name}/{arm.slug}"
        # Optuna's own load_if_exists would write a line into the journal at every start.
        open_study = optuna.load_study if name in journal.studies else optuna.create_study
        self._study = open_study(
            study_name=name,
            storage=journal.storage,
            sampler=RandomSampler(0),
            pruner=_pruner(space, config),
        )
        if "space" not in journal.studies.get(name, {}):
            self._study.set_user_attr("space", json.dumps(identity(space)))
        if space.sampler == "grid":
            # From where a kill while they were being laid out may have left them.
            queued = len(self._study.get_trials(deepcopy=False))
            for settings in space.grid(arm)[queued:]:
                self._study.enqueue_trial(_as_parameters(settings))

    @property
    def trials(self) -> list[FrozenTrial]:
        waiting = TrialState.WAITING
        return [t for t in self._study.get_trials(deepcopy=False) if t.state != waiting]

    @property
    def finished(self) -> set[int]:
        """The numbers of the trials that have ended."""
        return {t.number for t in self.trials if t.state.is_finished()}

    def attempts(self, number: int) -> int:
        """How often a trial was begun."""
        trial = next(t for t in self.trials if t.number == number)
        return int(trial.user_attrs.get("attempt", 0))

    def pruned_at(self, number: int) -> int | None:
        """The update at which a trial was pruned; None for one that was not."""
        trial = next(t for t in self.trials if t.number == number)
        pruned = trial.state == TrialState.PRUNED
        return max(trial.intermediate_values) if pruned else None

    def source(self, number: int) -> str:
        """Whose settings a trial tries; empty where they are drawn."""
        return self._baselines[number].source if number < len(self._baselines) else ""

    @property
    def remaining(self) -> int:
        """Trials still to be asked for."""
        return max(self._planned - len(self.trials), 0)

    def unfinished(self) -> list[Trial]:
        """Trials begun by an earlier sweep that never ended."""
        running = (t for t in self.trials if t.state == TrialState.RUNNING)
        return [Trial(self._study, t._trial_id) for t in running]

    def ask(self) -> Trial:
        """The next trial."""
        self._study.sampler = self._sampler(len(self.trials))
        return self._study.ask()

    def configure(self, trial: Trial) -> Flat:
        """The trial's settings; for a resumed trial those it was given at first."""
        return self._settings(trial.number, lambda name: self._suggest(trial, name))

    def configured(self, number: int) -> Flat:
        """The settings that a trial had."""
        given = next(t for t in self.trials if t.number == number).params
        return self._settings(number, given.__getitem__)

    def _settings(self, number: int, choose: Callable[[str], Any]) -> Flat:
        settings: Flat = {"seed": trial_seed(self.seed, number), **self.arm.settings}
        for name, searched in self._searched.items():
            if searched.active(complete(settings)):
                value = choose(name)
                if searched.values is not None:
                    value = json.loads(value)
                settings[name] = 1 - value if searched.log_below_one else value
        return settings

    def _suggest(self, trial: Trial, name: str) -> Any:
        """A value for one parameter.

        What is drawn goes by the trial's number and the parameter: the same however often the
        sweep was resumed, and in every arm, so that no arm is luckier with its draws than another.
        """
        searched = self._searched[name]
        given = self._baselines[trial.number].settings if self.source(trial.number) else {}
        self._study.sampler = (
            _Given(given[name], searched) if name in given else self._sampler(trial.number, name)
        )
        if searched.values is not None:
            # As JSON text, because to Optuna's choices true and 1 are the same.
            return trial.suggest_categorical(name, [json.dumps(v) for v in searched.values])
        low, high = searched.range
        if kind_of(name) is int:
            return trial.suggest_int(name, int(low), int(high), log=searched.log)
        if searched.log_below_one:
            return trial.suggest_float(name, 1 - high, 1 - low, log=True)
        return trial.suggest_float(name, low, high, log=searched.log)

    def _sampler(self, *path: object) -> BaseSampler:
        seed = derive(self.seed, "sampler", *path)
        if self.space.sampler == "random":
            return RandomSampler(seed)
        ended = sum(t.state in (TrialState.COMPLETE, TrialState.PRUNED) for t in self.trials)
        if self.space.sampler == "tpe" and ended >= STARTUP:
            return TPESampler(
                n_startup_trials=STARTUP,
                multivariate=True,
                group=True,
                constant_liar=True,
                seed=seed,
            )
        return DesignSampler(self.space, self.seed)

    def report(self, trial: Trial, step: int, relative_loss: float) -> bool:
        """Tell an intermediate value; True when the trial should be pruned.

        One that has used all its updates is not: there is nothing left to save.
        """
        if not math.isfinite(relative_loss):
            return False
        trial.report(relative_loss, step)
        budget = json.loads(str(trial.params.get("train.steps", self._updates)))
        if self.space.pruner == "none" or step >= budget:
            return False
        if self.space.pruner == "beaten":
            return self._beaten(step, budget)
        # Optuna answers with a numpy bool at times, which no worker could be told.
        return bool(trial.should_prune())

    def _beaten(self, step: int, budget: int) -> bool:
        """Whether an ended trial's score is as low as one can still get that is unsolved by now."""
        told = (t.value for t in self.trials if t.state == TrialState.COMPLETE)
        return any(value is not None and value <= step / budget - 1 for value in told)

    def tell(self, number: int, outcome: str, score: float | None) -> None:
        """Finish a trial; one that is finished already is left alone."""
        trial = next(t for t in self.trials if t.number == number)
        if trial.state.is_finished():
            return
        if outcome == "failed" or score is None:
            self._study.tell(number, state=TrialState.FAIL)
        elif outcome == "pruned" and trial.intermediate_values:
            self._study.tell(number, state=TrialState.PRUNED)
        else:
            self._study.tell(number, score)


def search_seed(space: Space, search: int) -> int:
    """Of all seeds of one search; the first search's is the study's."""
    return derive(space.seed, "search", search) if search else space.seed


def trial_seed(seed: int, number: int) -> int:
    """Trial k has the same seed in every arm, so that arms are compared on the same sequences."""
    return derive(seed, "trial", number)


def rerun_seed(seed: int, index: int) -> int:
    """The same for every finalist of every arm; no trial has it, but for a chance of 2^-30 a pair."""
    return derive(seed, "rerun", index)


def confirmation_seed(seed: int, index: int) -> int:
    """The same in every arm; no trial and no rerun has it, but for a chance of 2^-30 a pair."""
    return derive(seed, "confirmation", index)


class _Independent(BaseSampler):
    """Draws each parameter by itself."""

    def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, BaseDistribution]:
        return {}

    def sample_relative(self, study: Any, trial: Any, search_space: Any) -> dict[str, Any]:
        return {}


class _Given(_Independent):
    """One value, as Optuna is asked for it."""

    def __init__(self, value: Any, searched: Searched) -> None:
        scaled = 1 - value if searched.log_below_one else value
        self._value = scaled if searched.values is None else json.dumps(value)

    def sample_independent(
        self, study: Any, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self._value


class DesignSampler(_Independent):
    """Every parameter where the study's design has it; a dimension each, as [search] lists them.

    A parameter that an arm or a trial does not have leaves the others where they are.
    """

    def __init__(self, space: Space, seed: int) -> None:
        self._seed = seed
        self._dimensions = {name: place for place, name in enumerate(space.search)}

    def sample_independent(
        self, study: Any, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        kind: Any = param_distribution
        share = quantile(self._seed, param_name, self._dimensions[param_name], trial.number)
        if isinstance(kind, CategoricalDistribution):
            return kind.choices[int(share * len(kind.choices))]
        if isinstance(kind, IntDistribution):
            return whole_number_at(share, kind.low, kind.high, log=kind.log)
        return number_at(share, kind.low, kind.high, log=kind.log)


def _pruner(space: Space, config: TrialConfig) -> BasePruner:
    first = max(config.train.steps // 2**HALVINGS, config.train.evaluate_every)
    if space.pruner == "halving":
        return SuccessiveHalvingPruner(min_resource=first, reduction_factor=2)
    if space.pruner == "median":
        return MedianPruner(n_startup_trials=4, n_warmup_steps=2 * first)
    return NopPruner()


def _as_parameters(settings: Mapping[str, Any]) -> dict[str, str]:
    return {name: json.dumps(value) for name, value in settings.items()}

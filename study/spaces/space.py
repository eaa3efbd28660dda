"""A study's search space: which arms are compared, and what is searched in each."""

import itertools
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from study.base.errors import UserError
from study.base.labels import slug_of, spoken
from study.base.limits import NOTES, QUESTION, SEED, text_problem
from study.base.seeding import derive
from study.base.toml import Scalar
from study.engines.select import check_engine
from study.spaces.baseline import Baseline
from study.spaces.index import TRIALS
from study.trial.config import GROUPS, Flat, TrialConfig, full_name

PROBES_SETTING = "train.probes"


class Searched(BaseModel):
    """One parameter tuned inside every arm: a range, or a list of values.

    ``log`` draws evenly on a log scale, ``log_below_one`` on a log scale of the distance to 1, as
    for a momentum. ``when`` restricts it to configurations where each named parameter has one of the
    values.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    low: int | float | None = None
    high: int | float | None = None
    log: bool = False
    log_below_one: bool = False
    values: tuple[Scalar, ...] | None = None
    when: dict[str, tuple[Scalar, ...]] = Field(default_factory=dict)

    def holds(self, value: Scalar) -> bool:
        """Whether a value can be drawn."""
        if self.values is not None:
            return any(type(v) is type(value) and v == value for v in self.values)
        low, high = self.range
        return not isinstance(value, str | bool) and low <= value <= high

    def active(self, settings: Mapping[str, Any]) -> bool:
        return all(settings.get(name) in allowed for name, allowed in self.when.items())

    @property
    def range(self) -> tuple[float, float]:
        """low and high, which a parameter without values has."""
        if self.low is None or self.high is None:
            raise ValueError("a list of values has no range")
        return self.low, self.high

    def extremes(self) -> tuple[Scalar, ...]:
        """The values that must be valid for all others to be."""
        return self.range if self.values is None else self.values


class Space(BaseModel):
    """A named comparison. ``compare``: axis -> label -> settings; every arm gets ``trials`` trials.

    Without a ``seed`` it goes by the name, so that no two studies share what chance gave the first.
    ``pruner``: "beaten" stops a trial that can no longer become its arm's best; "halving" and "median" go
    by the loss at the same update, and stop trials on a plateau that would have solved the task.
    ``finalists``: so many of an arm's trials, those of the lowest scores, are run again on ``reruns``
    fresh seeds, and the one that solves its task most often is confirmed; with 1 or with 0 reruns it is
    the one of the lowest score, which may have had luck with its seed. ``searches``: how often the whole
    search of an arm is done, each time with other draws and seeds and with confirmations of its own.
    ``ranges``: axis -> label -> what an arm with that label searches in place of ``search``.
    ``baselines`` are tried by their arms as the first trials. ``probes`` is ``train.probes`` of every
    arm; None leaves that to the arms. It changes nothing that is learned, so a study may go on with others.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: str
    question: str = ""
    notes: str = ""
    sampler: Literal["sobol", "random", "grid", "tpe"] = "sobol"
    pruner: Literal["none", "beaten", "halving", "median"] = "none"
    trials: int = Field(default=TRIALS, ge=1, le=100_000)
    finalists: int = Field(default=3, ge=1, le=100)
    reruns: int = Field(default=3, ge=0, le=100)
    confirmations: int = Field(default=10, ge=0, le=1000)
    searches: int = Field(default=1, ge=1, le=20)
    probes: str | None = None
    seed: int = Field(
        default_factory=lambda given: derive(0, "study", given["name"]), ge=0, le=SEED
    )
    fixed: dict[str, Scalar] = Field(default_factory=dict)
    compare: dict[str, dict[str, Flat]] = Field(default_factory=dict)
    search: dict[str, Searched] = Field(default_factory=dict)
    ranges: dict[str, dict[str, dict[str, Searched]]] = Field(default_factory=dict)
    baselines: tuple[Baseline, ...] = ()

    @field_validator("question", "notes")
    @classmethod
    def _can_be_stored(cls, text: str, info: ValidationInfo) -> str:
        most = QUESTION if info.field_name == "question" else NOTES
        if problem := text_problem(text, most):
            raise ValueError(problem)
        return text

    @field_validator("probes", mode="before")
    @classmethod
    def _names_of_probes(cls, given: Any) -> Any:
        """A list of names is the same as the names between commas."""
        if isinstance(given, list) and given and all(isinstance(name, str) for name in given):
            return ",".join(given)
        return given

    @property
    def arm_count(self) -> int:
        return math.prod(len(labels) for labels in self.compare.values())

    def tuned(self) -> list["Arm"]:
        """Every arm, as often as it is searched: what the trials of a sweep belong to."""
        return [replace(arm, search=n) for n in range(self.searches) for arm in self.arms()]

    def arms(self) -> list["Arm"]:
        """Every combination of the compared axes' labels, the last axis turning fastest."""
        axes = list(self.compare)
        combinations = itertools.product(*(self.compare[axis] for axis in axes))
        everywhere = self.fixed | ({} if self.probes is None else {PROBES_SETTING: self.probes})
        return [
            Arm(
                labels=dict(zip(axes, labels, strict=True)),
                settings=everywhere
                | {
                    k: v
                    for a, label in zip(axes, labels, strict=True)
                    for k, v in self.compare[a][label].items()
                },
                ranges={
                    name: searched
                    for a, label in zip(axes, labels, strict=True)
                    for name, searched in self.ranges.get(a, {}).get(label, {}).items()
                },
            )
            for labels in combinations
        ]

    def searched(self, arm: "Arm") -> dict[str, Searched]:
        """What is searched in an arm, in the order of [search]."""
        return {name: arm.ranges.get(name, searched) for name, searched in self.search.items()}

    def baselines_of(self, arm: "Arm") -> list[Baseline]:
        """Those that an arm tries, as its first trials."""
        return [baseline for baseline in self.baselines if baseline.of(arm.labels)]

    def example(self, arm: "Arm", pinned: Mapping[str, Scalar] | None = None) -> Flat:
        """One of an arm's configurations: pinned values, else each active parameter's first one."""
        settings = dict(arm.settings)
        for name, searched in self.searched(arm).items():
            if searched.active(complete(settings)):
                settings[name] = (pinned or {}).get(name, searched.extremes()[0])
        return settings

    def grid(self, arm: "Arm", most: int | None = None) -> list[Flat]:
        """Every combination of the searched values that are active together, for sampler "grid".

        No more than ``most`` of them are made.
        """

        search = self.searched(arm)

        def grow(chosen: Flat, rest: list[str]) -> Iterator[Flat]:
            if not rest:
                yield chosen
                return
            name, *others = rest
            if not search[name].active(complete(arm.settings | chosen)):
                yield from grow(chosen, others)
                return
            for value in search[name].values or ():
                yield from grow(chosen | {name: value}, others)

        return list(itertools.islice(grow({}, list(search)), most))

    def described(self) -> dict[str, Any]:
        """As JSON can hold it; what a resumed sweep is compared with."""
        described = self.model_dump(mode="json", exclude_none=True)
        return {k: v for k, v in described.items() if v or k not in ("ranges", "baselines")}


@dataclass(frozen=True)
class Arm:
    """One combination of the compared axes, in one of its searches, which count from 0.

    ``ranges`` are its own, in place of those of the space.
    """

    labels: dict[str, str]
    settings: Flat
    search: int = 0
    ranges: Mapping[str, Searched] = field(default_factory=dict)

    @property
    def slug(self) -> str:
        """The first search's is the arm's own, so that a study may be given more of them."""
        return slug_of(",".join(self.labels.values()) or "all", self.search)

    @property
    def title(self) -> str:
        name = " · ".join(itertools.starmap(spoken, self.labels.items())) or "all"
        return f"{name} · search {self.search + 1}" if self.search else name


@cache
def _defaults(named: frozenset[str]) -> Flat:
    """Those of everything but the groups of which the names are given."""
    # Asked for at every node of a grid, and building a configuration is slow beside looking it up.
    return {
        name: value
        for name, value in TrialConfig().flat().items()
        if not any(name.startswith(f"{group}.") for group in named)
    }


def complete(settings: Mapping[str, Any]) -> Flat:
    """The settings with the defaults of everything not set, for conditions to look at."""
    named = {full_name(k): v for k, v in settings.items()}
    return _defaults(frozenset(g for g in GROUPS if f"{g}.name" in named)) | named


def check_files(space: Space) -> None:
    """Raises MissingFiles when an arm's task needs files that are not there."""
    for arm in space.arms():
        TrialConfig.from_flat(space.example(arm))


def check_data(space: Space) -> list[str]:
    """What to know of the arms' data. Raises UserError when their files cannot be used, or an arm's
    engine cannot run."""
    configs = [TrialConfig.from_flat(space.example(arm)) for arm in space.arms()]
    remarks: list[str] = []
    for task in {config.task.model_dump_json(): config.task for config in configs}.values():
        task.check_data()
        remarks += task.remarks
    for engine in {config.train.engine for config in configs}:
        check_engine(engine)
    return list(dict.fromkeys(remarks))


def planned_trials(space: Space) -> int:
    """Trials of the search, an arm."""
    return len(space.grid(space.arms()[0])) if space.sampler == "grid" else space.trials


def identity(space: Space) -> dict[str, Any]:
    """What must not change while a study goes on, but for further labels of its axes; more trials and
    other words may."""
    counts = ("trials", "finalists", "reruns", "confirmations", "searches")
    free = (*counts, "question", "notes", "probes")
    kept = {key: value for key, value in space.described().items() if key not in free}
    # Journals of earlier versions have none, and other draws in TPE's first trials.
    return kept | ({"start of tpe": "sobol"} if space.sampler == "tpe" else {})


def check_unchanged(space: Space, before: Mapping[str, Any]) -> None:
    """Raises UserError when the study was begun with another space; ``before`` is its `identity`."""
    now = identity(space)
    differences = _differences(before, _without_new_arms(now, before))
    if differences:  # a label that is new may be one that is gone, under another name
        differences = _differences(before, now)
    names = [list(each.get("search", {})) for each in (before, now)]
    # As tables they are equal, but the order is that of the dimensions of what is drawn.
    if not differences and space.sampler in ("sobol", "tpe") and names[0] != names[1]:
        differences = [f"the order of [search] was {', '.join(names[0])}"]
    if differences:
        raise UserError(
            f"study {space.name!r} was begun with another search space: "
            f"{'; '.join(differences)}. Put the old values back, or sweep under a new name "
            "(--as NAME); further values on an axis are no change, nor are more trials, finalists, "
            "reruns, confirmations or searches"
        )


def _without_new_arms(now: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """Without the labels that an axis has got since: arms that are added."""
    axes = {
        axis: {k: v for k, v in labels.items() if k in before["compare"].get(axis, labels)}
        for axis, labels in now["compare"].items()
    }
    ranges = {
        axis: kept
        for axis, labels in now.get("ranges", {}).items()
        if (kept := {k: v for k, v in labels.items() if k in axes.get(axis, {})})
    }
    baselines = [
        baseline
        for baseline in now.get("baselines", [])
        if all(label in axes.get(axis, {}) for axis, label in baseline["where"].items())
    ]
    rest = {k: v for k, v in now.items() if k not in ("ranges", "baselines")}
    more = {"ranges": ranges, "baselines": baselines}
    return {**rest, "compare": axes} | {k: v for k, v in more.items() if v}


def _differences(before: Any, now: Any, path: str = "") -> list[str]:
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        keys = [*before, *(key for key in now if key not in before)]
        return [
            difference
            for key in keys
            for difference in _differences(before.get(key), now.get(key), f"{path} {key}".strip())
        ]
    if before == now:
        return []
    if before is None:
        return [f"{path} is new"]
    if now is None:
        return [f"{path} is gone"]
    return [f"{path} was {json.dumps(before)}, is {json.dumps(now)}"]

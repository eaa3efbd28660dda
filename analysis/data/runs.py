"""A study's MLflow runs as tidy DataFrames."""

import json
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import pandas as pd

from analysis.data import columns
from analysis.data.choice import as_one, choose, each_once, latest_attempts, of_chosen
from analysis.data.columns import frame
from analysis.data.initial_flow import initial_flow
from analysis.data.probed import Probed
from analysis.data.tasks import Task, number, read_task
from study.base.labels import arm_and_search, spoken
from study.tracking.run_record import card_of, is_superseded

if TYPE_CHECKING:
    from study.tracking.run_record import MetricPoint, RunRecord, StudyRecord

ENDED = ("solved", "budget", "pruned", "diverged", "failed")
_FLOW = re.compile(r"gradient_flow/(init|final)/(?!half_life_steps$|log_slope_per_step$)([^/]+)")


class Reader(Protocol):
    """What is read from: `study.tracking.store.Store`."""

    def study(self, name: str) -> "StudyRecord": ...

    def histories(self, run_ids: Sequence[str], keys: Sequence[str]) -> "list[MetricPoint]": ...

    def artifact_text(self, run_id: str, path: str) -> str: ...


@dataclass(frozen=True, eq=False)  # DataFrames have no single truth of being equal
class Results:
    """Everything that a report draws on; see `analysis.data.columns` for the columns.

    ``reruns`` are the runs of finalists on fresh seeds, by which an arm's trial is chosen. They,
    ``trials`` and ``confirmations`` also have a column ``param.<name>`` for each searched parameter.
    ``curves`` and ``flows`` hold the confirmations and the chosen trials of every arm. ``notices``
    say what was missing or odd in the store, in words. ``ranges``: arm -> what it searched in ranges of
    its own. ``probed`` reads what the probes found, of the same runs as ``curves``, when it is asked; what
    it cannot read is told in ``notices`` too.
    """

    study: str
    experiment_id: str
    space: Mapping[str, Any]
    tags: Mapping[str, str]
    tasks: Mapping[str, Task]
    arms: pd.DataFrame
    trials: pd.DataFrame
    reruns: pd.DataFrame
    confirmations: pd.DataFrame
    curves: pd.DataFrame
    flows: pd.DataFrame
    notices: Sequence[str] = ()
    ranges: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    probed: Probed = field(default_factory=Probed)

    @property
    def architectures(self) -> list[str]:
        return list(dict.fromkeys(self.arms["architecture"]))

    @property
    def searched(self) -> Mapping[str, Mapping[str, Any]]:
        return self.space.get("search", {})

    def searched_in(self, arm: str) -> Mapping[str, Mapping[str, Any]]:
        """What was searched in an arm, by parameter."""
        own = self.ranges.get(arm, {})
        return {name: own.get(name, spec) for name, spec in self.searched.items()}

    def runs(self) -> pd.DataFrame:
        """Trials, reruns and confirmations in one table, with the columns that each of them has."""
        return pd.concat([self.trials, self.reruns, self.confirmations], ignore_index=True)

    def shown(self, table: pd.DataFrame) -> pd.DataFrame:
        """Of an arm's rows the confirmations', or where it has none those of its chosen trial."""
        confirmed = set(table.loc[table["role"] == "confirmation", "arm"])
        return table[(table["role"] == "confirmation") | ~table["arm"].isin(confirmed)]


def read_study(store: Reader, name: str) -> Results:
    """Read a study. Raises UserError when the store has none of that name."""
    record = store.study(name)
    notices: list[str] = []
    parents = _one_an_arm(record.runs, notices)
    space = _space(store, parents, notices)
    task_axes = _task_axes(space)
    tasks: dict[str, Task] = {}
    searches = [_arm_row(run, task_axes, tasks) for run in _in_order(parents, space)]
    by_run = {row["arm_run_id"]: row for row in searches}
    by_slug = {row["slug"]: row for row in searches}
    searched = space.get("search", {})

    rows: dict[str, list[dict[str, Any]]] = {"trial": [], "rerun": [], "confirmation": []}
    for run in record.runs:
        role = run.tags.get("role", "")
        arm = by_run.get(run.parent_id or "") or by_slug.get(run.tags.get("arm", ""))
        if role not in rows or is_superseded(run.tags):
            continue
        lack = "belongs to no arm of this study" if arm is None else "has no tag 'trial_key'"
        if arm is None or not run.tags.get("trial_key"):
            notices.append(f"Run {run.run_id} {lack} and is left out.")
            continue
        rows[role].append(_run_row(run, role, arm, tasks[arm["task"]], searched))

    trials = latest_attempts(rows["trial"], notices)
    choose(trials, searches, notices)
    confirmations = of_chosen(rows["confirmation"], searches)
    reruns = each_once(rows["rerun"])
    extra: columns.Columns = {
        f"param.{name}": ("object", "searched parameter") for name in searched
    }
    chosen = [row for row in trials if row["chosen"]]
    shown = chosen + confirmations
    flow_keys = sorted({k for run in record.runs for k in run.metrics if _FLOW.fullmatch(k)})
    return Results(
        study=record.name,
        experiment_id=record.experiment_id,
        space=space,
        tags=_code_tags(record.tags, parents),
        tasks=tasks,
        arms=frame(as_one(searches), columns.ARMS),
        trials=frame(trials, {**columns.RUNS, **extra}),
        reruns=frame(reruns, {**columns.RUNS, **extra}),
        confirmations=frame(confirmations, {**columns.RUNS, **extra}),
        curves=_curves(store, shown, tasks),
        flows=_flows(store, shown, flow_keys),
        notices=notices,
        ranges={
            row["arm"]: found for row in searches if (found := _own_ranges(row["axes"], space))
        },
        probed=Probed(store.artifact_text, confirmations, chosen, notices),
    )


def _space(store: Reader, parents: Sequence["RunRecord"], notices: list[str]) -> dict[str, Any]:
    for run in parents:
        try:
            space = json.loads(store.artifact_text(run.run_id, "space.json"))
        except (OSError, ValueError):  # UserError is a ValueError
            continue
        if isinstance(space, dict):
            return space
    notices.append(
        "No arm has its search space (space.json); what was fixed and searched is unknown."
    )
    return {}


def _one_an_arm(runs: Sequence["RunRecord"], notices: list[str]) -> "list[RunRecord]":
    """The arms' runs. Of several of one arm, as when a deleted one came back in MLflow, the one that
    most trials are under, and of those the last."""
    children = Counter(run.parent_id for run in runs)
    found: dict[str, RunRecord] = {}
    arms = [r for r in runs if r.tags.get("role") == "arm" and not is_superseded(r.tags)]
    for run in arms:
        arm = run.tags.get("arm", run.name)
        if arm not in found or children[run.run_id] >= children[found[arm].run_id]:
            found[arm] = run
    for run in arms:
        if run not in found.values():
            notices.append(f"Run {run.run_id} is a second one of arm {run.name} and is left out.")
        elif "task.card" in run.tags and not card_of(run.tags):
            notices.append(f"What arm {run.name} says of its task (task.card) cannot be read.")
    return list(found.values())


def _in_order(parents: Sequence["RunRecord"], space: Mapping[str, Any]) -> "list[RunRecord]":
    """As the space lists the labels, not by name or time."""
    places = {
        axis: {label: place for place, label in enumerate(labels)}
        for axis, labels in space.get("compare", {}).items()
    }

    def place(run: "RunRecord") -> tuple[int, ...]:
        return tuple(
            known.get(run.tags.get(f"axis.{axis}", ""), len(known))
            for axis, known in places.items()
        )

    in_turn = sorted(parents, key=lambda run: arm_and_search(run.tags.get("arm", run.name))[1])
    return sorted(in_turn, key=place)


def _task_axes(space: Mapping[str, Any]) -> set[str]:
    """The compared axes that change the task: some of their labels set task or task.*."""
    found = {"task"}
    for axis, labels in space.get("compare", {}).items():
        names = {name for settings in labels.values() for name in settings}
        if any(name.split(".")[0] == "task" for name in names):
            found.add(axis)
    return found


def _arm_row(run: "RunRecord", task_axes: set[str], tasks: dict[str, Task]) -> dict[str, Any]:
    axes = {k.removeprefix("axis."): v for k, v in run.tags.items() if k.startswith("axis.")}
    card = card_of(run.tags)
    task_labels = [spoken(axis, label) for axis, label in axes.items() if axis in task_axes]
    other = [spoken(axis, label) for axis, label in axes.items() if axis not in task_axes]
    name = str(card.get("name") or run.params.get("task.name") or "task")
    key = " · ".join(task_labels) or (f"{name}-{card['length']}" if "length" in card else name)
    tasks.setdefault(key, read_task(key, card, run.params))
    slug = run.tags.get("arm", run.name)
    arm, search = arm_and_search(slug)
    return {
        "arm": arm,
        "axes": axes,
        "slug": slug,
        "search": search + 1,
        "task": key,
        "architecture": " · ".join(other) or run.params.get("model.cell", "all"),
        "arm_run_id": run.run_id,
        "cell": run.params.get("model.cell", ""),
        "output": run.tags.get("cell.output", "h"),
        "planned": run.metrics.get("trials/planned", math.nan),
        "budget": number(run.params.get("train.steps")),
        "batch": number(run.params.get("train.batch")),
        "best_trial_key": run.tags.get("best_trial_key", ""),
    }


def _own_ranges(axes: Mapping[str, str], space: Mapping[str, Any]) -> dict[str, Any]:
    """What an arm with these labels searched in ranges of its own."""
    ranges = space.get("ranges", {})
    own = (ranges.get(axis, {}).get(label, {}) for axis, label in axes.items())
    return {name: spec for found in own for name, spec in found.items()}


def _run_row(
    run: "RunRecord",
    role: str,
    arm: Mapping[str, Any],
    task: Task,
    searched: Mapping[str, Any],
) -> dict[str, Any]:
    def metric(key: str) -> float:
        return run.metrics.get(key, math.nan)

    slopes = {s: metric(f"gradient_flow/{s}/log_slope_per_step") for s in ("init", "final")}
    lives = {s: metric(f"gradient_flow/{s}/half_life_steps") for s in ("init", "final")}
    for stage, slope in slopes.items():
        if math.isnan(lives[stage]) and slope >= 0:
            lives[stage] = math.inf
    outcome = run.tags.get("outcome") or {"RUNNING": "running", "FAILED": "failed"}.get(
        run.status, "interrupted"
    )
    budget = metric("budget")  # that of operations may end before train.steps
    budget = number(run.params.get("train.steps")) if math.isnan(budget) else budget
    return {
        **{name: arm[name] for name in ("arm", "search", "task", "architecture")},
        "run_id": run.run_id,
        "output": run.tags.get("cell.output", arm["output"]),
        "trial_key": run.tags.get("trial_key", ""),
        "role": role,
        "outcome": outcome,
        "chosen": False,
        "score": metric("score"),
        "solved": outcome == "solved",
        "steps": metric("steps"),
        "steps_to_solve": metric("steps_to_solve"),
        "budget": arm["budget"] if math.isnan(budget) else budget,
        "validation_loss": metric("best/validation_loss"),
        "validation_metric": metric(f"best/validation_{task.metric}"),
        "test_loss": metric("test/loss"),
        "test_metric": metric(f"test/{task.metric}"),
        "test_met": metric("test/criterion_met"),
        **{name: metric(f"beyond/criterion_{name}") for name in columns.BEYOND},
        "half_life_init": lives["init"],
        "half_life_final": lives["final"],
        "log_slope_init": slopes["init"],
        "log_slope_final": slopes["final"],
        **initial_flow(run.metrics),
        **{name: metric(f"init/{name.removesuffix('_init')}") for name in columns.AUDIT},
        **{name: metric(name.replace("_", "/", 1)) for name in columns.ATTENTION},
        "beam_exact": metric("test/beam_exact"),
        "clip_rule": run.params.get("clip.name", ""),
        "clip_rate": metric("clip_rate"),
        "skipped_steps": metric("skipped_steps"),
        "parameters": metric("parameters"),
        "wall_seconds": metric("wall_seconds"),
        "seconds_per_step": metric("seconds_per_step"),
        "operations_per_update": metric("operations_per_update"),
        "seed": run.params.get("seed", ""),
        "baseline": run.tags.get("baseline", ""),
        "confirms": run.tags.get("confirms") or run.tags.get("repeats", ""),
        **{f"param.{name}": run.params.get(name, "none") for name in searched},
    }


def _curves(store: Reader, rows: list[dict[str, Any]], tasks: Mapping[str, Task]) -> pd.DataFrame:
    telemetry = ("grad_norm", "grad_norm_after", "clipped_share", "limited_share", "grad_cosine")
    keys = ["train/loss", "validation/loss", *(f"train/{name}" for name in telemetry)]
    keys.append("train/omega")
    keys += sorted({f"validation/{task.metric}" for task in tasks.values() if task.metric})
    points = _points(store, rows, keys)
    return frame(
        ({**row, "key": p.key, "step": p.step, "value": p.value} for row, p in points),
        columns.CURVES,
    )


def _flows(store: Reader, rows: list[dict[str, Any]], keys: list[str]) -> pd.DataFrame:
    found = []
    for row, point in _points(store, rows, keys):
        parts = _FLOW.fullmatch(point.key)
        assert parts is not None
        stage, state = parts.groups()
        found.append(
            {**row, "stage": stage, "state": state, "lag": point.step, "norm": point.value}
        )
    return frame(found, columns.FLOWS)


def _points(
    store: Reader, rows: list[dict[str, Any]], keys: list[str]
) -> "list[tuple[dict[str, Any], MetricPoint]]":
    by_run = {row["run_id"]: row for row in rows}
    where = ("arm", "task", "architecture", "run_id", "role", "output")
    found = store.histories(list(by_run), keys) if by_run and keys else []
    return [({name: by_run[p.run_id][name] for name in where}, p) for p in found]


def _code_tags(tags: Mapping[str, str], parents: Sequence["RunRecord"]) -> dict[str, str]:
    """Which code and versions made the runs; several values joined where they changed underway."""
    found: dict[str, dict[str, None]] = {}
    for source in [tags, *(run.tags for run in parents)]:
        for key, value in source.items():
            if key.startswith(("version.", "code.", "mlflow.source.git.")):
                found.setdefault(key, {})[value] = None
    return {key: ", ".join(values) for key, values in sorted(found.items())}

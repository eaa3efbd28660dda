"""The views of a study in the MLflow UI: tables and charts set up in advance.

A view is what MLflow's own "Save as new view" writes into an experiment tag: a filter, an order,
columns, charts. They are listed in the UI's menu "Views", and each has a link. The fields, which
MLflow does not document, are those of version 3.17.
"""

import base64
import hashlib
import itertools
import json
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from study.base.labels import spoken
from study.base.limits import EXPERIMENT_TAG, KEY
from study.base.toml import Scalar
from study.cells import CELLS
from study.spaces.space import Arm, Space, complete
from study.tracking.ui_pages import runs
from study.tracking.view_state import (
    bar_chart,
    charts_of,
    column,
    columns_of,
    grouped_by,
    line_chart,
    metric,
    param,
    searched_by,
)

TAG = "mlflow.sharedViewState."
CUSTOM_MODELS = {"mlflow.experimentKind": "custom_model_development"}

ARM_METRICS = (
    "confirmed/solved_fraction",
    "confirmed/test_loss_mean",
    "best/score",
    "trials/complete",
    "trials/solved",
    "trials/pruned",
    "trials/diverged",
)
TRIAL_METRICS = (
    "score",
    "best/validation_loss",
    "steps_to_solve",
    "gradient_flow/final/half_life_steps",
    "clip_rate",
    "wall_seconds",
)
# Of how a gradient goes back through time: before training, after it, and what became of clipping.
FLOW_METRICS = (
    "gradient_flow/init/half_life_steps",
    "gradient_flow/final/half_life_steps",
    "state_gradients/init/log10_ratio_at_lag",
    "state_gradients/final/log10_ratio_at_lag",
    "conditioning/init/largest_exponent",
    "conditioning/init/step_log_condition",
    "lyapunov/best/largest",
    "gates/best/timescale_median",
    "clip_rate",
    "score",
)

_PACKED = "deflate;"  # MLflow's mark of base64 of zlib's format; a tag holds 20,000 characters
_MOST_TASKS = 40  # with a view of their own: a menu of more is none

# The report's colors: seaborn's "colorblind", those last that are faint on white.
_RUN_COLORS = (
    "#0173b2",
    "#de8f05",
    "#029e73",
    "#d55e00",
    "#cc78bc",
    "#ca9161",
    "#56b4e9",
    "#949494",
    "#ece133",
    "#fbafe4",
)


@dataclass(frozen=True)
class View:
    """One view: ``key`` names it in a link, ``title`` in the menu; ``state`` is what it sets."""

    key: str
    title: str
    state: dict[str, Any]
    charts: bool = False

    def tag(self, order: int) -> str:
        """The tag's value. MLflow's menu has the highest order, a time in its own views, first."""
        packed = base64.b64encode(zlib.compress(json.dumps(self.state).encode())).decode()
        return json.dumps({"name": self.title, "createdAt": order, "state": _PACKED + packed})

    @classmethod
    def of_tag(cls, key: str, value: str) -> "tuple[int, View]":
        """A tag's order and view. Raises KeyError, TypeError or ValueError when it holds none."""
        made = json.loads(value)
        state: str = made["state"]
        if state.startswith(_PACKED):
            try:
                state = zlib.decompress(base64.b64decode(state.removeprefix(_PACKED))).decode()
            except zlib.error as error:
                raise ValueError(f"view {key!r}: {error}") from None
        shown = json.loads(state)
        return made["createdAt"], cls(key, made["name"], shown, "compareRunCharts" in shown)

    def url(self, experiment_id: str) -> str:
        """Relative to the server's root. With search facets in the link MLflow would ignore the key."""
        mode = {"compareRunsMode": "CHART"} if self.charts else {}
        return runs(experiment_id, viewStateShareKey=self.key, **mode)


def views(space: Space, confirmed: bool = True) -> list[View]:
    """Arms, trials, the search, curves, gradient flow; and the curves of each task when several are compared.

    The curves are those of the confirmations, and of the trials until all are ``confirmed``. Of many
    hundred arms their groups are more than a tag holds, and there is no such view.
    """
    task_axes, other_axes = _split_axes(space)
    found = [
        View("arms", "Arms", _arms(space)),
        View("trials", "Trials", _trials(space)),
        View("search", "Search", _search(space), charts=True),
        View("curves", "Curves", _curves(space, {}, confirmed), charts=True),
        View("gradient-flow", "Gradient flow", _gradient_flow(space)),
    ]
    tasks = list(itertools.product(*(space.compare[axis] for axis in task_axes)))
    of_tasks = other_axes and 1 < len(tasks) <= _MOST_TASKS
    for labels in tasks if of_tasks else []:
        shown = dict(zip(task_axes, labels, strict=True))
        key = _key("-".join(("curves", *labels)))
        title = f"Curves: {', '.join(itertools.starmap(spoken, shown.items()))}"
        found.append(View(key, title, _curves(space, shown, confirmed), charts=True))
    return [view for view in found if len(view.tag(len(found))) <= EXPERIMENT_TAG]


def _key(name: str) -> str:
    """The name where it can end a tag's, which has no "+" and not all lengths; else its digest."""
    if len(name) <= KEY - len(TAG) and "+" not in name:
        return name
    return f"curves-{hashlib.sha256(name.encode()).hexdigest()[:16]}"


def tags(space: Space, confirmed: bool = True) -> dict[str, str]:
    """The experiment's tags that make the `views`."""
    found = views(space, confirmed)
    return CUSTOM_MODELS | {TAG + v.key: v.tag(len(found) - i) for i, v in enumerate(found)}


def saved(tags: Mapping[str, str]) -> list[View]:
    """The views that an experiment's tags hold, in the menu's order; not those it cannot read."""
    found = []
    for name, value in tags.items():
        if name.startswith(TAG):
            with suppress(ValueError, KeyError, TypeError):
                found.append(View.of_tag(name.removeprefix(TAG), value))
    return [view for _, view in sorted(found, key=lambda pair: -pair[0])]


def children_url(experiment_id: str, run_id: str) -> str:
    """A table of the runs under an arm's, relative to the server's root."""
    found = searched_by(f"tags.`mlflow.parentRunId` = '{run_id}'", metric("score"))
    return runs(experiment_id, **(found | {"orderByAsc": "true"}))


def run_color(space: Space, arm: Arm) -> str:
    """One color for all runs of an arm, and the same on every task."""
    task_axes, other_axes = _split_axes(space)
    axes = other_axes or task_axes
    compared = list(itertools.product(*(space.compare[axis] for axis in axes)))
    index = compared.index(tuple(arm.labels[axis] for axis in axes))
    return _RUN_COLORS[index % len(_RUN_COLORS)]


def _split_axes(space: Space) -> tuple[list[str], list[str]]:
    """The axes that change the task, and the others."""
    task_axes = [
        axis
        for axis, labels in space.compare.items()
        if any(name.startswith("task.") for settings in labels.values() for name in settings)
    ]
    return task_axes, [axis for axis in space.compare if axis not in task_axes]


# The states


def _arms(space: Space) -> dict[str, Any]:
    columns = [param(f"axis.{axis}") for axis in space.compare]
    columns += [metric(name) for name in ARM_METRICS]
    return searched_by("tags.role = 'arm'", metric(ARM_METRICS[0])) | columns_of(columns)


def _trials(space: Space) -> dict[str, Any]:
    columns = [param(f"axis.{axis}") for axis in space.compare]
    columns += [param(name) for name in space.search] + [column("tags", "outcome")]
    columns += [metric(name) for name in TRIAL_METRICS]
    return searched_by("tags.role = 'trial'", metric("score"), ascending=True) | columns_of(columns)


def _gradient_flow(space: Space) -> dict[str, Any]:
    """Arms, trials and confirmations by how much of the gradient is left at the task's lag."""
    columns = [column("tags", "role"), *(param(f"axis.{axis}") for axis in space.compare)]
    columns += [column("tags", "outcome"), *(metric(name) for name in FLOW_METRICS)]
    left = metric("state_gradients/final/log10_ratio_at_lag")
    return searched_by("", left) | columns_of(columns)


def _search(space: Space) -> dict[str, Any]:
    """Each searched number against the loss; and all that is searched, with the axes, together."""
    against_loss = [
        {
            "type": "SCATTER",
            "xaxis": {"key": name, "type": "PARAM"},
            "yaxis": {"key": "best/validation_loss", "type": "METRIC"},
        }
        for name, searched in space.search.items()
        if searched.values is None
    ]
    together = {
        "type": "PARALLEL",
        "selectedParams": [*(f"axis.{axis}" for axis in space.compare), *space.search],
        "selectedMetrics": ["score"],
        "showAllRuns": False,
    }
    return _trials(space) | charts_of({"Searched parameters": [*against_loss, together]})


def _cells(space: Space, arm: Arm) -> tuple[Scalar, ...]:
    settings = complete(space.example(arm))
    searched = space.search.get("model.cell")
    if searched is not None and searched.active(settings):
        return searched.extremes()
    return (settings["model.cell"],)


def _curves(space: Space, shown: Mapping[str, str], confirmed: bool) -> dict[str, Any]:
    """Means over the runs of each arm; only of the arms that have the ``shown`` labels."""
    arms = [arm for arm in space.arms() if shown.items() <= arm.labels.items()]
    axes = [axis for axis in space.compare if axis not in shown]
    outputs = dict.fromkeys(CELLS[str(cell)].output for arm in arms for cell in _cells(space, arm))
    role = "confirmation" if space.confirmations and confirmed else "trial"
    conditions = [f"tags.role = '{role}'"]
    conditions += [f"params.`axis.{axis}` = '{label}'" for axis, label in shown.items()]
    charts = charts_of(
        {
            "Against updates": [
                line_chart("validation/loss"),
                line_chart("train/loss"),
                bar_chart("solved"),
                bar_chart("steps_to_solve"),
            ],
            "Gradient norm against the lag (as Step)": [
                line_chart(f"gradient_flow/{stage}/{output}")
                for output in outputs
                for stage in ("init", "final")
            ],
        }
    )
    columns = columns_of([param(f"axis.{axis}") for axis in axes])
    # Ordered by their time of creation, MLflow would add the parent runs to those found.
    found = searched_by(" and ".join(conditions), metric("best/validation_loss"), ascending=True)
    return found | columns | charts | (grouped_by(arms, axes) if axes else {})

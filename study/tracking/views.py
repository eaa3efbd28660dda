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
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from study.base.labels import spoken
from study.base.limits import EXPERIMENT_TAG, KEY
from study.base.toml import Scalar
from study.cells import CELLS
from study.spaces.space import Arm, Space, complete
from study.tracking.addresses import runs

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

# Where MLflow puts a chart of every metric that no chart of ours has; kept, but folded.
_GENERATED = (
    "Model metrics",
    "attention",
    "best",
    "final",
    "gradient_flow/final",
    "gradient_flow/init",
    "init",
    "test",
    "train",
    "validation",
)

_PACKED = "deflate;"  # MLflow's mark of base64 of zlib's format; a tag holds 20,000 characters
_MOST_ORDERS = 24  # of axes, that are tried
_MOST_TASKS = 40  # with a view of their own: a menu of more is none

_PIXELS_A_LETTER = 7.5
_MARGIN_PIXELS = 50  # of a column's header, for its sort mark and padding

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
_COLORS_OF_GROUPS = 29  # in MLflow's list


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
    """Arms, trials, the search, curves; and the curves of each task when several are compared.

    The curves are those of the confirmations, and of the trials until all are ``confirmed``. Of many
    hundred arms their groups are more than a tag holds, and there is no such view.
    """
    task_axes, other_axes = _split_axes(space)
    found = [
        View("arms", "Arms", _arms(space)),
        View("trials", "Trials", _trials(space)),
        View("search", "Search", _search(space), charts=True),
        View("curves", "Curves", _curves(space, {}, confirmed), charts=True),
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
    found = _searched(f"tags.`mlflow.parentRunId` = '{run_id}'", _metric("score"))
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
    columns = [_param(f"axis.{axis}") for axis in space.compare]
    columns += [_metric(name) for name in ARM_METRICS]
    return _searched("tags.role = 'arm'", _metric(ARM_METRICS[0])) | _columns(columns)


def _trials(space: Space) -> dict[str, Any]:
    columns = [_param(f"axis.{axis}") for axis in space.compare]
    columns += [_param(name) for name in space.search] + [_column("tags", "outcome")]
    columns += [_metric(name) for name in TRIAL_METRICS]
    return _searched("tags.role = 'trial'", _metric("score"), ascending=True) | _columns(columns)


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
    return _trials(space) | _charts({"Searched parameters": [*against_loss, together]})


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
    charts = _charts(
        {
            "Against updates": [
                _line("validation/loss"),
                _line("train/loss"),
                _bar("solved"),
                _bar("steps_to_solve"),
            ],
            "Gradient norm against the lag (as Step)": [
                _line(f"gradient_flow/{stage}/{output}")
                for output in outputs
                for stage in ("init", "final")
            ],
        }
    )
    columns = _columns([_param(f"axis.{axis}") for axis in axes])
    # Ordered by their time of creation, MLflow would add the parent runs to those found.
    found = _searched(" and ".join(conditions), _metric("best/validation_loss"), ascending=True)
    return found | columns | charts | (_grouped(arms, axes) if axes else {})


# The parts of a state


def _searched(condition: str, order_by: str, ascending: bool = False) -> dict[str, Any]:
    return {
        "searchFilter": condition,
        "orderByKey": order_by,
        "orderByAsc": ascending,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
    }


def _columns(columns: Sequence[str]) -> dict[str, Any]:
    headers = {column: column.split("`")[1] for column in columns}
    widths = {c: round(_MARGIN_PIXELS + _PIXELS_A_LETTER * len(h)) for c, h in headers.items()}
    return {
        "selectedColumns": list(columns),
        "columnOrder": list(columns),
        "columnWidths": widths,
        "runsHiddenMode": "SHOW_ALL",  # MLflow's default draws the first ten runs only
    }


def _charts(sections: Mapping[str, Sequence[dict[str, Any]]]) -> dict[str, Any]:
    """Sections of charts, before those that MLflow makes by itself."""
    given = {"deleted": False, "isGenerated": False, "runsCountToCompare": 100}
    return {
        "compareRunCharts": [
            given | {"uuid": f"{section}-{i}", "metricSectionId": section} | chart
            for section, charts in sections.items()
            for i, chart in enumerate(charts)
        ],
        "compareRunSections": [
            {
                "uuid": name,
                "name": name,
                "display": name in sections,
                "isReordered": True,
                "columns": 2,
            }
            for name in (*sections, *_GENERATED)
        ],
        "isAccordionReordered": True,
        "hideEmptyCharts": True,
    }


def _line(metric: str) -> dict[str, Any]:
    """On a logarithmic axis, unsmoothed."""
    return {
        "type": "LINE",
        "metricKey": metric,
        "selectedMetricKeys": [metric],
        "scaleType": "log",
        "xAxisKey": "step",
        "xAxisScaleType": "linear",
        "yAxisKey": "metric",
        "useGlobalXaxisKey": False,
        "useGlobalLineSmoothing": False,
        "lineSmoothness": 0,
        "displayPoints": False,
        "range": {},
    }


def _bar(metric: str) -> dict[str, Any]:
    return {"type": "BAR", "metricKey": metric, "selectedMetricKeys": [metric]}


def _grouped(arms: Sequence[Arm], axes: Sequence[str]) -> dict[str, Any]:
    """Runs averaged by arm, the groups closed.

    MLflow colors a group by a hash of its name; of the ways to say the same grouping, this takes one
    that gives the fewest arms a color in common.
    """
    by_slug = {arm.slug: [("tag", "arm", arm.slug)] for arm in arms}
    by_axes = [
        {arm.slug: [(mode, f"axis.{axis}", arm.labels[axis]) for axis in order] for arm in arms}
        for order in itertools.islice(itertools.permutations(axes), _MOST_ORDERS)
        for mode in ("param", "tag")
    ]
    ways = [*by_axes, by_slug] if len(axes) == 1 else [by_slug, *by_axes]  # shorter names first
    way = max(ways, key=lambda way: len({_color_of_group(_group_id(g)) for g in way.values()}))
    keys = [{"mode": mode, "groupByData": name} for mode, name, _ in next(iter(way.values()))]
    return {
        "groupBy": {"aggregateFunction": "average", "groupByKeys": keys},
        "groupsExpanded": {_group_id(group): False for group in way.values()},
        "useGroupedValuesInCharts": True,
    }


def _group_id(group: Sequence[tuple[str, str, str]]) -> str:
    return ",".join(".".join(part) for part in group)


def _color_of_group(group_id: str) -> int:
    """Its place in MLflow's list of colors, as its UI computes it: Fletcher's checksum."""
    low = high = 0
    for letter in group_id.encode():
        low = (low + letter) % 255
        high = (high + low) % 255
    return (low | high << 8) % _COLORS_OF_GROUPS


def _column(kind: str, name: str) -> str:
    return f"{kind}.`{name}`"


def _metric(name: str) -> str:
    return _column("metrics", name)


def _param(name: str) -> str:
    return _column("params", name)

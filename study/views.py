"""The views of a study that the MLflow UI opens on: tables and charts set up in advance.

A view is the JSON that MLflow's own "Share view" button puts into an experiment tag: what is
searched for, which columns are shown, which charts are drawn. The fields are those of MLflow 3.17.
"""

import itertools
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from study.spaces import Space

TAG = "mlflow.sharedViewState."
CUSTOM_MODELS = {"mlflow.experimentKind": "custom_model_development"}  # else it opens as a GenAI app

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
_GENERATED = ("Model metrics", "best", "final", "gradient_flow/final", "gradient_flow/init")
_GENERATED += ("test", "train", "validation")

_PIXELS_A_LETTER = 7.5
_MARGIN_PIXELS = 50  # of a column's header, for its sort mark and padding


@dataclass(frozen=True)
class View:
    """One view: ``key`` names it in a link, ``state`` is what MLflow stores."""

    key: str
    title: str
    state: dict[str, Any]
    charts: bool = False

    @property
    def json(self) -> str:
        return json.dumps(self.state, separators=(",", ":"))

    def url(self, experiment_id: str) -> str:
        """Relative to the server's root. Search facets must not be added: MLflow then ignores the key."""
        mode = "&compareRunsMode=CHART" if self.charts else ""
        return (
            f"#/experiments/{experiment_id}/runs?workflowType=machine_learning"
            f"&viewStateShareKey={quote(self.key, safe='')}{mode}"
        )


def views(space: Space) -> dict[str, View]:
    """By key: arms, trials, search, curves, and curves of each task when several are compared."""
    axes = list(space.compare)
    task_axes = [axis for axis in axes if _sets_task(space, axis)]
    found = [
        View("arms", "Arms, the most often solved first", _arms(axes)),
        View("trials", "Trials, the best first", _trials(axes, list(space.search))),
        View("search", "What was searched, against the loss", _search(space), charts=True),
        View("curves", _curves_title(space), _curves(space, axes, {}), charts=True),
    ]
    others = [axis for axis in axes if axis not in task_axes]
    tasks = list(itertools.product(*(space.compare[axis] for axis in task_axes)))
    for labels in tasks if len(tasks) > 1 else []:
        shown = dict(zip(task_axes, labels, strict=True))
        key = "-".join(("curves", *labels))
        title = f"{_curves_title(space)}: {', '.join(labels)}"
        found.append(View(key, title, _curves(space, others, shown), charts=True))
    return {view.key: view for view in found}


def tags(space: Space) -> dict[str, str]:
    """The experiment's tags that make the views."""
    return CUSTOM_MODELS | {TAG + key: view.json for key, view in views(space).items()}


def _sets_task(space: Space, axis: str) -> bool:
    return any(n.startswith("task.") for label in space.compare[axis].values() for n in label)


def _curves_title(space: Space) -> str:
    return "Curves of the confirmations" if space.confirmations else "Curves of the trials"


# The states


def _arms(axes: Sequence[str]) -> dict[str, Any]:
    columns = [_param(f"axis.{axis}") for axis in axes] + [_metric(m) for m in ARM_METRICS]
    return _searched("tags.role = 'arm'", _metric(ARM_METRICS[0])) | _columns(columns)


def _trials(axes: Sequence[str], searched: Sequence[str]) -> dict[str, Any]:
    params = [*(f"axis.{axis}" for axis in axes), *searched]
    columns = [_param(p) for p in params] + [_column("tags", "outcome")]
    columns += [_metric(m) for m in TRIAL_METRICS]
    return _searched("tags.role = 'trial'", _metric("score"), ascending=True) | _columns(columns)


def _search(space: Space) -> dict[str, Any]:
    """Each searched parameter against the loss; all of them, the axes too, as parallel coordinates."""
    params = [*(f"axis.{axis}" for axis in space.compare), *space.search]
    together = {
        "type": "PARALLEL",
        "displayName": "All together",
        "selectedParams": params,
        "selectedMetrics": ["score"],
        "showAllRuns": False,
    }
    against_loss = [
        {
            "type": "SCATTER",
            "displayName": f"Best validation loss against {name}",
            "xaxis": {"key": name, "type": "PARAM"},
            "yaxis": {"key": "best/validation_loss", "type": "METRIC"},
            "runsCountToCompare": 100,
        }
        for name, searched in space.search.items()
        if searched.values is None
    ]
    charts = _charts({"The search": [*against_loss, together]})
    return _trials(list(space.compare), list(space.search)) | charts


def _curves(space: Space, axes: Sequence[str], shown: dict[str, str]) -> dict[str, Any]:
    """Means over the runs of each arm; only the runs with the ``shown`` labels."""
    role = "confirmation" if space.confirmations else "trial"
    conditions = [f"tags.role = '{role}'"]
    conditions += [f"params.`axis.{axis}` = '{label}'" for axis, label in shown.items()]
    grouping = {
        "groupBy": {
            "aggregateFunction": "average",
            "groupByKeys": [{"mode": "param", "groupByData": f"axis.{axis}"} for axis in axes],
        },
        "groupsExpanded": {},
        "useGroupedValuesInCharts": True,
    }
    charts = _charts(
        {
            "Training": [
                _line("validation/loss", "Validation loss against updates"),
                _line("train/loss", "Training loss against updates"),
                _bar("solved", "Fraction of the runs that solved the task"),
                _bar("steps_to_solve", "Updates to solve, of the runs that did"),
            ],
            "Gradient through time": [
                _line("gradient_flow/init/h", "‖∂L/∂h‖ before training, against the lag"),
                _line("gradient_flow/final/h", "‖∂L/∂h‖ after training, against the lag"),
            ],
        }
    )
    columns = _columns([_param(f"axis.{axis}") for axis in axes])
    found = _searched(" and ".join(conditions), "attributes.start_time")
    return found | columns | charts | (grouping if axes else {})


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


def _charts(sections: dict[str, Sequence[dict[str, Any]]]) -> dict[str, Any]:
    """Sections of charts, in this order, before those that MLflow makes by itself."""
    named: Iterable[tuple[str, bool]] = [(s, True) for s in sections]
    named = [*named, *((s, False) for s in _GENERATED)]
    return {
        "compareRunCharts": [
            {"uuid": f"{section}-{i}", "metricSectionId": section, "deleted": False}
            | {"isGenerated": False}
            | chart
            for section, charts in sections.items()
            for i, chart in enumerate(charts)
        ],
        "compareRunSections": [
            {"uuid": name, "name": name, "display": display, "isReordered": True, "columns": 2}
            for name, display in named
        ],
        "isAccordionReordered": True,
        "hideEmptyCharts": True,
    }


def _line(metric: str, title: str) -> dict[str, Any]:
    """On a logarithmic axis, unsmoothed."""
    return {
        "type": "LINE",
        "displayName": title,
        "metricKey": metric,
        "selectedMetricKeys": [metric],
        "scaleType": "log",
        "xAxisKey": "step",
        "xAxisScaleType": "linear",
        "yAxisKey": "metric",
        "useGlobalXaxisKey": False,
        "useGlobalLineSmoothing": False,
        "lineSmoothness": 0,
        "range": {},
        "runsCountToCompare": 100,
    }


def _bar(metric: str, title: str) -> dict[str, Any]:
    return {
        "type": "BAR",
        "displayName": title,
        "metricKey": metric,
        "selectedMetricKeys": [metric],
        "runsCountToCompare": 100,
    }


def _column(kind: str, name: str) -> str:
    return f"{kind}.`{name}`"


def _metric(name: str) -> str:
    return _column("metrics", name)


def _param(name: str) -> str:
    return _column("params", name)

"""What a view of the MLflow UI sets: a filter and an order, columns, charts, groups of runs.

The fields, which MLflow does not document, are those of version 3.17.
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from study.probes import PROBES
from study.spaces.space import Arm
from study.tracking.messages import FIRST

# Where MLflow puts a chart of every metric that no chart of ours has; kept, but folded. Those of
# the other probes come on top.
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

_MOST_ORDERS = 24  # of axes, that are tried
_PIXELS_A_LETTER = 7.5
_MARGIN_PIXELS = 50  # of a column's header, for its sort mark and padding

_COLORS_OF_GROUPS = 29  # in MLflow's list


def searched_by(condition: str, order_by: str, ascending: bool = False) -> dict[str, Any]:
    return {
        "searchFilter": condition,
        "orderByKey": order_by,
        "orderByAsc": ascending,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
    }


def columns_of(columns: Sequence[str]) -> dict[str, Any]:
    headers = {column: column.split("`")[1] for column in columns}
    widths = {c: round(_MARGIN_PIXELS + _PIXELS_A_LETTER * len(h)) for c, h in headers.items()}
    return {
        "selectedColumns": list(columns),
        "columnOrder": list(columns),
        "columnWidths": widths,
        "runsHiddenMode": "SHOW_ALL",  # MLflow's default draws the first ten runs only
    }


def charts_of(sections: Mapping[str, Sequence[dict[str, Any]]]) -> dict[str, Any]:
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
            for name in (*sections, *folded())
        ],
        "isAccordionReordered": True,
        "hideEmptyCharts": True,
    }


def folded() -> list[str]:
    """What MLflow calls the sections of its own charts: all but the last part of a metric's name."""
    probes = [
        f"{name}/{stage}"
        for name, probe in PROBES.items()
        if name not in FIRST
        for stage in probe.stages
    ]
    return sorted([*_GENERATED, *probes])


def line_chart(metric: str) -> dict[str, Any]:
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


def bar_chart(metric: str) -> dict[str, Any]:
    return {"type": "BAR", "metricKey": metric, "selectedMetricKeys": [metric]}


def grouped_by(arms: Sequence[Arm], axes: Sequence[str]) -> dict[str, Any]:
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


def column(kind: str, name: str) -> str:
    return f"{kind}.`{name}`"


def metric(name: str) -> str:
    return column("metrics", name)


def param(name: str) -> str:
    return column("params", name)

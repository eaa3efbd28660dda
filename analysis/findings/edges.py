"""Chosen settings at the edge of what was searched: a better one may lie beyond."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from analysis.data.runs import Results
from analysis.data.tasks import number
from analysis.data.wording import short

SHARE = 0.1  # of a range, at each of its ends, that counts as its edge
_FEWEST_VALUES = 3  # of a list: of two values each is an edge


@dataclass(frozen=True)
class Edge:
    """A chosen value near ``bound``, an end of its range; ``further`` is where a wider range would end."""

    architecture: str
    task: str
    parameter: str
    value: float
    bound: float
    further: float

    @property
    def sentence(self) -> str:
        side = "low" if self.further < self.bound else "high"
        return (
            f"{self.architecture} has {self.parameter} = {short(self.value)}, at the {side} end of its "
            f"range, {short(self.bound)}; a wider range to try goes to {short(self.further)}"
        )


def edges(results: Results) -> list[Edge]:
    """Of the chosen trials, one a search; the arms in their order, the parameters as they are listed."""
    found = []
    chosen = results.trials[results.trials["chosen"].astype(bool)]
    for row in chosen.to_dict("records"):
        for name, spec in results.searched_in(row["arm"]).items():
            value = number(row.get(f"param.{name}"))
            place = _edge(value, spec)
            if place is not None:
                found.append(Edge(row["architecture"], row["task"], name, value, *place))
    return found


def sentence(found: list[Edge]) -> str:
    """Of one task's arms; of several searches of an arm at the same edge one is named. Empty for none."""
    named = {(e.architecture, e.parameter, e.bound): e for e in found}
    if not named:
        return ""
    told = "; ".join(edge.sentence for edge in named.values())
    return f"A better setting may lie outside of what was searched: {told}."


def _edge(value: float, spec: Mapping[str, Any]) -> tuple[float, float] | None:
    """The end that the value is near, and where a wider range would end."""
    if not math.isfinite(value):
        return None
    if spec.get("values") is not None:
        return _edge_of_list(value, spec["values"])
    low, high = number(spec.get("low")), number(spec.get("high"))
    scale = _LOG if spec.get("log") else _BELOW_ONE if spec.get("log_below_one") else _PLAIN
    try:
        # On that scale the order may be turned round.
        a, b, x = (scale[0](v) for v in (low, high, value))
        share = (x - a) / (b - a)
    except (ValueError, ZeroDivisionError):  # of a store that somebody has edited
        return None
    if SHARE <= share <= 1 - SHARE:
        return None
    bound, beyond = (low, a - (b - a) / 2) if share < SHARE else (high, b + (b - a) / 2)
    further = scale[1](beyond)
    if low >= 0 > further:  # what is never negative, such as a momentum
        further = 0.0
    if scale is _PLAIN and high <= 1 < further:  # what may be a share
        further = 1.0
    return None if further == bound else (bound, further)


def _edge_of_list(value: float, values: list[Any]) -> tuple[float, float] | None:
    known = sorted({number(v) for v in values if not isinstance(v, bool)})
    if len(known) < max(_FEWEST_VALUES, len(values)) or not all(map(math.isfinite, known)):
        return None
    for end, inner in ((known[0], known[1]), (known[-1], known[-2])):
        if value == end:
            by_factor = min(known) > 0 and max(known) / min(known) >= 10
            further = end * end / inner if by_factor else 2 * end - inner
            return (end, 0.0 if min(known) >= 0 > further else further)
    return None


_PLAIN = (lambda v: v, lambda v: v)
_LOG = (math.log, math.exp)
_BELOW_ONE = (lambda v: math.log(1 - v), lambda v: 1 - math.exp(v))

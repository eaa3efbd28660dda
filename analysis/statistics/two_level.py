"""An arm over independent searches, each with confirmations of its own: both kinds of luck."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from analysis.statistics.few_runs import CONFIDENCE, Interval, wilson_interval


@dataclass(frozen=True)
class TwoLevel:
    """Mean of the searches' means. ``note`` says what the interval leaves out, if anything."""

    mean: float
    interval: Interval
    searches: int
    runs: int
    note: str = ""


def over_searches(scores: Sequence[ArrayLike], confidence: float = CONFIDENCE) -> TwoLevel:
    """Mean score and its t interval over the means of searches, with searches - 1 degrees of freedom.

    A search's mean holds both its tuning luck and its runs' luck, so their spread holds both too.
    Exact for normal means. A bootstrap of three searches has ten different resamples and covers far
    less than it says. With one search the interval is over its runs, and ``note`` says so.
    """
    groups = _groups(scores)
    means = [float(values.mean()) for values in groups]
    runs = sum(len(values) for values in groups)
    if not groups:
        nothing = Interval(float("nan"), float("nan"))
        return TwoLevel(float("nan"), nothing, 0, 0, "no runs")
    if len(groups) == 1:
        note = "one search: tuning luck is not in the interval"
        return TwoLevel(means[0], _t_interval(groups[0], confidence), 1, runs, note)
    return TwoLevel(
        float(np.mean(means)), _t_interval(np.array(means), confidence), len(groups), runs
    )


def solved_over_searches(solved: Sequence[ArrayLike], confidence: float = CONFIDENCE) -> TwoLevel:
    """Solved fraction with the wider of two intervals at each end, within [0, 1].

    One is the t interval over the searches' fractions. It has no width where all searches have the
    same fraction, as all solved. The other is Wilson's over all runs, which is right when searches
    do not differ. In simulation, with five runs a search and rates around .7, 95 % intervals of
    three and five searches held the truth in 94 and 93 % of cases where the rates spread as
    Beta(1.4, .6), and in 98 and 97 % where they spread as Beta(14, 6). Wilson's is
    also what is given, with a note, of one search.
    """
    groups = _groups(solved)
    found = over_searches(groups, confidence)
    wilson = wilson_interval(
        int(sum(v.sum() for v in groups)), found.runs, confidence
    )  # [0, 1] of none
    if found.searches < 2:
        return TwoLevel(found.mean, wilson, found.searches, found.runs, found.note)
    low = max(0.0, min(found.interval.low, wilson.low))
    high = min(1.0, max(found.interval.high, wilson.high))
    return TwoLevel(found.mean, Interval(low, high), found.searches, found.runs)


def _groups(scores: Sequence[ArrayLike]) -> list[np.ndarray]:
    groups = [np.asarray(values, dtype=float) for values in scores]
    return [values for values in groups if len(values)]


def _t_interval(values: np.ndarray, confidence: float) -> Interval:
    if len(values) < 2 or not np.isfinite(values).all():
        return Interval(float("nan"), float("nan"))
    half = stats.t.ppf((1 + confidence) / 2, len(values) - 1) * stats.sem(values)
    return Interval(float(values.mean() - half), float(values.mean() + half))

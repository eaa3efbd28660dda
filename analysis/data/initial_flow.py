"""The columns of a run's gradient flow before training that probes measure."""

import math
from collections.abc import Mapping

from analysis.data import columns


def initial_flow(metrics: Mapping[str, float]) -> dict[str, float]:
    """By column; NaN for what was not measured, or was not finite."""
    # A probe's ratio of 0 has no logarithm that a metric could be; its verdict, "vanishing", is one.
    gone = metrics.get("state_gradients/init/verdict") == -1
    found = {
        "log10_ratio_at_lag_init": metrics.get(
            "state_gradients/init/log10_ratio_at_lag", -math.inf if gone else math.nan
        )
    }
    for name in columns.CONDITIONING:
        key = f"conditioning/init/{name.removesuffix('_init')}"
        found[name] = metrics.get(key, math.nan)
    return found

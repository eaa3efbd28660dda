"""How good a run was, from 0 to 1, on a scale that tasks share."""

import math

import numpy as np
import pandas as pd

from analysis.data.runs import Results
from analysis.findings.summary import CONFIRMED
from analysis.statistics.aggregates import normalized


def with_quality(results: Results) -> pd.DataFrame:
    """Ended confirmations with a column ``quality``; of a task of unknown chance those that solved it.

    1 of a run that solved its task; of another the share of the way from the loss of chance to 0, and 0
    where it is worse than chance or diverged.
    """
    runs = results.confirmations
    runs = runs[runs["outcome"].isin(CONFIRMED)]
    quality = [
        _quality(
            bool(row["solved"]), float(row["test_loss"]), results.tasks[row["task"]].chance_loss
        )
        for row in runs.to_dict("records")
    ]
    return runs.assign(quality=np.array(quality, dtype=float)).dropna(subset="quality")


def _quality(solved: bool, loss: float, chance: float | None) -> float:
    if solved:
        return 1.0
    if chance is None or chance <= 0:
        return math.nan
    return max(0.0, float(normalized([loss], chance)[0]))

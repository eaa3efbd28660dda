"""How much of the variation of the score each searched hyperparameter explains, within one arm."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.ensemble import RandomForestRegressor

MINIMUM_TRIALS = 10
TREES = 100
POINTS = 128  # of the space, over which the forest's predictions are averaged
LEVELS = 12  # quantiles of a parameter at which its marginal is taken


@dataclass(frozen=True)
class Importance:
    """``fractions`` of the forest's variance by parameter; empty with a ``refusal`` in words.

    ``r2`` is the forest's out-of-bag R²: where it is not clearly positive, the forest has learned
    nothing about the score and its fractions mean nothing.
    """

    trials: int
    r2: float
    fractions: dict[str, float]
    refusal: str = ""


def importance(
    parameters: pd.DataFrame, scores: pd.Series, generator: np.random.Generator
) -> Importance:
    """Main-effect fractions of functional ANOVA. Hutter, Hoos & Leyton-Brown (2014), ICML.

    A random forest predicts log(2 + score) (scores start at -1; the logarithm keeps the diverged,
    at 10, from being all there is). For a parameter j, the forest's prediction is averaged over the
    other parameters' values; the variance of that marginal, over the variance of all predictions, is
    j's main effect. What is left to 1 is interaction. Averages are over the values tried, each
    parameter drawn independently of the others.

    ``parameters`` has one column a searched parameter, already on the scale it was searched on
    (log where log), choices as text, NaN where it did not apply.
    """
    count = len(scores)
    varying = [name for name in parameters if parameters[name].nunique(dropna=False) > 1]
    if count < MINIMUM_TRIALS:
        return Importance(
            count, float("nan"), {}, f"too few trials to say (n = {count}, needed {MINIMUM_TRIALS})"
        )
    if not varying:
        return Importance(count, float("nan"), {}, "no searched parameter took two values")
    if scores.nunique() == 1:
        return Importance(count, float("nan"), {}, "every trial has the same score")
    inputs = np.column_stack([_codes(parameters[name]) for name in varying])
    target = np.log(2 + scores.to_numpy(dtype=float))
    forest = RandomForestRegressor(
        n_estimators=TREES,
        min_samples_leaf=2,
        oob_score=True,
        random_state=int(generator.integers(2**31)),
        n_jobs=1,
    ).fit(inputs, target)
    points = np.column_stack([generator.choice(column, POINTS) for column in inputs.T])
    grids = [points, *(_grid(points, inputs[:, j], j) for j in range(len(varying)))]
    # All at once: asking a forest costs the same for one row as for a thousand.
    parts = np.split(forest.predict(np.concatenate(grids)), np.cumsum([len(g) for g in grids[:-1]]))
    total = float(parts[0].var())
    fractions = {
        name: _main_effect(part, total) for name, part in zip(varying, parts[1:], strict=True)
    }
    # Main effects are parts of a whole; of sampled points they can add up to a little more.
    whole = max(1.0, sum(fractions.values()))
    fractions = {name: value / whole for name, value in fractions.items()}
    fractions |= {name: 0.0 for name in parameters if name not in fractions}
    return Importance(count, float(forest.oob_score_), fractions)


def _grid(points: np.ndarray, column: np.ndarray, j: int) -> np.ndarray:
    """The points, each with every level in its column j."""
    # Quantiles of what was tried, so that the marginal is averaged over the same distribution.
    levels = np.sort(column)[np.linspace(0, len(column) - 1, LEVELS).round().astype(int)]
    grid = np.repeat(points, LEVELS, axis=0)
    grid[:, j] = np.tile(levels, len(points))
    return grid


def _main_effect(predicted: np.ndarray, total: float) -> float:
    if total == 0:
        return 0.0
    return float(predicted.reshape(-1, LEVELS).mean(axis=0).var() / total)


def _codes(column: pd.Series) -> np.ndarray:
    numeric = pd.to_numeric(column, errors="coerce")
    if numeric.notna().eq(column.notna()).all():
        return numeric.to_numpy(dtype=float, na_value=np.nan)
    # Text: a tree can isolate any one of a few codes whatever their order.
    return pd.factorize(column, sort=True)[0].astype(float)

"""Probes' files for made-up studies, with numbers that follow from a run's architecture."""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from synthetic import ARCHITECTURES, Kind, MemoryStore

UPDATES = (50, 200, 600)  # within training
FINAL = 1000
LENGTH = 50

Finding = dict[str, Any]


def state_gradients(slope: float, states: Sequence[str] = ("h",)) -> Finding:
    """That falls by exp(``slope``) a step, its quartiles a factor of 10 to both sides."""
    lags = list(range(LENGTH))
    tens = slope / math.log(10)

    def curve(scale: float) -> dict[str, list[float | None]]:
        middle = [scale * tens * lag - 2 for lag in lags]
        return {"mean": middle, "low": [m - 1 for m in middle], "high": [m + 1 for m in middle]}

    ratio = tens * (LENGTH - 1)
    verdict = "vanishing" if ratio <= -3 else "exploding" if ratio >= 3 else "kept"
    return {
        "lags": lags,
        "states": {name: curve(1.0) for name in states},
        "whole": curve(1.0),
        "lag": LENGTH - 1,
        "lost_share": 0.0,
        "log10_ratio_at_lag": ratio,
        "verdict": verdict,
    }


def jacobians(slope: float, units: int = 6, resolved: int = 6) -> Finding:
    """ln σ_i of a product over k steps: k (slope - i/10), the first ``resolved`` of them."""
    lags = [1, 2, 4, 8, 16, 32]

    def spectrum(lag: int) -> Finding:
        logs = [lag * (slope - i / 10) if i < resolved else None for i in range(units)]
        return {"mean": logs, "spread": [None if x is None else 0.1 for x in logs]}

    products = [spectrum(lag) for lag in lags]
    return {
        "size": units,
        "sequences": 4,
        "times": [0, 10],
        "lags": lags,
        "step": spectrum(1),
        "step_blocks": {"h": spectrum(1)},
        "products": products,
        "product_blocks": {"h": products},
    }


def lyapunov(slope: float, exponents: int = 8) -> Finding:
    found = [slope - i / 10 for i in range(exponents)]
    return {
        "exponents": found,
        "standard_errors": [0.01] * exponents,
        "running_steps": [500, 1000],
        "running": [[x, x] for x in found],
        "size": 32,
        "streams": 4,
        "steps": 1000,
        "transient": 250,
    }


def fixed_points(slope: float) -> Finding:
    """A stable fixed point with eigenvalues exp(slope) (1, ±i/2), and a slow one with 1 among them."""
    size = math.exp(slope)
    eigenvalues = [[size, 0.0], [0.0, size / 2], [0.0, -size / 2]]
    times = [-1 / math.log(abs(complex(*pair))) for pair in eigenvalues]
    common = {"reached": 0.5, "attracts": 0.5, "distance": 0.1, "state": {"h": [0.0, 0.0, 0.0]}}
    fixed = {"kind": "fixed", "speed": 0.0, "eigenvalues": eigenvalues, "timescales": times}
    slow = {"kind": "slow", "speed": 1e-3, "eigenvalues": [[1.0, 0.0], *eigenvalues[1:]]}
    slow["timescales"] = [None, *times[1:]]
    return {
        "input_kind": "mean",
        "input": [0.5, 0.0],
        "searches": 32,
        "stable": 1,
        "marginal": 0,
        "unstable": 0,
        "slow": 1,
        "lost": 0.0,
        "visited_speed": 0.1,
        "points": [{**common, **p, "unstable_directions": 0} for p in (fixed, slow)],
    }


def gates(timescale: float | None, units: int = 8) -> Finding:
    """Timescales from a half of the one given to its double; the last unit keeps for ever."""
    times = None
    if timescale is not None:
        times = [timescale * 2 ** (2 * i / (units - 2) - 1) for i in range(units - 1)] + [None]
    return {
        "activity": {"f": {"mean": 0.8, "closed": 0.0, "open": 0.3}},
        "keeper": None if timescale is None else "f",
        "timescales": times,
        "lag": [LENGTH // 2, LENGTH - 1],
        "norms": {"h": [1.0, 1.0]},
        "drift_per_step": {"h": 0.0},
        "zero": {"h": 0.0},
    }


def memory(slope: float, states: Sequence[str] = ("h",)) -> Finding:
    """R² = exp(slope k / 2), of the first state; of the others half as much."""
    lags = list(range(LENGTH - 1))
    scores = {
        name: [math.exp(slope * k / 2) / (1 + (place > 0)) for k in lags]
        for place, name in enumerate(states)
    }
    return {
        "measure": "r2",
        "lags": lags,
        "chance": [0.0 for _ in lags],
        "scores": scores,
        "task_lag": [LENGTH // 2, LENGTH - 1],
    }


def parameter_gradients(slope: float) -> Finding:
    """Shares that fall by exp(``slope``) a step."""
    lags = list(range(LENGTH))
    terms = [math.exp(slope * lag) for lag in lags]
    shares = [term / sum(terms) for term in terms]
    half = next(lag for lag in lags if sum(shares[: lag + 1]) >= 0.5)
    return {
        "sequences": 64,
        "norms": {"layer.U": 1.0},
        "groups": {"recurrent": 1.0},
        "norm": 1.0,
        "trace": 8.0,
        "squared_norm": 1.0,
        "noise_scale": 8.0,
        "lags": lags,
        "norm_shares": shares,
        "signed_shares": shares,
        "task_lag": LENGTH // 2,
        "half_lag": half,
        "share_from_task_lag": sum(shares[LENGTH // 2 :]),
        "signed_share_from_task_lag": sum(shares[LENGTH // 2 :]),
    }


def credit_assignment(slope: float) -> Finding:
    """Cosines 1 - exp(``slope`` window), 1 of the whole."""
    windows = [1, 2, 4, 8, 16, 32, LENGTH]

    def estimate(steps: int) -> Finding:
        left = 0.0 if steps == LENGTH else math.exp(slope * steps)
        draws = {"bias_error": None, "draw_variance": None, "batch_variance": 0.5}
        return {"steps": steps, "cosine": 1 - left, "relative_bias": left, **draws}

    found = [estimate(steps) for steps in windows]
    return {"sequences": 64, "batch": 8, "truncated": found, "aligned": found, "randomized": []}


def _file(
    stages: dict[str, tuple[int, Finding]], within: Sequence[tuple[int, Finding]] = ()
) -> str:
    entries = [{"stage": "training", "step": step, "finding": finding} for step, finding in within]
    entries += [{"stage": s, "step": step, "finding": f} for s, (step, f) in stages.items()]
    return json.dumps(sorted(entries, key=lambda e: e["step"]))


def files(kind: Kind) -> dict[str, str]:
    """Of one run, by name: before training the kind's slope, after it half of that."""
    start, end = kind.slope, kind.slope / 2

    def twice(make: Callable[[float], Finding], last: str) -> dict[str, tuple[int, Finding]]:
        return {"init": (0, make(start)), last: (FINAL, make(end))}

    within = [
        (step, state_gradients(start + (end - start) * step / FINAL, kind.states))
        for step in UPDATES
    ]
    gradients = twice(lambda slope: state_gradients(slope, kind.states), "final")
    return {
        "state_gradients.json": _file(gradients, within),
        "jacobians.json": _file(twice(jacobians, "best")),
        "lyapunov.json": _file(twice(lyapunov, "best")),
        "fixed_points.json": _file({"best": (FINAL, fixed_points(end))}),
        "gates.json": _file({"best": (FINAL, gates(kind.timescale))}),
        "parameter_gradients.json": _file(twice(parameter_gradients, "final")),
        "credit_assignment.json": _file(twice(credit_assignment, "best")),
        "memory.json": _file(twice(lambda slope: memory(slope, kind.states), "best")),
    }


def with_probes(store: MemoryStore, kinds: dict[str, Kind] = ARCHITECTURES) -> MemoryStore:
    """The store with these files in every run that is no arm."""
    texts = dict(store.texts)
    for run in store.record.runs:
        if run.parent_id:
            for name, text in files(kinds[run.tags["axis.architecture"]]).items():
                texts[run.run_id, name] = text
    return replace(store, texts=texts)

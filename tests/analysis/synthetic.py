"""Studies as the tracking store would return them, made up from a generator."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from study.base.errors import UserError
from study.tracking.run_record import MetricPoint, RunRecord, StudyRecord

CARDS: dict[str, dict[str, Any]] = {
    "adding": {
        "name": "adding",
        "title": "Adding problem",
        "loss": "mean squared error",
        "chance_loss": 1 / 6,
        "plateaus": {"one of the two values known": 1 / 12},
        "solved": "mean squared error below 0.01",
        "metric": None,
        "chance_metric": None,
    },
    "digits": {
        "name": "digits",
        "title": "Handwritten digits, pixel by pixel",
        "loss": "cross-entropy (nats)",
        "chance_loss": math.log(10),
        "plateaus": {},
        "solved": "accuracy of at least 90%",
        "metric": "accuracy",
        "chance_metric": 0.1,
    },
}


@dataclass(frozen=True)
class Kind:
    """How an architecture behaves: probability to solve, and gradient slope a step of lag.

    It starts with about the largest singular value ``sigma``, which bounds the gradient where
    ``bounded``, and a gate with the ``timescale`` where it has one.
    """

    solves: float
    slope: float
    diverges: float = 0.0
    states: tuple[str, ...] = ("h",)
    sigma: float = 1.2
    bounded: bool = False
    timescale: float | None = None
    cosine: float = 1.0


ARCHITECTURES = {
    "tanh": Kind(0.0, -0.5, sigma=0.8, bounded=True, cosine=0.7),
    "irnn": Kind(0.7, -0.001, diverges=0.3, sigma=1.1, bounded=True),
    "lstm": Kind(0.9, -0.12, states=("h", "c"), timescale=3.7),
    "gru": Kind(1.0, -0.08, timescale=30.0),
}
TASKS = {"adding-50": ("adding", 50), "digits": ("digits", 64)}


@dataclass
class MemoryStore:
    """The reading half of a store, over records in memory."""

    record: StudyRecord
    points: list[MetricPoint] = field(default_factory=list)
    texts: dict[tuple[str, str], str] = field(default_factory=dict)

    def study(self, name: str) -> StudyRecord:
        if name != self.record.name:
            raise UserError(f"no study named {name!r}")
        return self.record

    def histories(self, run_ids: Sequence[str], keys: Sequence[str]) -> list[MetricPoint]:
        return [p for p in self.points if p.run_id in set(run_ids) and p.key in set(keys)]

    def artifact_text(self, run_id: str, path: str) -> str:
        try:
            return self.texts[run_id, path]
        except KeyError:
            raise UserError(f"run {run_id} has no artifact {path!r}") from None

    def without(self, **tests: Any) -> "MemoryStore":
        """Without the runs whose role is given, e.g. without(role="confirmation")."""
        kept = [
            run
            for run in self.record.runs
            if not all(run.tags.get(name) == value for name, value in tests.items())
        ]
        return replace(self, record=replace(self.record, runs=kept))


def make(
    *,
    name: str = "synthetic",
    architectures: dict[str, Kind] = ARCHITECTURES,
    tasks: dict[str, tuple[str, int]] = TASKS,
    trials: int = 12,
    confirmations: int = 3,
    budget: int = 1500,
    sampler: str = "random",
    pruner: str = "none",
    seed: int = 0,
    question: str = "Which cell carries information across 50 steps?",
) -> MemoryStore:
    generator = np.random.default_rng(seed)
    store = MemoryStore(StudyRecord(name, "7", {"longlag.study": name}, []))
    space = {
        "name": name,
        "question": question,
        "notes": "Made up for the tests.",
        "sampler": sampler,
        "pruner": pruner,
        "trials": trials,
        "confirmations": confirmations,
        "seed": 0,
        "fixed": {"model.hidden": 64, "train.optimizer": "adam", "train.steps": budget},
        "compare": {
            "architecture": {a: {"model.cell": a} for a in architectures},
            "task": {t: {"task.name": n, "task.length": T} for t, (n, T) in tasks.items()},
        },
        "search": {
            "train.lr": {"low": 0.0005, "high": 0.02, "log": True, "when": {}},
            "clip.threshold": {
                "low": 0.5,
                "high": 10.0,
                "log": True,
                "when": {"clip.name": ["norm"]},
            },
            "clip.name": {"values": ["none", "norm"], "log": False, "when": {}},
        },
    }
    for architecture, kind in architectures.items():
        for task, (task_name, length) in tasks.items():
            arm = _Arm(store, generator, architecture, kind, task, task_name, length, budget)
            arm.add(trials, confirmations, space)
    return store


@dataclass
class _Arm:
    store: MemoryStore
    generator: np.random.Generator
    architecture: str
    kind: Kind
    task: str
    task_name: str
    length: int
    budget: int

    def add(self, trials: int, confirmations: int, space: dict[str, Any]) -> None:
        study = self.store.record.name
        slug = f"{self.architecture},{self.task}"
        card = CARDS[self.task_name] | {"length": self.length}
        axes = {"axis.architecture": self.architecture, "axis.task": self.task}
        parent = f"{len(self.store.record.runs):032x}"
        common = {"study": study, "arm": slug, **axes, "mlflow.parentRunId": parent}
        params = {
            "model.cell": self.architecture,
            "task.name": self.task_name,
            "train.steps": str(self.budget),
            "train.batch": "64",
            "task.solved_below": "0.01" if self.task_name == "adding" else "none",
            "task.solved_at": "none" if self.task_name == "adding" else "0.9",
        }
        runs = [
            self._run(f"{study}/{slug}/{number}/1", "trial", common, params, card)
            for number in range(trials)
        ]
        scored = [r for r in runs if r.tags["outcome"] in ("solved", "budget")]
        best = min(scored, key=lambda r: r.metrics["score"], default=None)
        runs += [
            self._run(
                f"{study}/{slug}/c{number}/1",
                "confirmation",
                common | {"confirms": best.tags["trial_key"]},
                params | {k: best.params[k] for k in space["search"]},
                card,
            )
            for number in range(confirmations if best else 0)
        ]
        tags = {
            "role": "arm",
            "study": study,
            "arm": slug,
            "task.card": json.dumps(card),
            "version.longlag": "0.1.0",
            "mlflow.source.git.commit": "0123456789abcdef",
            **axes,
            **({"best_trial_key": best.tags["trial_key"]} if best else {}),
        }
        metrics = {"trials/planned": float(trials)}
        self.store.record.runs.append(
            RunRecord(parent, slug, None, "FINISHED", tags, params, metrics, 0, 1000)
        )
        self.store.record.runs.extend(runs)
        self.store.texts[parent, "space.json"] = json.dumps(space)

    def _start(self, run_id: str) -> dict[str, float]:
        """What an audit and the probes of the untrained network found."""
        kind, factor = self.kind, 1 + int(run_id[:8], 16) / 2**32 / 20  # of this run alone
        found = {
            "largest_singular_value": kind.sigma * factor,
            "spectral_radius": 0.6 * kind.sigma * factor,
            "orthogonality_error": abs(kind.sigma * factor - 1),
        }
        if kind.bounded:
            found["gradient_bound"] = found["largest_singular_value"]
        if kind.timescale is not None:
            found |= {
                "timescale_min": kind.timescale / 2,
                "timescale_median": kind.timescale * factor,
                "timescale_max": kind.timescale * 2,
            }
        step = {
            "largest_exponent": kind.slope * factor,
            "step_log_condition": abs(kind.slope) * 4 + factor,
            "step_log_rms": kind.slope * factor / 2,
        }
        return {
            **{f"init/{name}": value for name, value in found.items()},
            **{f"conditioning/init/{name}": value for name, value in step.items()},
            "state_gradients/init/log10_ratio_at_lag": kind.slope * factor * self.length / 2.3,
        }

    def _run(
        self,
        key: str,
        role: str,
        tags: dict[str, str],
        params: dict[str, str],
        card: dict[str, Any],
    ) -> RunRecord:
        g = self.generator
        run_id = g.bytes(16).hex()
        lr = float(params.get("train.lr", np.exp(g.uniform(np.log(5e-4), np.log(2e-2)))))
        clip = str(g.choice(["none", "norm"]))
        good = math.exp(-((math.log(lr / 4e-3)) ** 2))
        chance = card["chance_loss"]
        outcome = "budget"
        if g.random() < self.kind.diverges * (1.5 - good):
            outcome = "diverged"
        elif g.random() < self.kind.solves * good**0.3:
            outcome = "solved"
        steps = int(self.budget * (1 if outcome == "budget" else g.uniform(0.2, 0.9)))
        evaluations = np.unique(np.linspace(0, steps, 30).astype(int))
        progress = evaluations / max(steps, 1)
        floor = 0.04 if outcome == "solved" else (0.4 if self.kind.solves else 0.98)
        losses = chance * np.exp(np.log(floor) * progress**2 + g.normal(0, 0.03, len(progress)))
        points = {"validation/loss": losses, "train/loss": losses * 0.98}
        if card["metric"]:
            points["validation/accuracy"] = 0.1 + 0.85 * (1 - losses / chance).clip(0)
        score = {"solved": steps / self.budget - 1, "diverged": 10.0}.get(
            outcome, float(losses.min() / chance)
        )
        metrics = {
            "score": score,
            "steps": float(steps),
            "best/validation_loss": float(losses.min()),
            "wall_seconds": steps * 0.008,
            "seconds_per_step": 0.008 * g.uniform(0.9, 1.1),
            "parameters": 17217.0,
            "operations_per_update": 3e6,
            "clip_rate": 0.1,
            "solved": float(outcome == "solved"),
            "diverged": float(outcome == "diverged"),
        }
        if outcome == "solved":
            metrics["steps_to_solve"] = float(steps)
        if card["metric"]:
            metrics["best/validation_accuracy"] = float(points["validation/accuracy"].max())
        if role == "confirmation" and outcome == "solved":
            for factor, share in (("1.5", 0.9), ("2", 0.8), ("4", 0.5), ("10", 0.1)):
                met = float(g.random() < share)
                metrics[f"beyond/criterion_met_at_{factor}T"] = met
        if role == "confirmation":
            metrics["test/loss"] = float(losses.min() * g.uniform(1, 1.1))
            if card["metric"]:
                metrics["test/accuracy"] = float(points["validation/accuracy"].max() - 0.01)
        lags = np.arange(self.length)
        for stage, factor in (("init", 1.0), ("final", 0.5)):
            slope = self.kind.slope * factor * g.uniform(0.9, 1.1)
            metrics[f"gradient_flow/{stage}/log_slope_per_step"] = slope
            metrics[f"gradient_flow/{stage}/half_life_steps"] = math.log(2) / -slope
            for state in self.kind.states:
                norms = 0.02 * np.exp(slope * lags * (1 if state == "h" else 0.7))
                points[f"gradient_flow/{stage}/{state}"] = norms
                metrics[f"gradient_flow/{stage}/{state}"] = float(norms[-1])
        metrics |= self._start(run_id)
        points |= {
            "train/grad_norm": np.full(len(progress), 2.0),
            "train/grad_norm_after": 2.0 - progress,
            "train/grad_cosine": np.full(len(progress), self.kind.cosine),
            "train/clipped_share": 1.0 - 0.5 * progress,
        }
        for name, values in points.items():
            at = lags if name.startswith("gradient_flow") else evaluations
            self.store.points += [
                MetricPoint(run_id, name, int(step), float(value))
                for step, value in zip(at, values, strict=True)
            ]
        parent = tags["mlflow.parentRunId"]
        threshold = str(g.uniform(0.5, 10)) if clip == "norm" else "none"
        return RunRecord(
            run_id,
            key,
            parent,
            "FINISHED",
            tags | {"role": role, "trial_key": key, "outcome": outcome},
            {
                "train.lr": str(lr),
                "clip.name": clip,
                "clip.threshold": threshold,
                "seed": key.split("/")[2],  # the same in every arm
            }
            | params,
            metrics,
            0,
            1000,
        )

"""Everything known about one finished trial: what the spool holds and MLflow shows."""

import json
import math
from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from pydantic import ConfigDict, TypeAdapter, ValidationError

from study.probes.audit import Audit
from study.probes.gradient_flow import GradientFlow
from study.probes.state_gradients import LaggedGradients
from study.probes.writing import Writing, as_text
from study.tracking.pictures import (
    attention_picture,
    drawn_picture,
    gradient_flow_picture,
    state_gradients_picture,
)
from study.tracking.run_record import Point, RunToWrite
from study.trial.weights import WEIGHTS

# Curves of at most 400 points a run, each kind sharing what it has; single numbers come on top.
LOSS_POINTS = 135  # losses and metrics, against updates
TELEMETRY_POINTS = 135  # what became of the gradient, against updates
FLOW_POINTS = 96  # gradient norms against lag
PROBE_POINTS = 34  # what probes found within training, against updates

Role = Literal["trial", "rerun", "confirmation", "single"]


@dataclass
class TrialRecord:
    """One trial from its start to its end; plain values only, so that JSON can hold it."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    key: str
    name: str
    role: Role
    config: dict[str, Any]  # complete, by flat name
    tags: dict[str, str] = field(default_factory=dict)
    axes: dict[str, str] = field(default_factory=dict)
    start_ms: int = 0
    end_ms: int = 0
    evaluations: list[dict[str, Any]] = field(default_factory=list)  # step, ms, values
    flows: dict[str, dict[str, Any] | None] = field(default_factory=dict)
    audit: dict[str, Any] | None = None
    writing: dict[str, Any] | None = None
    # Of the other probes, and of those that failed: probe, stage, step, ms, summary, finding, failure
    probes: list[dict[str, Any]] = field(default_factory=list)
    weights: str = ""  # as `study.trial.weights.as_text` has them
    result: dict[str, Any] | None = None
    config_toml: str = ""
    task: dict[str, Any] = field(default_factory=dict)
    error: str | None = None

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "TrialRecord":
        """Raises ValueError when the text is no record, or has a field that none has."""
        try:
            return _RECORD.validate_json(text, strict=True)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, first["loc"]))
            raise ValueError(f"{where}: {first['msg']}" if where else first["msg"]) from None

    def add(self, kind: str, content: Mapping[str, Any]) -> None:
        """Take in one message of a worker."""
        if kind == "started":
            self.start_ms = content["ms"]
            self.evaluations, self.flows, self.audit, self.writing = [], {}, None, None
            self.probes, self.weights = [], ""
        elif kind == "evaluation":
            self.evaluations.append({k: content[k] for k in ("step", "ms", "values")})
        elif kind == "flow":
            self.flows[content["stage"]] = content["flow"]
        elif kind == "audit":
            self.audit = content["audit"]
        elif kind == "writing":
            self.writing = content["writing"]
        elif kind == "probe":
            told = ("probe", "stage", "step", "ms", "summary", "finding")
            failure = {k: content[k] for k in ("failure",) if k in content}
            self.probes.append({k: content[k] for k in told} | failure)
        elif kind == "weights":
            self.weights = content["weights"]
        elif kind == "result":
            self.result, self.config_toml = content["result"], content["config"]
            self.task = content["task"]
        elif kind == "error":
            self.error = content["traceback"]
        self.end_ms = content["ms"]

    @property
    def outcome(self) -> str:
        return self.result["outcome"] if self.result else "failed"

    @property
    def score(self) -> float | None:
        return self.result["score"] if self.result else None

    def summary(self) -> dict[str, float]:
        """The single numbers of the run, by metric name; only finite ones."""
        if self.result is None:
            return {}
        r = self.result
        values: dict[str, float | None] = {
            "score": r["score"],
            "solved": float(r["outcome"] == "solved"),
            "diverged": float(r["outcome"] == "diverged"),
            "steps": r["steps"],
            "steps_to_solve": r["best_step"] if r["outcome"] == "solved" else None,
            "best/step": r["best_step"],
            "clip_rate": r["clip_rate"],
            "skipped_steps": r.get("skipped_steps"),  # none in what an earlier version spooled
            "parameters": r["parameters"],
            "budget": r.get("budget"),
            "operations_per_update": r.get("operations"),
            "wall_seconds": r["wall_seconds"],
            "seconds_per_step": r["seconds_per_step"],
        }
        for when in ("best", "final"):
            values |= {f"{when}/validation_{k}": v for k, v in r[when].items()}
        values |= {f"test/{k}": v for k, v in r["test"].items()}
        # None in what an earlier version spooled.
        for factor, scores in r.get("beyond", {}).items():
            values |= {f"beyond/{k}_at_{factor}T": v for k, v in scores.items()}
        for stage, flow in self.flows.items():
            for name in ("half_life_steps", "log_slope_per_step"):
                values[f"gradient_flow/{stage}/{name}"] = flow[name] if flow else None
        if self.audit:
            values |= {f"init/{k}": v for k, v in Audit.from_dict(self.audit).summary().items()}
        if self.writing:
            values |= {f"attention/{k}": v for k, v in self.writing["attention"].items()}
        for point in self._probe_points("init", "final", "best"):
            values[point.key] = point.value
        return {k: float(v) for k, v in values.items() if v is not None and math.isfinite(v)}

    def to_run(self, parent_id: str | None = None) -> RunToWrite:
        """As MLflow shall show it."""
        flows = {s: GradientFlow.from_dict(f) if f else None for s, f in self.flows.items()}
        files: dict[str, bytes] = {}
        if self.config_toml:
            files["config.toml"] = self.config_toml.encode()
        if flows:
            files["gradient_flow.json"] = json.dumps(self.flows).encode()
            files["gradient_flow.png"] = gradient_flow_picture(self.name, flows)
        if self.audit:
            files["audit.json"] = json.dumps(self.audit).encode()
        if self.writing:
            written = Writing.from_dict(self.writing)
            files["written.txt"] = as_text(written).encode()
            files["written.json"] = json.dumps(self.writing).encode()
            if any(example.weights for example in written.examples):
                files["attention.png"] = attention_picture(self.name, written.examples)
            if written.pictures:
                files["drawn.png"] = drawn_picture(self.name, written.pictures)
        for name, findings in self._findings().items():
            files[f"{name}.json"] = json.dumps(findings).encode()
        # Of a search's many trials a picture would take the driver longer than some of them train.
        if self.role in ("confirmation", "single") and (found := self._state_gradients()):
            files["state_gradients.png"] = state_gradients_picture(self.name, found)
        if self.weights and self.result is not None:
            files[WEIGHTS] = b64decode(self.weights)
        if self.error:
            files["traceback.txt"] = self.error.encode()
        return RunToWrite(
            key=self.key,
            name=self.name,
            status="FAILED" if self.result is None else "FINISHED",
            start_ms=self.start_ms,
            end_ms=self.end_ms,
            parent_id=parent_id,
            tags={
                **self.tags,
                "role": self.role,
                "outcome": self.outcome,
                **{f"axis.{axis}": label for axis, label in self.axes.items()},
                **({"task.card": json.dumps(self.task)} if self.task else {}),
                **({"probes.failed": ", ".join(failed)} if (failed := self.failed_probes) else {}),
            },
            params={**self.config, **{f"axis.{a}": label for a, label in self.axes.items()}},
            points=self._points(),
            files=files,
        )

    @property
    def failed_probes(self) -> list[str]:
        return sorted({entry["probe"] for entry in self.probes if entry.get("failure")})

    def _findings(self) -> dict[str, list[dict[str, Any]]]:
        """By probe, in the order of time."""
        found: dict[str, list[dict[str, Any]]] = {}
        for entry in self.probes:
            keys = ("stage", "step", "finding", "failure")
            kept = {key: entry[key] for key in keys if key in entry}
            found.setdefault(entry["probe"], []).append(kept)
        return found

    def _state_gradients(self) -> dict[int, LaggedGradients]:
        """By the number of updates, those that are finite."""
        return {
            entry["step"]: LaggedGradients.from_dict(entry["finding"])
            for entry in self.probes
            if entry["probe"] == "state_gradients" and entry["finding"]
        }

    def _points(self) -> list[Point]:
        curves: dict[str, list[Point]] = {}
        for evaluation in self.evaluations:
            for name, value in evaluation["values"].items():
                if math.isfinite(value):
                    point = Point(name, value, evaluation["step"], evaluation["ms"])
                    curves.setdefault(name, []).append(point)
        telemetry = {
            k: c for k, c in curves.items() if k.startswith("train/") and k != "train/loss"
        }
        losses = {k: c for k, c in curves.items() if k not in telemetry}
        flows: dict[str, list[Point]] = {}
        for stage, flow in self.flows.items():
            for state, norms in (flow["norms"] if flow else {}).items():
                name = f"gradient_flow/{stage}/{state}"
                flows[name] = [Point(name, n, lag, self.end_ms) for lag, n in enumerate(norms)]
        found: dict[str, list[Point]] = {}
        for point in self._probe_points("training"):
            found.setdefault(point.key, []).append(point)
        points = _share(losses, LOSS_POINTS)
        points += _share(telemetry, TELEMETRY_POINTS) + _share(flows, FLOW_POINTS)
        points += _share(found, PROBE_POINTS)
        return points + [Point(k, v, 0, self.end_ms) for k, v in self.summary().items()]

    def _probe_points(self, *stages: str) -> Iterator[Point]:
        """The sortable numbers of what the probes found at these stages."""
        for found in self.probes:
            if found["stage"] in stages:
                for key, value in found["summary"].items():
                    # MLflow takes all before a name's last slash for a section of charts.
                    name = f"{found['probe']}/{found['stage']}/{key.replace('/', '.')}"
                    yield Point(name, value, found["step"], found["ms"])


_RECORD = TypeAdapter(TrialRecord)


def _share(curves: Mapping[str, list[Point]], most: int) -> list[Point]:
    """All curves, thinned alike to that many points together."""
    return [p for curve in curves.values() for p in thin(curve, most // len(curves))]


def thin(points: Sequence[Any], most: int) -> list[Any]:
    """At most that many of the points, evenly chosen, the first and the last among them; the last, where
    there is room for no more than it."""
    if len(points) <= most:
        return list(points)
    if most < 2:
        return list(points[-1:])
    return [points[round(i * (len(points) - 1) / (most - 1))] for i in range(most)]

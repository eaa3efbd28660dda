"""Runs as they are written to the store and read back from it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Status = Literal["FINISHED", "FAILED", "KILLED", "RUNNING"]

PARENT = "mlflow.parentRunId"  # MLflow's tag of a run below another
SUPERSEDED = "superseded"  # the tag of a run that counts no more


def is_superseded(tags: Mapping[str, str]) -> bool:
    return tags.get(SUPERSEDED) == "true"


@dataclass(frozen=True)
class RunRecord:
    """One run as read back; ``parent_id`` is None for an arm and for a run of `longlag train`."""

    run_id: str
    name: str
    parent_id: str | None
    status: str
    tags: dict[str, str]
    params: dict[str, str]
    metrics: dict[str, float]
    start_ms: int
    end_ms: int | None


@dataclass(frozen=True)
class MetricPoint:
    run_id: str
    key: str
    step: int
    value: float


@dataclass(frozen=True)
class StudyRecord:
    """An experiment with its runs, oldest first; deleted runs are left out."""

    name: str
    experiment_id: str
    tags: dict[str, str]
    runs: list[RunRecord]


@dataclass(frozen=True)
class Point:
    """A metric value to write; timestamps are the recorded ones, so that a replay doubles nothing."""

    key: str
    value: float
    step: int
    timestamp_ms: int


@dataclass
class RunToWrite:
    """Everything about one finished run."""

    key: str
    name: str
    status: Status
    start_ms: int
    end_ms: int
    parent_id: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    params: dict[str, Any] = field(default_factory=dict)
    points: list[Point] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)


def card_of(tags: Mapping[str, str]) -> dict[str, Any]:
    """The tag ``task.card``; empty when there is none that can be read."""
    try:
        card = json.loads(tags.get("task.card", "{}"))
    except (ValueError, RecursionError):
        return {}
    return card if isinstance(card, dict) else {}

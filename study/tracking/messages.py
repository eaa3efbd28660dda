"""A trial's records as plain values, which JSON can hold."""

from typing import Any

from study.trial.config import TrialConfig
from study.trial.probing import Probed
from study.trial.records import Evaluation, Record, Trained
from study.trial.weights import as_text

# Those that came first have messages and metric names of their own, as earlier versions spooled them.
FIRST = ("gradient_flow", "audit", "writing")


def message(record: Record, config: TrialConfig) -> tuple[str, dict[str, Any]]:
    """Its kind and its content, as `TrialRecord.add` takes them."""
    match record:
        case Evaluation():
            return "evaluation", {"step": record.step, "values": record.values}
        case Probed():
            return _of_probe(record)
        case Trained():
            return "weights", {"weights": as_text(record.parameters)}
    told = {"config": config.to_toml(), "task": config.task.card()}
    return "result", {"result": record.as_dict(), **told}


def _of_probe(record: Probed) -> tuple[str, dict[str, Any]]:
    found = None if record.finding is None else record.finding.as_dict()
    place = {"probe": record.probe, "stage": record.stage, "step": record.step}
    if record.failure:
        return "probe", {**place, "summary": {}, "finding": None, "failure": record.failure}
    if record.probe == "gradient_flow":
        return "flow", {"stage": record.stage, "flow": found}
    if record.probe in FIRST:
        return record.probe, {record.probe: found}
    numbers = {} if record.finding is None else record.finding.summary()
    return "probe", {**place, "summary": numbers, "finding": found}

"""A trial's records as plain values, which JSON can hold."""

from typing import Any

from study.probes.audit import Audit
from study.probes.writing import Writing
from study.trial.config import TrialConfig
from study.trial.training import Evaluation, Flow, Record, Trained
from study.trial.weights import as_text


def message(record: Record, config: TrialConfig) -> tuple[str, dict[str, Any]]:
    """Its kind and its content, as `TrialRecord.add` takes them."""
    match record:
        case Evaluation():
            return "evaluation", {"step": record.step, "values": record.values}
        case Flow():
            return "flow", {"stage": record.stage, "flow": record.flow and record.flow.as_dict()}
        case Audit():
            return "audit", {"audit": record.as_dict()}
        case Writing():
            return "writing", {"writing": record.as_dict()}
        case Trained():
            return "weights", {"weights": as_text(record.parameters)}
    told = {"config": config.to_toml(), "task": config.task.card()}
    return "result", {"result": record.as_dict(), **told}

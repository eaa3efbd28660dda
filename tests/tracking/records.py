"""A real trial's record, for the tests of what is kept of it."""

from typing import Any

from study.tracking.messages import message
from study.tracking.trial_record import TrialRecord
from study.trial.config import TrialConfig
from study.trial.probing import Probed
from study.trial.records import Evaluation, Result
from study.trial.training import train


def record(**flat: Any) -> TrialRecord:
    """A real trial's, as a driver collects it."""
    config = TrialConfig.from_flat(
        {"task.length": 4, "model.hidden": 3, "train.batch": 2, "train.steps": 4, **flat}
    )
    found = TrialRecord("s/a/0/1", "a · #0", "trial", config.complete(), axes={"cell": "a"})
    found.tags = {"study": "s", "arm": "a", "number": "0"}
    found.add("started", {"ms": 1000})
    for item in train(config):
        if isinstance(item, Evaluation):
            content = {"step": item.step, "values": item.values, "ms": 1000 + item.step}
            found.add("evaluation", content)
        elif isinstance(item, Probed):
            kind, content = message(item, config)
            found.add(kind, {**content, "ms": 1500})
        elif isinstance(item, Result):
            content = {"result": item.as_dict(), "config": config.to_toml(), "ms": 2000}
            found.add("result", {**content, "task": config.task.card()})
    return found

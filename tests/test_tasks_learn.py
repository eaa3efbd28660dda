"""A small LSTM learns each of these tasks at its easiest: what is asked is in the input.

A protocol whose answer cannot be found in what is shown would pass every other test. Each takes a
second or a few; steps are a few times what the seed here needs.
"""

import pytest

from study.config import TrialConfig
from study.training import Result, train

EASIEST = {
    "adding, pascanu": {"task.name": "adding", "task.version": "pascanu", "task.length": 10},
    "multiplication, 1997": {"task.name": "multiplication", "task.length": 10},
    "two-sequence, 3b": {"task.name": "two-sequence", "task.version": "3b", "task.length": 10},
    "long lag, 2a": {"task.name": "long-lag", "task.length": 8},
    "very long lag, 2c": {"task.name": "very-long-lag", "task.length": 1, "task.distractors": 2},
    "temporal order, 6b": {"task.name": "temporal-order-3", "task.length": 10},
    "Reber": {"task.name": "reber"},
    "delayed xor": {"task.name": "delayed-xor", "task.length": 20, "task.delay": 1},
    "parity": {"task.name": "parity", "task.length": 4},
    "warp, variable": {
        "task.name": "warp",
        "task.length": 20,
        "task.warping": 2,
        "task.variable": True,
    },
}


@pytest.mark.parametrize("task", EASIEST.values(), ids=list(EASIEST))
def test_an_lstm_learns_it(task: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("study.tasks.base.VALIDATION_SEQUENCES", 250)
    config = TrialConfig.from_flat(
        {
            **task,
            "model.hidden": 16,
            "init.bias": "forget",
            "train.lr": 0.02,
            "train.batch": 32,
            "train.steps": 3000,
        }
    )
    *_, done = train(config)
    assert isinstance(done, Result)
    assert done.outcome == "solved", done.best

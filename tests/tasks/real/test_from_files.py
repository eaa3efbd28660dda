"""Every task that needs a user's files: what holds of all of them, on small files in real formats."""

import json
import math
import os
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from task_files import MAKERS

from study.base.errors import UserError
from study.tasks import TASKS
from study.tasks.base import Batch, Task
from study.trial.config import TrialConfig, known_names
from study.trial.records import Result
from study.trial.training import train

NEEDY = [name for name, cls in TASKS.items() if cls.needs_files]

PTB = {"name": "characters", "corpus": "ptb"}
FILES = {"name": "characters", "corpus": "files"}


@pytest.fixture(params=NEEDY)
def given(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    return {"name": request.param, **MAKERS[request.param](tmp_path)}


def sequences(batch: Batch) -> list[bytes]:
    targets = batch.targets.transpose(0, 1).flatten(1).float()
    both = torch.cat([batch.inputs.transpose(0, 1).flatten(1), targets], dim=1)
    return [row.numpy().tobytes() for row in both]


def refusal(given: dict[str, Any]) -> str:
    task = TASKS.build(given)
    with pytest.raises(UserError) as caught:
        task.validation()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_every_such_task_has_files_here() -> None:
    assert MAKERS.keys() == set(NEEDY)


@pytest.mark.parametrize("name", NEEDY)
@pytest.mark.parametrize("path", ["", "/no/such/place", "x" * 300, "~no such user/x"])
def test_without_its_files_a_task_says_what_it_expects_where(name: str, path: str) -> None:
    message = refusal({"name": name, "path": path})
    assert "task.path" in message
    assert name in message
    assert f"task.{TASKS[name].parameters()[0]}" in known_names()


@pytest.mark.parametrize("name", NEEDY)
@pytest.mark.parametrize("path", ["x" * 5000, "null\0byte"])
def test_a_path_that_no_store_can_hold_is_told(name: str, path: str) -> None:
    with pytest.raises(UserError, match=f"^task {name!r}: path: a text ") as caught:
        TASKS.build({"name": name, "path": path})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("given", [{"name": "mnist"}, {"name": "ts-archive"}, PTB, FILES])
def test_a_folder_that_is_closed_is_told(
    given: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As root may read everything, the answer of the operating system is made up.
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path)
    assert refusal({**given, "path": str(tmp_path)}) == f"cannot read {tmp_path}: permission denied"


def test_the_same_message_answers_a_configuration(tmp_path: Path) -> None:
    for name in NEEDY:
        with pytest.raises(UserError, match=rf"^task '{name}' needs .* task\.path is not set"):
            TrialConfig.from_flat({"task": name})
    with pytest.raises(UserError, match=r"task 'ts-archive' needs .* found none in task\.path"):
        TrialConfig.from_flat({"task": "ts-archive", "task.path": str(tmp_path)}).task.validation()


def test_shapes_and_the_same_bytes_for_the_same_seed(given: dict[str, Any]) -> None:
    task = TASKS.build(given)
    batch = next(task.training(3, 5))
    assert batch.inputs.shape == (task.steps, 5, task.input_size)
    assert batch.inputs.dtype == torch.float32
    assert batch.inputs.isfinite().all()
    assert batch.targets.shape[:2] == (task.answer_steps, 5)
    if batch.ends is not None:
        after = torch.arange(task.steps)[:, None] > batch.ends
        assert (batch.inputs[after] == 0).all()

    def stream(seed: int) -> list[bytes]:
        return [b"".join(sequences(b)) for b in islice(task.training(seed, 8), 2)]

    assert stream(5) == stream(5)
    assert stream(5) != stream(6)
    assert sequences(TASKS.build(given).test()) == sequences(task.test())


def test_no_sequence_is_in_two_parts(given: dict[str, Any]) -> None:
    parts = [set(sequences(b)) for b in TASKS.build(given).splits().values()]  # type: ignore[attr-defined]
    assert all(parts)
    assert len(set.union(*parts)) == sum(map(len, parts))


def test_chance_and_nan_do_not_solve_and_truth_does(given: dict[str, Any]) -> None:
    task = TASKS.build(given)
    batch = task.validation()
    assert task.chance_loss > 0
    assert all(0 < level < task.chance_loss for level in task.plateaus.values())
    shape = (*batch.targets.shape[:2], task.output_size)
    assert not task.solved(task.scores(torch.full(shape, math.nan), batch.targets))
    if not batch.targets.is_floating_point():
        true = 50.0 * torch.nn.functional.one_hot(batch.targets, task.output_size)
    elif task.name == "music":
        true = (batch.targets.nan_to_num() - 0.5) * 100
    else:
        true = batch.targets
    scores = task.scores(true, batch.targets)
    assert scores["loss"] == pytest.approx(0, abs=1e-6)
    assert task.solved(scores)
    assert not task.solved(task.scores(torch.zeros(shape), batch.targets))
    if task.metric:
        assert task.chance_metric is not None
        assert 0 <= task.chance_metric < (math.inf if task.metric == "bits" else 1)
        assert scores[task.metric] == pytest.approx(0 if task.metric == "bits" else 1, abs=1e-9)


def test_card_is_complete_and_json_and_lag_fits(given: dict[str, Any]) -> None:
    task: Task = TASKS.build(given)
    card = json.loads(json.dumps(task.card(), allow_nan=False))
    assert card["steps"] == task.steps
    assert (card["solved_loss"] is None) != (card["solved_metric"] is None)
    low, high = task.lag  # type: ignore[attr-defined]
    assert 0 <= low <= high < task.steps


def test_it_trains_and_the_loss_falls(given: dict[str, Any]) -> None:
    flat = {f"task.{k}": v for k, v in given.items()}
    settings = {"model.hidden": 4, "train.steps": 12, "train.batch": 8, "train.evaluate_every": 6}
    config = TrialConfig.from_flat(
        {**flat, **settings, "task.name": given["name"], "train.lr": 0.02}
    )
    if given["name"] == "mnist":
        config = TrialConfig.from_flat({**config.flat(), "task.by": "row"})
    records = list(train(config, test=True))
    result = records[-1]
    assert isinstance(result, Result)
    assert result.outcome in ("budget", "solved")
    assert math.isfinite(result.test["loss"])
    assert result.best_step > 0, "no update lowered the loss on the validation set"

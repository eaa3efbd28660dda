"""How much arithmetic an update takes, counted by hand, and budgets in it and in seconds."""

from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from study.base.errors import UserError
from study.cells import CELLS
from study.networks.model import Model
from study.tasks.base import Batch
from study.trial.config import TrialConfig
from study.trial.construction import build_model
from study.trial.operations import _count, of_sequence, per_update
from study.trial.records import Result
from study.trial.training import train, updates_within

TASK = {"task.name": "adding", "task.length": 40}  # I = 2, one number read at the end


def config(**changes: Any) -> TrialConfig:
    tiny = {"model.hidden": 8, "train.batch": 4, "train.probes": "none", "train.evaluate_every": 2}
    return TrialConfig.from_flat({**TASK, **tiny, **changes})


# Matrices that a step multiplies with, of H and I numbers; from the published equations.
PER_STEP = {
    "elman": lambda h, i: h * (h + i),
    "lstm": lambda h, i: 4 * h * (h + i),
    "gru": lambda h, i: 3 * h * (h + i),
    "indrnn": lambda h, i: h * i,
    "mgu": lambda h, i: 2 * h * (h + i),
}


@pytest.mark.parametrize("cell", PER_STEP)
@pytest.mark.parametrize("length", [5, 40, 300])
def test_a_step_takes_two_operations_for_every_number_of_its_matrices(
    cell: str, length: int
) -> None:
    c = config(**{"model.cell": cell, "task.length": length})
    model = build_model(c)
    batch = c.task.validation()
    step = 2 * PER_STEP[cell](8, 2)
    assert of_sequence(model, batch) == len(batch.inputs) * step + 2 * 8
    assert per_update(c, model, batch) == 3 * 4 * of_sequence(model, batch)
    assert all(layer.engine == "auto" for layer in model.layers)


def test_backward_takes_twice_as_much_as_forward() -> None:
    """Counted by torch, on its own LSTM; the first input needs no gradient."""
    lstm = nn.LSTM(8, 8)
    x = torch.zeros(5, 3, 8, requires_grad=True)
    forward, both = FlopCounterMode(display=False), FlopCounterMode(display=False)
    with forward:
        lstm(x)
    with both:
        lstm(x)[0].sum().backward()
    assert both.get_total_flops() == pytest.approx(3 * forward.get_total_flops(), rel=0.1)


def test_every_step_read_is_counted_and_what_writes_is() -> None:
    c = config(**{"task.name": "copy", "task.length": 60, "model.cell": "gru"})
    model, batch = build_model(c), c.task.validation()
    assert of_sequence(model, batch) == _count(model, batch.take(slice(0, 1)))
    words = {"task.name": "number-words", "model.hidden": 8, "train.batch": 4}
    written = TrialConfig.from_flat(words | {"attention": "soft", "decoder.context": "attention"})
    plain = TrialConfig.from_flat(words)
    counts = [of_sequence(build_model(c), c.task.validation()) for c in (written, plain)]
    assert counts[0] > counts[1] > 0


def test_a_guess_goes_forward_only() -> None:
    guess = config(**{"train.optimizer": "guess"})
    learns = config()
    counts = [per_update(c, build_model(c), c.task.validation()) for c in (guess, learns)]
    assert 3 * counts[0] == counts[1]


def test_equal_operations_are_unequal_updates() -> None:
    results = {}
    for cell in ("elman", "lstm"):
        one = per_update(config(**{"model.cell": cell}), *_built(cell))
        *_, results[cell] = train(config(**{"model.cell": cell, "train.operations": 1e6}))
        assert isinstance(results[cell], Result)
        assert results[cell].operations == one
        assert results[cell].budget == results[cell].steps == int(1e6 // one)
    assert results["elman"].steps > 3 * results["lstm"].steps


def _built(cell: str) -> tuple[Model, Batch]:
    c = config(**{"model.cell": cell})
    return build_model(c), c.task.validation()


def test_operations_end_before_the_updates_or_do_nothing() -> None:
    settings = config(**{"train.steps": 10}).train
    assert updates_within(settings, 100) == 10
    for operations, updates in ((1e9, 10), (550.0, 5), (1.0, 1)):
        given = config(**{"train.steps": 10, "train.operations": operations}).train
        assert updates_within(given, 100) == updates
        assert updates_within(given, 0) == 10


def test_seconds_end_a_training_and_its_score_says_how_many() -> None:
    *_, ended = train(config(**{"train.steps": 10_000_000, "train.seconds": 0.05}))
    assert isinstance(ended, Result)
    assert ended.outcome == "budget"
    assert 2 <= ended.steps < 100_000
    with pytest.raises(UserError, match="seconds"):
        config(**{"train.seconds": -1.0})


def test_every_cell_can_be_counted() -> None:
    counted = 0
    for name in CELLS:
        try:
            c = config(**{"model.cell": name, "task.length": 5})
        except UserError:
            continue  # one for a task of its own
        assert of_sequence(build_model(c), c.task.validation()) > 0, name
        counted += 1
    assert counted > len(CELLS) / 2
    own = TrialConfig.from_flat({"task.name": "influence-balancing", "model.cell": "influence"})
    assert of_sequence(build_model(own), own.task.validation()) >= 0

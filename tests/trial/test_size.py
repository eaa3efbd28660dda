"""Networks of a given number of parameters."""

import pytest

from study.base.errors import UserError
from study.trial.config import TrialConfig
from study.trial.construction import build_model


def config(**changes: object) -> TrialConfig:
    return TrialConfig.from_flat({k.replace("__", "."): v for k, v in changes.items()})


# By hand, adding problem (I = 2, one output): H² + 4H + 1, 4H² + 13H + 1, 3H² + 10H + 1.
@pytest.mark.parametrize(
    ("cell", "hidden", "count"),
    [
        ("elman", 98, 98**2 + 4 * 98 + 1),
        ("lstm", 48, 4 * 48**2 + 13 * 48 + 1),
        ("gru", 56, 3 * 56**2 + 10 * 56 + 1),
    ],
)
def test_the_units_are_those_of_the_nearest_number(cell: str, hidden: int, count: int) -> None:
    found = config(model__cell=cell, model__parameters=10_000)
    assert found.model.hidden == hidden
    assert build_model(found).parameter_count() == count
    for other in (hidden - 1, hidden + 1):
        beside = config(model__cell=cell, model__hidden=other)
        assert abs(build_model(beside).parameter_count() - 10_000) > abs(count - 10_000)


@pytest.mark.parametrize(
    "changes",
    [
        {"model__layers": 3},
        {"model__bidirectional": True, "model__cell": "gru"},
        {"task__name": "transduction", "attention": "soft"},
        {"model__cell": "clockwork"},
        {"model__cell": "orthogonal-rnn", "init__recurrent": "identity"},
        {"model__deep_hidden": 2, "model__deep_output": 1},
        {"model__parameters": 200, "model__cell": "minlstm"},
        {"model__parameters": 400_000},
    ],
)
def test_of_every_kind_of_network(changes: dict[str, object]) -> None:
    found = config(**{"model__parameters": 5_000, **changes})
    wanted, hidden = found.model.parameters, found.model.hidden

    def count(size: int) -> int:
        rest = {k: v for k, v in found.flat().items() if k != "model.parameters"}
        return build_model(TrialConfig.from_flat(rest | {"model.hidden": size})).parameter_count()

    assert abs(count(hidden) - wanted) < 0.1 * wanted
    for other in (hidden - 1, hidden + 1):
        assert abs(count(other) - wanted) >= abs(count(hidden) - wanted)
    # As it is written, so it is read.
    assert TrialConfig.from_flat(found.flat()) == found
    assert TrialConfig.from_flat(found.flat() | {"train.lr": 0.1}).model == found.model


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"model__hidden": 7}, "model.hidden follows from model.parameters; leave it out (got 7"),
        ({"model__parameters": 3}, "no number of units gives the cell 'lstm' about 3 parameters"),
        ({"model__cell": "influence"}, "with model.hidden = 8192 it has 8,194"),
    ],
)
def test_what_cannot_be_is_refused(changes: dict[str, object], told: str) -> None:
    with pytest.raises(UserError) as refusal:
        config(**{"model__parameters": 10_000, **changes})
    assert told in str(refusal.value)

"""What two probes have in common is measured once, and told by both when it fails."""

import pytest

from study.probes import gradient_flow, state_gradients
from study.probes.once import Once
from study.trial.config import TrialConfig
from study.trial.construction import build_model
from study.trial.probing import Probed, Probing

SETTINGS = {"task.name": "adding", "task.length": 9, "model.hidden": 4}


def test_a_measurement_is_made_once_and_raises_as_often_as_it_is_asked() -> None:
    made = []

    def measure(x: int) -> int:
        made.append(x)
        return x + 1

    def fails(x: int) -> int:
        made.append(-x)
        raise ValueError(f"no {x}")

    once = Once()
    assert [once(measure, 3), once(measure, 3)] == [4, 4]
    for _ in range(2):
        with pytest.raises(ValueError, match="no 5"):
            once(fails, 5)
    assert made == [3, -5]
    assert Once()(measure, 3) == 4
    assert made == [3, -5, 3]


def measured(stage: str) -> list[Probed]:
    flows = "gradient_flow,state_gradients"
    config = TrialConfig.from_flat(SETTINGS | {"train.probes": flows})
    probing = Probing(config, config.task.validation(), dear=False)
    return list(probing.at(stage, 0, build_model(config)))  # type: ignore[arg-type]


def test_the_gradient_is_followed_once_for_both_probes(monkeypatch: pytest.MonkeyPatch) -> None:
    config = TrialConfig.from_flat(SETTINGS)
    batch = config.task.validation().take(slice(64))
    alone = [
        probe(build_model(config), config.task, batch)
        for probe in (gradient_flow.gradient_flow, state_gradients.state_gradients)
    ]
    calls, real = [], gradient_flow.followed

    def counted(*given: object) -> object:
        calls.append(1)
        return real(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(gradient_flow, "followed", counted)
    monkeypatch.setattr(state_gradients, "followed", counted)
    found = {p.probe: p.finding for p in measured("init")}
    assert found == {"gradient_flow": alone[0], "state_gradients": alone[1]}
    assert len(calls) == 1
    assert len(measured("init")) == 2
    assert len(calls) == 2, "another network, another measurement"


def test_a_failure_is_told_by_both(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*given: object) -> None:
        raise RuntimeError("as if")

    monkeypatch.setattr(gradient_flow, "followed", fails)
    monkeypatch.setattr(state_gradients, "followed", fails)
    found = measured("final")
    assert [(p.finding, "as if" in p.failure) for p in found] == [(None, True)] * 2

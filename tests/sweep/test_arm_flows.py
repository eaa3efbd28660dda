"""What an arm's run says of the gradients of the runs below it, on a store written by hand."""

import math

import pytest

from study.sweep import arm_flows
from study.tracking.pictures import arm_flow_figure
from study.tracking.run_record import Point, RunToWrite
from study.tracking.store import Store

SLOPE = "gradient_flow/final/log_slope_per_step"


@pytest.fixture
def store(tmp_path) -> Store:
    return Store.open(tmp_path, create=True)


def add(store: Store, key: str, parent: str | None, tags: dict, metrics: dict, curve=()) -> str:
    points = [Point(name, value, 0, 1) for name, value in metrics.items()]
    points += [Point("gradient_flow/init/h", v, lag, 1) for lag, v in enumerate(curve)]
    written = RunToWrite(key, key, "FINISHED", 1, 2, parent, tags, {}, points)
    return store.write(store.experiment("s", {"longlag.study": "s"}), written)


def arm_of(store: Store) -> str:
    tags = {"role": "arm", "arm": "a", "cell.output": "h", "best_trial_key": "s/a/1/0"}
    return add(store, "s/a", None, tags, {})


def of(store: Store, run_id: str) -> dict[str, float]:
    return next(r.metrics for r in store.study("s").runs if r.run_id == run_id)


def test_medians_are_those_of_the_best_trials_confirmations(store):
    arm = arm_of(store)
    add(store, "s/a/1/0", arm, {"role": "trial", "trial_key": "s/a/1/0"}, {"clip_rate": 1.0})
    for i, (slope, rate) in enumerate([(-0.1, 0.0), (-0.2, 0.3), (-0.4, 0.5)]):
        tags = {"role": "confirmation", "trial_key": f"c{i}", "confirms": "s/a/1/0"}
        add(store, f"c{i}", arm, tags, {"clip_rate": rate, SLOPE: slope}, [2.0, 1.0, 0.5])
    other = {"role": "confirmation", "trial_key": "d", "confirms": "s/a/0/0"}
    add(store, "d", arm, other, {"clip_rate": 9.0})
    told: list[str] = []
    arm_flows.sum_up(store, "s", [arm], told)
    found = of(store, arm)
    assert not told
    assert found["clip_rate"] == 0.3
    assert found[SLOPE] == -0.2
    assert found["gradient_flow/final/half_life_steps"] == pytest.approx(math.log(2) / 0.2)
    with store.artifact(arm, arm_flows.PICTURE) as file:
        assert file.read_bytes().startswith(b"\x89PNG")


def test_an_arm_without_confirmations_shows_its_best_trial(store):
    arm = arm_of(store)
    add(store, "s/a/0/0", arm, {"role": "trial", "trial_key": "s/a/0/0"}, {"clip_rate": 1.0})
    add(store, "s/a/1/0", arm, {"role": "trial", "trial_key": "s/a/1/0"}, {"clip_rate": 0.25})
    arm_flows.sum_up(store, "s", [arm], [])
    assert of(store, arm)["clip_rate"] == 0.25


def test_an_arm_in_which_nothing_ended_is_left_as_it_is(store):
    arm = arm_of(store)
    arm_flows.sum_up(store, "s", [arm, "there is no such run"], [])
    assert not of(store, arm)


def test_a_gradient_that_does_not_decay_has_no_half_life():
    assert arm_flows.medians([{SLOPE: 0.1}, {SLOPE: 0.0}, {SLOPE: -0.1}]) == {SLOPE: 0.0}


def test_the_picture_has_a_line_a_run_over_lag_0_and_their_median():
    figure = arm_flow_figure({"init": [{0: 2.0, 1: 1.0}, {0: 4.0, 1: 4.0}], "final": [{0: 0.0}]})
    lines = [list(line.get_ydata()) for line in figure.axes[0].lines]
    assert lines == [[1.0, 0.5], [1.0, 1.0], [1.0, 0.75]]


def test_the_picture_of_nothing_says_so():
    figure = arm_flow_figure({"init": [{0: 0.0}]})
    assert [text.get_text() for text in figure.axes[0].texts] == ["not finite, or zero"]

"""What probes cost, counted against a clock that the test sets."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from study.base.errors import UserError
from study.commands import bench_probes as module
from study.commands.bench_probes import COLUMNS, bench_probes, print_costs
from study.spaces.space import Space

SPACE = Space(
    name="small",
    fixed={
        "task.name": "adding",
        "task.length": 5,
        "model.hidden": 3,
        "train.batch": 2,
        "train.steps": 60,
        "train.evaluate_every": 5,
        "train.probe_points": 3,
    },
    compare={"cell": {"a": {"model.cell": "elman"}, "b": {"model.cell": "gru"}}},
)


@pytest.fixture
def ticking(monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[int]]:
    """Processor time that goes on by a second whenever it is asked for."""
    asked: list[int] = []

    def process_time() -> float:
        asked.append(1)
        return float(len(asked))

    monkeypatch.setattr(module.time, "process_time", process_time)
    return lambda: asked


def test_a_share_is_what_a_trial_measures_over_what_it_trains(
    ticking: Callable[[], list[int]], tmp_path: Path
) -> None:
    told: list[str] = []
    path = tmp_path / "rows.json"
    names = ["gradient_flow", "audit", "state_gradients", "writing"]
    rows = bench_probes(SPACE, names, 2, path, updates=20, told=told.append)
    assert told == [arm.title for arm in SPACE.arms()]
    assert json.loads(path.read_text()) == rows
    assert {row["arm"] for row in rows} == set(told)
    for row in rows:
        assert tuple(row) == COLUMNS
    assert {row["probe"] for row in rows} == set(names) - {"writing"}, "nothing is written here"
    by_name = {row["probe"]: row for row in rows if row["arm"] == told[0]}
    # Set points of 60 updates, looked at every 5: 5, 10, 25.
    expected = {"gradient_flow": 2, "audit": 1, "state_gradients": 1 + 3 + 1}
    for name, times in expected.items():
        row = by_name[name]
        assert row["measurements"] == times
        assert row["seconds_each"] == 1, "between two looks at the clock"
        assert row["share"] == times / row["training_seconds"]
        assert row["dear"] is False


def test_the_rate_of_the_first_updates_counts_for_the_whole_budget() -> None:
    (row,) = [r for r in bench_probes(SPACE, ["audit"], 1, updates=10) if r["arm"].endswith("a")]
    (long,) = [
        r
        for r in bench_probes(
            SPACE.model_copy(update={"fixed": SPACE.fixed | {"train.steps": 60_000}}),
            ["audit"],
            1,
            updates=10,
        )
        if r["arm"].endswith("a")
    ]
    assert 100 < long["training_seconds"] / row["training_seconds"] < 10_000
    assert 0 < row["seconds_each"] < 1


def test_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        dict(zip(COLUMNS, values, strict=True))
        for values in [
            ("one", False, "a", 2, 0.004, 1.0, 0.01),
            ("one", False, "b", 2, 0.006, 1.0, 0.03),
            ("two", True, "a", 1, 0.1, 1.0, 0.1),
        ]
    ]
    print_costs(rows, "small")
    out = capsys.readouterr().out
    assert "small" in out
    (one,) = [line for line in out.splitlines() if " one " in line]
    assert one.replace("│", " ").split() == ["one", "trials", "2", "5.0", "2.00%", "3.00%", "b"]
    assert "on every trial, together: 2.00% of training, at most 3.00%" in out
    assert "on a confirmation, together: 7.00% of training, at most 11.00%" in out


def test_nothing_is_measured_of_an_unknown_probe(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no probe named 'audits'; did you mean 'audit'"):
        bench_probes(SPACE, ["audits"])
    with pytest.raises(UserError, match="there is no folder"):
        bench_probes(SPACE, ["audit"], json_path=tmp_path / "no" / "rows.json")

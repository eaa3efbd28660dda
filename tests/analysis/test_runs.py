"""Reading a study into tables."""

import json
import math
from dataclasses import fields, replace

import numpy as np
import pandas as pd
import pytest
from synthetic import MemoryStore, make

from analysis.data import columns
from analysis.data.runs import Results, read_study
from analysis.data.tasks import read_task
from analysis.findings.links import links
from analysis.findings.summary import importances, pairs, ranks, summarize
from study.base.errors import UserError
from study.probes.audit import MatrixAudit, Timescales
from study.tasks import TASKS
from study.tracking.run_record import RunRecord


@pytest.fixture(scope="module")
def store() -> MemoryStore:
    return make(trials=6)


@pytest.fixture(scope="module")
def results(store: MemoryStore) -> Results:
    return read_study(store, "synthetic")


def test_every_run_has_its_row(store: MemoryStore, results: Results) -> None:
    roles = [run.tags["role"] for run in store.record.runs]
    assert len(results.arms) == roles.count("arm") == 8
    assert len(results.trials) == roles.count("trial") == 48
    assert len(results.confirmations) == roles.count("confirmation") == 24
    assert results.notices == []


def test_columns_are_the_documented_ones(results: Results) -> None:
    for table, documented in [
        (results.arms, columns.ARMS),
        (results.trials, columns.RUNS),
        (results.curves, columns.CURVES),
        (results.flows, columns.FLOWS),
        (summarize(results, np.random.default_rng(0)), columns.SUMMARY),
        (importances(results), columns.IMPORTANCE),
        (pairs(results), columns.PAIRS),
        (links(results), columns.LINKS),
    ]:
        own = [name for name in table if not name.startswith("param.")]
        assert own == list(documented)
        for name, (dtype, meaning) in documented.items():
            assert str(table[name].dtype) == dtype
            assert meaning


def test_the_audit_of_every_run_is_in_its_row(store: MemoryStore, results: Results) -> None:
    rows = pd.concat([results.trials, results.confirmations]).set_index("run_id")
    for run in store.record.runs:
        if run.tags["role"] == "arm":
            continue
        for name in columns.AUDIT:
            recorded = run.metrics.get(f"init/{name.removesuffix('_init')}", math.nan)
            assert rows.at[run.run_id, name] == pytest.approx(recorded, nan_ok=True)
        assert rows.at[run.run_id, "clip_rule"] == run.params["clip.name"]
    known = {f"{field.name}_init" for field in fields(MatrixAudit)}
    known |= {f"timescale_{field.name}_init" for field in fields(Timescales)}
    assert set(columns.AUDIT) == known


def test_one_trial_is_chosen_and_it_is_the_best(results: Results) -> None:
    for _, own in results.trials.groupby("arm"):
        ended = own[own["outcome"].isin(("solved", "budget"))]
        assert own["chosen"].sum() == 1
        assert own.loc[own["chosen"], "score"].item() == ended["score"].min()


def test_tasks_and_architectures_are_told_apart(results: Results) -> None:
    assert results.architectures == ["tanh", "irnn", "lstm", "gru"]
    task = results.tasks["adding-50"]
    assert (task.length, task.solved_loss, task.metric) == (50, 0.01, None)
    assert results.tasks["digits"].solved_metric == 0.9


def test_a_criterion_is_in_the_units_of_its_task_as_the_card_has_them() -> None:
    """The parameter's unit need not be the loss's (bits), and need not apply to every version."""
    params = {"task.solved_below": "2.5", "task.solved_at": "none"}
    card = {"solved_loss": 1.73, "solved_metric": None}
    assert read_task("text", card, params).met(1.8, 0.5) is False
    unknown = read_task("adding", {"solved_loss": None, "solved_metric": None}, params)
    assert (unknown.solved_loss, unknown.met(1.8, 0.5)) == (None, None)
    assert read_task("told by its parameters alone", {}, params).met(1.8, 0.5) is True


def test_the_steps_of_a_task_are_those_of_its_sequences_not_its_parameter_length() -> None:
    """Copy memory's T blanks stand between ten symbols shown and ten recalled."""
    task = read_task("copy", TASKS.build({"name": "copy", "length": 100}).card(), {})
    assert (task.length, task.steps, task.span) == (100, 120, 120)
    assert task.caption == "Copy memory, 120 steps"
    strings = TASKS.build({"name": "transduction", "length": 10, "variable": True})
    assert read_task("strings", strings.card(), {}).span == 10 + 11


def _changed(store: MemoryStore, **tags: str) -> MemoryStore:
    runs = [replace(run, tags=run.tags | tags) for run in store.record.runs]
    return replace(store, record=replace(store.record, runs=runs))


def test_axes_that_set_the_task_make_the_task() -> None:
    """An axis called "length" that sets task.length is part of the task, whatever its name."""
    store = make(trials=2, confirmations=1)
    text = {
        key: json.dumps(
            json.loads(space) | {"compare": {"cell": {}, "length": {"long": {"task.length": 9}}}}
        )
        for key, space in store.texts.items()
    }
    found = read_study(_changed(replace(store, texts=text), **{"axis.length": "long"}), "synthetic")
    assert list(found.tasks) == ["adding-50 · long", "digits · long"]
    assert found.architectures == ["tanh", "irnn", "lstm", "gru"]


def _first(store: MemoryStore, role: str) -> RunRecord:
    return next(run for run in store.record.runs if run.tags["role"] == role)


def test_arms_come_in_the_order_of_the_space(store: MemoryStore, results: Results) -> None:
    shuffled = store.record.runs[::-1]
    found = read_study(replace(store, record=replace(store.record, runs=shuffled)), "synthetic")
    assert list(found.arms["arm"]) == list(results.arms["arm"])
    assert list(found.tasks) == ["adding-50", "digits"]


def test_superseded_confirmations_and_earlier_attempts_are_left_out(store: MemoryStore) -> None:
    trial, confirmation = _first(store, "trial"), _first(store, "confirmation")
    again = replace(
        trial,
        run_id="again",
        tags=trial.tags | {"trial_key": trial.tags["trial_key"][:-1] + "2"},
    )
    runs = [
        replace(run, tags=run.tags | {"superseded": "true"}) if run is confirmation else run
        for run in store.record.runs
    ]
    found = read_study(
        replace(store, record=replace(store.record, runs=[*runs, again])), "synthetic"
    )
    assert len(found.confirmations) == 23
    assert len(found.trials) == 48
    assert "again" in set(found.trials["run_id"])
    assert trial.run_id not in set(found.trials["run_id"])
    assert any("attempt" in notice for notice in found.notices)


def test_without_the_space_or_with_nonsense_it_says_so(store: MemoryStore) -> None:
    found = read_study(replace(store, texts={}), "synthetic")
    assert any("search space" in notice for notice in found.notices)
    broken = read_study(_changed(store, **{"task.card": "{nonsense"}), "synthetic")
    assert broken.tasks["digits"].chance_loss is None
    orphan = replace(
        _first(store, "trial"), run_id="orphan", parent_id="gone", tags={"role": "trial"}
    )
    runs = [*store.record.runs, orphan]
    found = read_study(replace(store, record=replace(store.record, runs=runs)), "synthetic")
    assert any("orphan" in notice for notice in found.notices)


def test_an_unknown_study_is_the_users_mistake(store: MemoryStore) -> None:
    with pytest.raises(UserError):
        read_study(store, "synthetik")


def test_summary_counts_what_is_in_the_store(store: MemoryStore, results: Results) -> None:
    summary = summarize(results, np.random.default_rng(0)).set_index("arm")
    for arm, row in summary.iterrows():
        own = [run for run in store.record.runs if run.tags["arm"] == arm]
        confirmed = [run for run in own if run.tags["role"] == "confirmation"]
        trials = [run for run in own if run.tags["role"] == "trial"]
        assert row["confirmations"] == len(confirmed)
        assert row["confirmed"] == sum(run.metrics["solved"] for run in confirmed)
        assert row["diverged"] == sum(run.metrics["diverged"] for run in trials)
        losses = [run.metrics["test/loss"] for run in confirmed]
        assert row["test_loss_iqm"] == pytest.approx(
            np.mean(losses)
        )  # of three, nothing is trimmed
        assert row["test_loss_max"] == pytest.approx(max(losses))
        assert row["confirmation_run_ids"].split() == [run.run_id for run in confirmed]


def test_a_diverged_confirmation_without_a_test_loss_counts_as_the_worst(
    store: MemoryStore,
) -> None:
    def spoil(run: RunRecord) -> RunRecord:
        if run.tags["role"] != "confirmation" or run.tags["arm"] != "gru,adding-50":
            return run
        metrics = {k: v for k, v in run.metrics.items() if not k.startswith("test/")}
        return replace(run, metrics=metrics, tags=run.tags | {"outcome": "diverged"})

    runs = [spoil(run) for run in store.record.runs]
    found = read_study(replace(store, record=replace(store.record, runs=runs)), "synthetic")
    row = summarize(found, np.random.default_rng(0)).set_index("arm").loc["gru,adding-50"]
    assert (row["confirmations"], row["confirmed"], row["confirmations_diverged"]) == (3, 0, 3)
    assert row["test_loss_iqm"] == math.inf
    assert row["median_steps_to_solve"] == math.inf


def test_runs_rank_by_success_then_speed_then_loss() -> None:
    nan, inf = float("nan"), float("inf")
    runs = pd.DataFrame(
        [
            (True, 100.0, 0.009),
            (True, 100.0, 0.001),  # stopped as soon: as good, though its loss is lower
            (True, 300.0, 0.001),
            (False, nan, 0.1),
            (False, nan, 0.2),
            (False, nan, inf),
            (False, nan, nan),  # diverged without a test loss
        ],
        columns=["solved", "steps_to_solve", "test_loss"],
    )
    assert list(ranks(runs)) == [0, 0, 1, 2, 3, 4, 4]


def test_a_gradient_is_followed_over_what_is_read_and_what_is_written() -> None:
    from analysis.data.tasks import read_task
    from study.tasks import TASKS

    drawing = read_task("drawing", TASKS.build("digit-drawing").card(), {})
    assert drawing.span == 1 + 64
    assert drawing.caption.endswith(", 1 step read and then up to 64 written")
    words = read_task("words", TASKS.build({"name": "number-words", "digits": 3}).card(), {})
    assert words.span == 3 + 5  # nine hundred ninety nine, and the end
    assert read_task("adding", TASKS.build("adding").card(), {}).span == 100

"""Starts against ends: known relations, none, Simpson's, and studies that lack one or the other."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from cases import each
from scipy import stats
from synthetic import ARCHITECTURES, MemoryStore, make

from analysis.data.runs import Results, read_study
from analysis.figures import Drawing, Missing, style
from analysis.figures.initial_flow_and_outcome import initial_flow_and_outcome
from analysis.findings.links import ALL, BETWEEN, WITHIN, finding, links, reached
from analysis.findings.sentences import findings
from analysis.findings.summary import summarize
from study.tracking.run_record import RunRecord

ADDING = {"adding-50": ("adding", 50)}
SLOPE = "gradient_flow/init/log_slope_per_step"
EXPONENT = "conditioning/init/largest_exponent"
CONDITION = "conditioning/init/step_log_condition"
METRICS = (
    SLOPE,
    EXPONENT,
    CONDITION,
    "conditioning/init/step_log_rms",
    "state_gradients/init/log10_ratio_at_lag",
)
SIX = {f"cell {k}": ARCHITECTURES["lstm"] for k in range(6)}
Change = Callable[[RunRecord, int, int], tuple[dict[str, float | None], str]]


def study(change: Change, architectures: int = 6, trials: int = 12) -> Results:
    """Trials as ``change(run, arm, number)`` makes them: metrics, None to have none, and outcome."""
    names = dict(list(SIX.items())[:architectures])
    store = make(architectures=names, tasks=ADDING, trials=trials, confirmations=0)
    arms = list(names)
    runs = []
    for run in store.record.runs:
        if run.tags["role"] == "trial":
            number = int(run.tags["trial_key"].split("/")[-2])
            given, outcome = change(run, arms.index(run.tags["axis.architecture"]), number)
            metrics = {k: v for k, v in (run.metrics | given).items() if v is not None}
            run = replace(run, metrics=metrics, tags=run.tags | {"outcome": outcome})
        runs.append(run)
    return read_of(replace(store, record=replace(store.record, runs=runs)))


def read_of(store: MemoryStore) -> Results:
    return read_study(store, "synthetic")


def row(results: Results, column: str, scope: str) -> pd.Series:
    table = links(results).set_index(["quantity", "scope"])
    found = table.loc[(column, scope)]
    assert isinstance(found, pd.Series)
    return found


def solved(at: float) -> dict[str, float | None]:
    return {"steps_to_solve": at, "steps": at}


def monotone(run: RunRecord, arm: int, number: int) -> tuple[dict[str, float | None], str]:
    """The sooner solved, the nearer its λ₁ to 0, on either side; no other number differs."""
    steps = 100.0 + 10 * number + arm
    sign = 1 if number % 2 else -1
    return dict.fromkeys(METRICS, 1.0) | solved(steps) | {EXPONENT: sign * steps / 1000}, "solved"


def unrelated(run: RunRecord, arm: int, number: int) -> tuple[dict[str, float | None], str]:
    drawn = np.random.default_rng([arm, number]).normal(size=len(METRICS))
    return solved(100.0 + 10 * number + arm) | dict(zip(METRICS, drawn, strict=True)), "solved"


def simpson(run: RunRecord, arm: int, number: int) -> tuple[dict[str, float | None], str]:
    """A longer half-life from arm to arm with a sooner solution, within an arm with a later one."""
    slope = -10 + arm + number / 100
    return dict.fromkeys(METRICS, 1.0) | solved(1000 - 100 * arm + number) | {
        SLOPE: slope
    }, "solved"


def draw(results: Results) -> Drawing | Missing:
    try:
        with style.page():
            return initial_flow_and_outcome(results)
    except Missing as reason:
        return reason


def said(results: Results) -> str:
    return finding(links(results))


def test_trials_are_ordered_from_the_soonest_solved_to_the_diverged() -> None:
    nan = math.nan
    runs = pd.DataFrame(
        [
            ("solved", 100.0, 0.009),
            ("solved", 100.0, 0.001),  # stopped as soon: as good, though its loss is lower
            ("solved", 300.0, 0.001),
            ("pruned", nan, 0.05),
            ("budget", nan, 0.1),
            ("pruned", nan, 0.2),
            ("diverged", nan, 0.01),  # whatever it once had
            ("diverged", nan, nan),
            ("failed", nan, nan),
        ],
        columns=["outcome", "steps_to_solve", "validation_loss"],
    )
    runs["steps"] = 500.0
    assert list(reached(runs))[:-1] == [5, 5, 4, 3, 2, 1, 0, 0]
    assert math.isnan(reached(runs).iloc[-1])


def test_of_lambda_its_distance_from_0_is_ranked() -> None:
    results = study(monotone)
    for scope in (ALL, WITHIN, BETWEEN):
        assert row(results, "largest_exponent_init", scope)["rho"] == pytest.approx(-1)
    text = said(results)
    assert "a better outcome went with a λ₁ nearer to 0 (ρ = −1.00 [−1.00, −1.00], n = 72)" in text
    assert "A correlation is no cause." in text
    assert row(results, "log_slope_init", ALL)["refusal"] == "the quantity is the same throughout"


def test_over_all_trials_it_is_scipy_s() -> None:
    results = study(unrelated)
    trials = results.trials
    for column in ("log_slope_init", "step_log_condition_init", "log10_ratio_at_lag_init"):
        expected = stats.spearmanr(trials[column], -trials["steps_to_solve"]).statistic
        assert row(results, column, ALL)["rho"] == pytest.approx(expected)
    folded = stats.spearmanr(trials["step_log_rms_init"].abs(), -trials["steps_to_solve"])
    assert row(results, "step_log_rms_init", ALL)["rho"] == pytest.approx(folded.statistic)


def test_what_is_not_related_is_not_told() -> None:
    results = study(unrelated)
    assert said(results) == ""
    drawing = draw(results)
    assert isinstance(drawing, Drawing)
    assert "adding-50: over all trials every interval includes 0" in drawing.caption
    told = findings(results, summarize(results, np.random.default_rng(0)))[0].sentences
    assert not any("correlation" in sentence for sentence in told)


def test_differences_between_arms_are_told_from_those_within() -> None:
    results = study(simpson)
    assert row(results, "log_slope_init", ALL)["rho"] > 0.9
    assert row(results, "log_slope_init", WITHIN)["rho"] == pytest.approx(-1)
    assert row(results, "log_slope_init", BETWEEN)[["rho", "n"]].tolist() == pytest.approx([1, 6])
    text = said(results)
    assert "Over all trials of the search a better outcome went with a longer half-life" in text
    assert "Among the trials of one arm it went with a shorter half-life" in text
    told = findings(results, summarize(results, np.random.default_rng(0)))[0].sentences
    assert told[-1] == text


def test_what_only_arms_differ_in_is_told_as_such() -> None:
    def by_arm(run: RunRecord, arm: int, number: int) -> tuple[dict[str, float | None], str]:
        found, _ = unrelated(run, arm, number)
        return found | solved(900 - 100 * arm + number) | {SLOPE: arm + found[SLOPE] / 4}, "solved"  # type: ignore[operator]

    text = said(study(by_arm, architectures=3))
    assert "longer half-life" in text
    assert "Among the trials of one arm nothing is settled" in text
    assert "it may all be a matter of the arms" in text


def test_arms_of_one_trial_say_nothing_of_what_is_within() -> None:
    text = said(study(simpson, trials=1))
    assert "longer half-life (ρ = 1.00" in text
    assert "No arm alone has trials enough" in text


def test_holm_is_over_the_quantities_of_a_task() -> None:
    table = links(study(unrelated))
    pooled = table[table["scope"] == ALL]
    assert pooled["p_holm"].min() == pytest.approx(min(5 * pooled["p"].min(), 1))


def test_no_loser_is_dropped_in_silence() -> None:
    outcomes = ("solved", "budget", "pruned", "diverged", "failed")

    def mixed(run: RunRecord, arm: int, number: int) -> tuple[dict[str, float | None], str]:
        outcome = outcomes[number % 5]
        found = (
            dict.fromkeys(METRICS, None) if outcome == "failed" else unrelated(run, arm, number)[0]
        )
        unmeasured = {EXPONENT: None} if outcome == "diverged" else {}
        return found | unmeasured, outcome

    results = study(mixed, trials=10)
    slope, exponent = (row(results, c, ALL) for c in ("log_slope_init", "largest_exponent_init"))
    assert slope[["solved", "out_of_budget", "pruned", "diverged"]].tolist() == [12, 12, 12, 12]
    assert (slope["n"], slope["missing"]) == (48, 12)
    assert (exponent["n"], exponent["diverged"], exponent["missing"]) == (36, 0, 24)
    drawing = draw(results)
    assert isinstance(drawing, Drawing)
    assert "24 trials that failed or without the number" in drawing.caption
    assert "pruned trial stands by its loss" in drawing.caption
    panel = drawing.figure.axes[0]
    assert "diverged" in [label.get_text() for label in panel.get_yticklabels()]


def test_a_gradient_of_which_nothing_is_left_is_the_smallest() -> None:
    def gone(run: RunRecord, arm: int, number: int) -> tuple[dict[str, float | None], str]:
        found = unrelated(run, arm, number)[0]
        if number == 0:
            found |= {METRICS[-1]: None, "state_gradients/init/verdict": -1.0}
        return found, "solved"

    results = study(gone)
    assert int(np.isneginf(results.trials["log10_ratio_at_lag_init"]).sum()) == 6
    assert row(results, "log10_ratio_at_lag_init", ALL)["n"] == 72


@each("outcome", ["solved", "budget"])
def test_all_solved_and_none_solved(outcome: str) -> None:
    def alike(run: RunRecord, arm: int, number: int) -> tuple[dict[str, float | None], str]:
        found, _ = unrelated(run, arm, number)
        better = 100.0 + 10 * number + arm
        end: dict[str, float | None] = (
            solved(better) if outcome == "solved" else {"best/validation_loss": better}
        )
        return found | end | {CONDITION: better}, outcome

    results = study(alike)
    assert row(results, "step_log_condition_init", ALL)["rho"] == pytest.approx(-1)
    drawing = draw(results)
    assert isinstance(drawing, Drawing)
    assert "a smaller condition number" in drawing.caption
    labels = [text.get_text() for text in drawing.figure.axes[0].get_yticklabels()]
    assert any("updates" in text for text in labels) == (outcome == "solved")
    assert any("loss" in text for text in labels) == (outcome == "budget")


def test_where_all_ended_alike_there_is_nothing_to_order() -> None:
    results = study(lambda run, arm, number: ({}, "diverged"))
    assert set(links(results)["refusal"]) >= {"what was reached is the same throughout"}
    assert str(draw(results)) == (
        "Of the trials that have ended: what was reached is the same throughout."
    )


def test_one_arm_has_one_correlation() -> None:
    results = study(simpson, architectures=1)
    pooled, within = (row(results, "log_slope_init", scope) for scope in (ALL, WITHIN))
    assert pooled["rho"] == within["rho"] == pytest.approx(-1)
    assert row(results, "log_slope_init", BETWEEN)["refusal"] == "too few to say (n = 1, needed 5)"
    assert isinstance(draw(results), Drawing)


def test_studies_without_the_probes_have_what_they_measured() -> None:
    rest = dict.fromkeys(METRICS[1:], None)
    results = study(lambda run, arm, n: (simpson(run, arm, n)[0] | rest, "solved"))
    assert (
        row(results, "largest_exponent_init", ALL)["refusal"] == "too few to say (n = 0, needed 5)"
    )
    drawing = draw(results)
    assert isinstance(drawing, Drawing)
    assert len(drawing.figure.axes) == 1
    assert SLOPE in drawing.metrics
    assert EXPONENT not in drawing.metrics
    assert "Left out" not in drawing.caption
    nothing = study(lambda run, arm, n: (dict.fromkeys(METRICS, None), "solved"))
    assert "measured gradient flow" in str(draw(nothing))


def test_points_stand_where_the_trials_do() -> None:
    results = study(simpson)
    drawing = draw(results)
    assert isinstance(drawing, Drawing)
    panel = drawing.figure.axes[0]
    drawn = {
        (round(float(x), 6), round(float(y), 6))
        for line in panel.get_lines()
        if line.get_linestyle() == "None"
        for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)  # type: ignore[arg-type]
    }
    trials = results.trials
    height = trials["steps_to_solve"] / trials["steps_to_solve"].max()
    assert drawn == {
        (round(x, 6), round(y, 6)) for x, y in zip(trials["log_slope_init"], height, strict=True)
    }
    low, high = panel.get_ylim()
    assert low > high  # the better stand above
    texts = [text.get_text() for text in panel.texts]
    assert texts[0] == "in arms −1.00 [−1.00, −1.00]"

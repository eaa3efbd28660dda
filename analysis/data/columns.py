"""The columns of every table: their types and what they mean, once, for code and readers."""

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

Columns = Mapping[str, tuple[str, str]]  # name -> (dtype, meaning)

_WHERE: Columns = {
    "arm": ("str", "the arm's name: its labels on the compared axes"),
    "task": ("str", "label of the task"),
    "architecture": ("str", "labels of all compared axes but the task"),
}

ARMS: Columns = {
    **_WHERE,
    "searches": ("int64", "how often the arm was searched"),
    "arm_run_id": ("str", "MLflow run id of the arm, of its first search (parent run)"),
    "cell": ("str", "model.cell"),
    "output": ("str", "the state that is the cell's output (tag cell.output), its first cell's"),
    "planned": ("float64", "trials planned in all searches (metric trials/planned)"),
    "budget": ("float64", "updates a run may use (train.steps)"),
    "batch": ("float64", "sequences a mini-batch (train.batch)"),
    "best_trial_key": ("str", "trial_key of the chosen trial"),
}

# Of the network before training; the column x_init is the metric init/x.
AUDIT: Columns = {
    "spectral_radius_init": (
        "float64",
        "largest |eigenvalue| of a recurrent matrix U before training; of several U the largest",
    ),
    "largest_singular_value_init": ("float64", "σ of U before training; of several U the largest"),
    "orthogonality_error_init": (
        "float64",
        "‖UᵀU - I‖_F/√H before training, of H units; of several U the largest",
    ),
    "gradient_bound_init": (
        "float64",
        "γσ, γ = sup|φ'|, the most that a step back can multiply the gradient's norm by, before "
        "training; empty: gates and leaks have no such bound",
    ),
    "timescale_min_init": (
        "float64",
        "shortest of a unit, 1 + e^b steps, b the bias of the gate that keeps, before training",
    ),
    "timescale_median_init": ("float64", "the median of the units"),
    "timescale_max_init": ("float64", "the longest of a unit"),
}

# Of a step before training; the column x_init is the metric conditioning/init/x.
CONDITIONING: Columns = {
    "largest_exponent_init": (
        "float64",
        "λ₁, the largest Lyapunov exponent a step, before training; 0: differences neither shrink nor grow",
    ),
    "step_log_condition_init": (
        "float64",
        "ln of the largest over the smallest singular value of a step's Jacobian, before training",
    ),
    "step_log_rms_init": (
        "float64",
        "ln of the root mean square of those singular values, before training",
    ),
}

# Of a network that looks back while it writes; the column attention_x is the metric attention/x.
ATTENTION: Columns = {
    "attention_peak": ("float64", "heaviest weight of a symbol written, mean of symbols"),
    "attention_aligned": (
        "float64",
        "weight of the step that a symbol hangs on, mean; empty where the task does not say",
    ),
    "attention_distance": ("float64", "steps of the weights from it, mean"),
}

# Of longer sequences than were trained; the column met_at_x is the metric beyond/criterion_met_at_x.
BEYOND: Columns = {
    f"met_at_{factor}T": (
        "float64",
        f"1 where sequences {factor} times as long meet the criterion too; of solved confirmations",
    )
    for factor in ("1.5", "2", "4", "10")
}

RUNS: Columns = {
    **_WHERE,
    "search": ("int64", "which of the arm's searches it belongs to, from 1 on"),
    "run_id": ("str", "MLflow run id"),
    "trial_key": ("str", "study/arm/number/attempt"),
    "role": ("str", "trial, rerun or confirmation"),
    "outcome": ("str", "solved, budget (ran out of updates), pruned, diverged, failed, running"),
    "baseline": ("str", "whose published settings the trial tries; empty where they were drawn"),
    "confirms": ("str", "trial_key of the trial whose settings a rerun or a confirmation has"),
    "chosen": (
        "bool",
        "whether this is the trial that its search chose, which the confirmations repeat",
    ),
    "score": ("float64", "what the search minimized"),
    "solved": (
        "bool",
        "whether the task's criterion was met and confirmed; of a data set, on the test set",
    ),
    "steps": ("float64", "updates done"),
    "steps_to_solve": (
        "float64",
        "updates done when the criterion was met; of a data set, by the parameters that meet it; empty "
        "when never",
    ),
    "budget": ("float64", "updates the run could use"),
    "validation_loss": (
        "float64",
        "validation loss of the parameters kept: those that met the criterion, else the lowest",
    ),
    "validation_metric": ("float64", "the task's metric on the validation set, of the same"),
    "test_loss": ("float64", "test loss, of the same; confirmations only"),
    **BEYOND,
    "test_metric": ("float64", "the task's metric on the test set; confirmations only"),
    "test_met": (
        "float64",
        "1 where the test result meets the task's criterion, 0 where not; confirmations only",
    ),
    "half_life_init": (
        "float64",
        "steps in which the gradient halves, before training; inf: never",
    ),
    "half_life_final": ("float64", "the same after training"),
    "log_slope_init": (
        "float64",
        "slope of ln of the gradient's norm a step of lag, before training",
    ),
    "log_slope_final": ("float64", "the same after training"),
    "log10_ratio_at_lag_init": (
        "float64",
        "log10 of the norm of the gradient of all states at the task's lag over that at lag 0, before "
        "training; -inf: nothing is left",
    ),
    **CONDITIONING,
    **AUDIT,
    **ATTENTION,
    "beam_exact": (
        "float64",
        "share of test sequences that beam search answers exactly; empty where there is none",
    ),
    "clip_rule": ("str", "clip.name, the rule that clips"),
    "clip_rate": ("float64", "share of updates in which clipping changed the gradient"),
    "skipped_steps": ("float64", "updates left out because their gradient was not finite"),
    "parameters": ("float64", "trained numbers in the network"),
    "wall_seconds": ("float64", "duration of the run"),
    "seconds_per_step": ("float64", "seconds an update"),
    "operations_per_update": (
        "float64",
        "floating-point operations of an update's matrix products, forward and back",
    ),
    "seed": ("str", "the run's seed"),
}

CURVES: Columns = {
    **_WHERE,
    "run_id": ("str", "MLflow run id"),
    "role": ("str", "trial or confirmation"),
    "key": ("str", "MLflow metric"),
    "step": ("int64", "updates done"),
    "value": ("float64", "value of the metric"),
}

FLOWS: Columns = {
    **_WHERE,
    "run_id": ("str", "MLflow run id"),
    "role": ("str", "trial or confirmation"),
    "stage": ("str", "init (before training) or final"),
    "output": ("str", "the state that is the output of the run's cell, of most cells h"),
    "state": ("str", "the output, or another state, such as c of an LSTM"),
    "lag": ("int64", "steps before the last one"),
    "norm": ("float64", "mean over sequences of the norm of dL/dstate at that lag"),
}

SUMMARY: Columns = {
    **_WHERE,
    "trials": ("int64", "trials of the search that have ended"),
    "planned": ("float64", "trials planned"),
    "solved": ("int64", "trials that met the criterion"),
    "out_of_budget": ("int64", "trials that ran out of updates unsolved"),
    "pruned": ("int64", "trials stopped early as unpromising"),
    "diverged": ("int64", "trials with a non-finite or exploding loss"),
    "failed": ("int64", "trials that ended with an error"),
    "lost": ("bool", "every planned trial diverged or failed: there is nothing to confirm"),
    "unfinished": ("int64", "trials recorded as still running or interrupted"),
    "confirmations": ("int64", "confirmation runs that have ended, failed ones left out"),
    "confirmed": (
        "int64",
        "confirmation runs that met the criterion, and again on other sequences",
    ),
    "confirmed_low": (
        "float64",
        "95 % interval of the solved fraction, lower end: Wilson's, or of several searches over them too",
    ),
    "confirmed_high": ("float64", "its upper end"),
    "met_on_test": (
        "float64",
        "of the confirmed, those whose test result meets the criterion too; empty: unknown",
    ),
    "confirmations_diverged": ("int64", "confirmation runs that diverged"),
    "confirmations_failed": ("int64", "confirmation runs that ended with an error"),
    "test_loss_iqm": ("float64", "interquartile mean of the confirmations' test losses"),
    "test_loss_low": ("float64", "95 % bootstrap interval of it, lower end; from 5 runs on"),
    "test_loss_high": ("float64", "95 % bootstrap interval of it, upper end; from 5 runs on"),
    "test_loss_min": ("float64", "lowest test loss of a confirmation"),
    "test_loss_max": ("float64", "highest test loss of a confirmation"),
    "test_metric_iqm": ("float64", "interquartile mean of the confirmations' test metric"),
    "test_metric_min": ("float64", "lowest of them"),
    "test_metric_max": ("float64", "highest of them"),
    "median_steps_to_solve": (
        "float64",
        "updates by which half of the confirmations had solved (Kaplan-Meier); inf: fewer than half solved",
    ),
    "steps_to_solve_min": ("float64", "fewest updates of a confirmation that solved"),
    "steps_to_solve_max": ("float64", "most of them"),
    "half_life_init": (
        "float64",
        "ln 2 / -(median log slope) over runs, before training; inf: none",
    ),
    "half_life_final": ("float64", "the same after training"),
    "half_life_runs": ("str", "whose gradients these are: confirmations, or the chosen trial"),
    "parameters": ("float64", "trained numbers in the network (median)"),
    "seconds_per_1000_updates": ("float64", "median over the arm's runs"),
    "best_score": ("float64", "score of the chosen trial"),
    "chosen": ("str", "the searched parameters of the chosen trial"),
    "arm_run_id": ("str", "MLflow run id of the arm"),
    "chosen_run_id": ("str", "MLflow run id of the chosen trial"),
    "confirmation_run_ids": ("str", "MLflow run ids of the confirmations"),
}

IMPORTANCE: Columns = {
    **_WHERE,
    "parameter": ("str", "searched parameter"),
    "fraction": ("float64", "main effect: share of the forest's variance of log(2 + score)"),
    "r2": ("float64", "out-of-bag R² of the forest"),
    "trials": ("int64", "trials with a score"),
    "refusal": ("str", "why there is no fraction"),
    "arm_run_id": ("str", "MLflow run id of the arm, the parent of these trials"),
}

PAIRS: Columns = {
    "task": ("str", "label of the task"),
    "architecture": ("str", "X"),
    "other": ("str", "Y"),
    "probability": (
        "float64",
        "P(a run of X does better than one of Y), ties half: Mann-Whitney U / (n m)",
    ),
    "runs": ("int64", "n, confirmations of X"),
    "other_runs": ("int64", "m, confirmations of Y"),
}

DECISIONS: Columns = {
    "task": ("str", "label of the task"),
    "architecture": ("str", "X"),
    "other": ("str", "Y"),
    "pairs": ("int64", "seeds on which both have a confirmation run"),
    "only_solved": ("int64", "of them: X solved the task and Y did not"),
    "only_other_solved": ("int64", "Y solved it and X did not"),
    "solved_p": ("float64", "p of equal rates, exact (McNemar)"),
    "solved_p_holm": ("float64", "p adjusted over the pairs of architectures of the task (Holm)"),
    "better": (
        "int64",
        "X did better: solved it alone, or sooner; of two that did not, by its test loss",
    ),
    "worse": ("int64", "Y did better"),
    "equal": ("int64", "neither"),
    "better_p": ("float64", "p of no difference, exact (sign test)"),
    "better_p_holm": ("float64", "p adjusted over the pairs of architectures of the task (Holm)"),
    "needed": (
        "float64",
        "runs of an arm that would decide with probability 0.8, by simulation from these; empty where it "
        "is decided, and where 500 would not",
    ),
}

LINKS: Columns = {
    "task": ("str", "label of the task"),
    "quantity": ("str", "column of the trials' table, measured before training"),
    "measure": ("str", "what of it is ranked: itself, or its distance from 0"),
    "scope": (
        "str",
        "all trials; within arms: ranked inside each arm; between arms: the arms' medians",
    ),
    "rho": (
        "float64",
        "Spearman's rank correlation with what a trial reached; positive: the larger, the better",
    ),
    "low": ("float64", "95 % interval, lower end (Bonett & Wright)"),
    "high": ("float64", "95 % interval, upper end"),
    "p": ("float64", "p of no correlation, of the same approximation"),
    "p_holm": ("float64", "p adjusted over the quantities of a task and scope (Holm)"),
    "n": ("int64", "trials that it is about; between arms: arms"),
    "arms": ("int64", "arms that it is about"),
    "solved": ("int64", "of all trials with the quantity: met the criterion"),
    "out_of_budget": ("int64", "ran out of updates; ordered by lowest validation loss"),
    "pruned": ("int64", "stopped early; ordered as these, by the lowest loss until then"),
    "diverged": ("int64", "counted as the worst, all alike"),
    "missing": (
        "int64",
        "trials that ended and are left out: failed, or without the quantity, as where a gradient was "
        "not finite",
    ),
    "refusal": ("str", "why there is no correlation"),
}

SOURCES: Columns = {
    "figure": ("str", "name of the figure's files"),
    "metric": ("str", "MLflow metric, parameter, tag or file that it draws"),
    "run_id": ("str", "MLflow run id"),
}

TABLES: Mapping[str, Columns] = {
    "arms": SUMMARY,
    "trials": RUNS,
    "reruns": RUNS,
    "confirmations": RUNS,
    "curves": CURVES,
    "flows": FLOWS,
    "importance": IMPORTANCE,
    "pairs": PAIRS,
    "decisions": DECISIONS,
    "links": LINKS,
    "figure_sources": SOURCES,
}


def frame(rows: Iterable[Mapping[str, Any]], columns: Columns) -> pd.DataFrame:
    """A DataFrame with exactly these columns and types, also when there are no rows."""
    table = pd.DataFrame(list(rows), columns=list(columns))
    return table.astype({name: dtype for name, (dtype, _) in columns.items()})

"""What came out, in sentences that claim no more than the intervals allow."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from analysis.data.runs import Results
from analysis.data.tasks import Task
from analysis.data.wording import counted, listing, measured, share, short, span, steps_text, whole
from analysis.findings import decisions, edges, links
from analysis.findings.summary import CONFIRMED
from analysis.statistics.few_runs import Interval, wilson_interval

CERTAIN = 0.995  # a γσ below this is below 1 in print as well


@dataclass(frozen=True)
class Finding:
    """The sentences about one task."""

    task: Task
    sentences: Sequence[str]


def findings(results: Results, summary: pd.DataFrame) -> list[Finding]:
    table = links.links(results)
    decided = decisions.decisions(results)
    at_edge = edges.edges(results)
    found = []
    for key, task in results.tasks.items():
        linked = links.finding(table[table["task"] == key])
        about = summary[summary["task"] == key]
        sentences = _about(results, task, about, decided[decided["task"] == key], at_edge)
        found.append(Finding(task, [*sentences, linked] if linked else sentences))
    return found


def _about(
    results: Results,
    task: Task,
    arms: pd.DataFrame,
    decided: pd.DataFrame,
    at_edge: list[edges.Edge],
) -> list[str]:
    run = arms[arms["confirmations"] > 0]
    sentences = [
        _solved(run),
        _alike(run),
        *decisions.sentences(decided),
        _on_test(run),
        _speed(results, run),
        _loss(task, run),
        _search(results, arms),
        _published(results.trials[results.trials["task"] == task.key]),
        edges.sentence([e for e in at_edge if e.task == task.key]),
    ]
    missing = arms[arms["confirmations"] == 0]
    lost = list(missing.loc[missing["lost"], "architecture"])
    awaited = list(missing.loc[~missing["lost"], "architecture"])
    if run.empty and awaited:
        sentences = [_unconfirmed(arms)]
    else:
        if lost:
            sentences.append(f"Nothing to confirm, as no trial came through: {listing(lost)}.")
        if awaited:
            sentences.append(f"No confirmation runs yet: {listing(awaited)}.")
    sentences += [_lost(arms), _half_lives(task, arms), _must_vanish(results, run)]
    return [sentence for sentence in sentences if sentence]


def _solved(run: pd.DataFrame) -> str:
    """Best first: 'gru solved 3 of 3 confirmation runs [0.44, 1]; tanh solved 0 of 3 …'."""
    if run.empty:
        return ""
    ordered = run.assign(rate=run["confirmed"] / run["confirmations"]).sort_values(
        ["rate", "confirmations"], ascending=False, kind="stable"
    )
    parts: list[str] = []
    for key, group in ordered.groupby(
        ["confirmed", "confirmations", "confirmed_low", "confirmed_high"], sort=False
    ):
        names = list(group["architecture"])
        each = " each" if len(names) > 1 else ""
        of_what = "" if parts else " confirmation runs"
        count, _, interval = share(*key).partition(" [")
        parts.append(f"{listing(names)}{each} solved {count}{of_what} [{interval}")
    return f"{'; '.join(parts)} (in brackets the 95 % interval of the rate)."


def _alike(run: pd.DataFrame) -> str:
    """Where whether it was solved tells nobody apart."""
    rates = set(run["confirmed"] / run["confirmations"])
    if len(run) > 1 and rates == {0.0}:
        return (
            "No arm solved it within the budget, so whether it is solved tells no two arms apart."
        )
    if len(run) > 1 and rates == {1.0}:
        return "Every run of every arm solved it, so whether it is solved tells no two arms apart."
    return ""


def _on_test(run: pd.DataFrame) -> str:
    """Solved is noticed at the first success of many looks at the validation set.

    Every run says whether its test result meets the criterion; only of older stores it may be unknown.
    """
    solving = run[run["confirmed"] > 0]
    known = solving[solving["met_on_test"].notna()]
    if known.empty:
        unknown = (
            "Whether those that solved it meet the criterion on the test set was not recorded."
        )
        return "" if solving.empty else unknown
    solved, met = int(known["confirmed"].sum()), int(known["met_on_test"].sum())
    if met == solved:
        return "On the test set, too, every run that solved it meets the criterion."
    parts = [
        f"{r.architecture}: {whole(r.met_on_test)} of {r.confirmed}" for r in known.itertuples()
    ]
    return (
        f"Of the {counted(solved, 'run')} that solved it, by validation, {met} "
        f"{'meets' if met == 1 else 'meet'} the criterion on the test set as well "
        f"({'; '.join(parts)}). The validation rate is the more flattering one."
    )


def _speed(results: Results, run: pd.DataFrame) -> str:
    ordered = run[run["confirmed"] > 0].sort_values("median_steps_to_solve", kind="stable")
    if ordered.empty:
        return ""
    parts = []
    for row in ordered.to_dict("records"):
        few, many = row["steps_to_solve_min"], row["steps_to_solve_max"]
        spread = f"{whole(few)} to {whole(many)}" if few < many else "all"
        median = row["median_steps_to_solve"]
        if median < float("inf"):
            parts.append(f"{row['architecture']}: {whole(median)} ({spread})")
        else:
            parts.append(f"{row['architecture']}: fewer than half solved it")
    parts += [f"{name}: never" for name in run.loc[run["confirmed"] == 0, "architecture"]]
    every = results.space.get("fixed", {}).get("train.evaluate_every")
    when = f"; checked every {whole(every)} updates" if every else ""
    return f"Updates to solve, median (range{when}): {'; '.join(parts)}."


def _search(results: Results, arms: pd.DataFrame) -> str:
    """What the search says of the arms over the whole searched range: where scores did not lead it."""
    space = results.space
    known = arms[arms["trials"] > 0]
    how = {"random": "drawn at random", "sobol": "spread evenly over their ranges"}.get(
        space.get("sampler", "")
    )
    if how is None or space.get("pruner") != "none" or len(known) < 2:
        return ""
    if not space.get("search") or not (arms["confirmations"] > 0).any():
        return ""
    rows = known.assign(rate=known["solved"] / known["trials"]).sort_values(
        "rate", ascending=False, kind="stable"
    )
    parts = []
    for row in rows.to_dict("records"):
        rate = wilson_interval(row["solved"], row["trials"])
        parts.append(
            f"{row['architecture']}: {share(row['solved'], row['trials'], rate.low, rate.high)}"
        )
    # Of an even design the share varies less than the binomial that the intervals assume.
    note = " (the intervals take them for independent draws)" if space["sampler"] == "sobol" else ""
    return f"Trials of the search that solved it, their settings {how}{note}: {'; '.join(parts)}."


def _published(trials: pd.DataFrame) -> str:
    """How the settings did that a study tries before it draws any."""
    parts = []
    for row in trials[trials["baseline"].fillna("") != ""].to_dict("records"):
        did = "solved it" if row["solved"] else "did not solve it"
        then = " and was chosen" if row["chosen"] else ""
        parts.append(f"{row['architecture']} with those of {row['baseline']} {did}{then}")
    return f"Published settings were tried first: {'; '.join(parts)}." if parts else ""


def _loss(task: Task, run: pd.DataFrame) -> str:
    known = run[run["test_loss_iqm"] < float("inf")].sort_values("test_loss_iqm")
    # A run that solved its task stopped there: its loss says nothing but that it did.
    known = known[known["confirmed"] == 0]
    if known.empty:
        return ""
    best, worst = known.iloc[0], known.iloc[-1]
    if len(known) == 1:
        text = f"Test loss of {best['architecture']}, which solved none: {_spread(best)}"
    else:
        text = f"Test loss of the arms that solved none, lowest: {best['architecture']} with "
        text += f"{_spread(best)}; highest: {worst['architecture']} with {_spread(worst)}"
    if task.chance_loss is not None:
        text += f"; chance is {short(task.chance_loss)}"
    beaten = [
        row["architecture"]
        for row in known.iloc[1:].to_dict("records")
        if Interval(best["test_loss_min"], best["test_loss_max"]).overlaps(
            Interval(row["test_loss_min"], row["test_loss_max"])
        )
    ]
    if beaten:
        text += f". The runs of {listing(beaten)} overlap with those of {best['architecture']}"
    return text + "."


def _spread(row: pd.Series) -> str:
    return f"{measured(row['test_loss_iqm'])} ({span(row['test_loss_min'], row['test_loss_max'])})"


def _unconfirmed(arms: pd.DataFrame) -> str:
    finished = arms[arms["trials"] > 0]
    if finished.empty:
        return "No trial has ended yet."
    parts = [f"{r.architecture}: {r.solved} of {r.trials}" for r in finished.itertuples()]
    return (
        "No confirmation runs yet, so nothing is established. Trials of the search that solved the "
        f"task (their hyperparameters differ): {', '.join(parts)}."
    )


def _lost(arms: pd.DataFrame) -> str:
    """Diverged and failed runs, of the search and of the confirmations."""
    parts = []
    for row in arms.to_dict("records"):
        words = [
            counted(row["diverged"], "trial") + " diverged" if row["diverged"] else "",
            counted(row["confirmations_diverged"], "confirmation") + " diverged"
            if row["confirmations_diverged"]
            else "",
            counted(row["failed"] + row["confirmations_failed"], "run") + " failed"
            if row["failed"] + row["confirmations_failed"]
            else "",
        ]
        if any(words):
            parts.append(f"{row['architecture']}: {', '.join(word for word in words if word)}")
    return f"Lost runs: {'; '.join(parts)}." if parts else "No run diverged and none failed."


def _half_lives(task: Task, arms: pd.DataFrame) -> str:
    known = arms[arms["half_life_init"].notna()].sort_values("half_life_init", kind="stable")
    if known.empty:
        return ""
    parts = [
        f"{row.architecture}: {steps_text(row.half_life_init, task.span)}"
        + (
            f" → {steps_text(row.half_life_final, task.span)}"
            if row.half_life_final == row.half_life_final
            else ""
        )
        for row in known.itertuples()
    ]
    text = "Half-life in steps of the gradient of the output, before → after training"
    return f"{text}. {'; '.join(parts)}."


def _must_vanish(results: Results, run: pd.DataFrame) -> str:
    """Arms whose every confirmation starts with γσ below 1: Pascanu, Mikolov & Bengio (2013)."""
    runs = results.confirmations[results.confirmations["outcome"].isin(CONFIRMED)]
    largest = runs.groupby("arm")["gradient_bound_init"].max()
    unknown = runs.loc[runs["gradient_bound_init"].isna(), "arm"]
    bounds = run["arm"].map(largest).where(~run["arm"].isin(unknown))
    parts = [
        f"{name} (at most {short(bound)})"
        for name, bound in zip(run["architecture"], bounds, strict=True)
        if bound < CERTAIN
    ]
    if not parts:
        return ""
    return (
        "Before training the gradient had to vanish, with γσ below 1 in every confirmation run: "
        f"{listing(parts)}. Training can change that."
    )

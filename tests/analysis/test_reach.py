"""How far each architecture reaches, told from the confirmations at each length."""

import numpy as np
import pandas as pd
import pytest
from synthetic import Kind, make

from analysis.data.runs import Results, read_study
from analysis.findings.reach import families, sentences
from analysis.findings.sentences import findings
from analysis.findings.summary import summarize

LENGTHS = {"adding-100": ("adding", 100), "adding-10": ("adding", 10), "adding-50": ("adding", 50)}
SHORT_TO_LONG = ("adding-10", "adding-50", "adding-100")
CELL = Kind(0.5, -0.1)


def study(**given: object) -> tuple[Results, pd.DataFrame]:
    results = read_study(make(trials=2, **({"tasks": LENGTHS} | given)), "synthetic")
    return results, summarize(results, np.random.default_rng(0))


def told(**solved: str) -> dict[str, str]:
    """With every architecture's outcomes from short to long: 3 of 3 (y), some (n), no trial that came
    through (x), runs that are still to come (.)."""
    results, summary = study(architectures=dict.fromkeys(solved, CELL))
    for name, outcomes in solved.items():
        for task, outcome in zip(SHORT_TO_LONG, outcomes, strict=True):
            row = (summary["architecture"] == name) & (summary["task"] == task)
            runs, confirmed = {"y": (3, 3), "n": (3, 2), "x": (0, 0), ".": (2, 2)}[outcome]
            changed = {"confirmations": runs, "confirmed": confirmed, "lost": outcome == "x"}
            for column, value in changed.items():
                summary.loc[row, column] = value
    return sentences(results, summary)


@pytest.mark.parametrize(
    ("outcomes", "words"),
    [
        ("yyy", "lstm: 100, the longest compared."),
        ("yyn", "lstm: 50."),
        ("yyx", "lstm: 50."),
        ("yny", "lstm: 10 (and again 100)."),
        ("nnn", "lstm: not even 10."),
        ("xyy", "lstm: not even 10 (and again 50 and 100)."),
        ("yy.", "lstm: at least 50, with 100 not confirmed yet."),
        ("y.y", "lstm: at least 10, with 50 not confirmed yet (and again 100)."),
        ("yxy", "lstm: 10 (and again 100)."),
    ],
)
def test_the_reach_of_one_architecture(outcomes: str, words: str) -> None:
    (sentence,) = told(lstm=outcomes).values()
    assert sentence.endswith(f"at all shorter ones. {words}")


def test_the_farthest_stands_first_and_equals_together() -> None:
    (sentence,) = told(tanh="nnn", lstm="yyn", gru="yyy", irnn="yyn").values()
    assert sentence.endswith(
        "gru: 100, the longest compared; lstm and irnn: 50; tanh: not even 10."
    )


def test_what_nothing_is_known_of_is_not_told() -> None:
    assert told(lstm=".nn") == {}
    (sentence,) = told(lstm="...", gru="ynn").values()
    assert "lstm" not in sentence


def test_one_length_and_variants_of_one_length_have_no_reach() -> None:
    for tasks in (
        {"adding-50": ("adding", 50)},
        {"adding-50": ("adding", 50), "digits": ("digits", 64)},
        {"a": ("adding", 50), "b": ("adding", 50), "c": ("adding", 90)},
    ):
        assert sentences(*study(tasks=tasks)) == {}


def of_versions(params: dict[str, dict[str, str]]) -> list[list[str]]:
    """The tasks that are compared as lengths of one kind, when they have these parameters."""
    store = make(trials=2, tasks=LENGTHS, architectures={"gru": CELL})
    for run in store.record.runs:
        run.params.update(params[run.tags["axis.task"]])
    found = families(read_study(store, "synthetic").tasks.values())
    return [[task.key for task in tasks] for tasks in found.values()]


def test_other_data_and_other_versions_are_no_other_lengths() -> None:
    assert of_versions({task: {"task.path": f"{task}.csv"} for task in LENGTHS}) == []
    by = {task: {"task.permuted": str(length > 10)} for task, (_, length) in LENGTHS.items()}
    assert of_versions(by) == [["adding-50", "adding-100"]]
    # A number may grow with the length, such as that of the distractors.
    numbers = {task: {"task.distractors": str(length)} for task, (_, length) in LENGTHS.items()}
    assert of_versions(numbers) == [[*SHORT_TO_LONG]]


def test_two_versions_at_several_lengths_are_told_apart() -> None:
    cards = {f"{v}-{n}": ("adding", n) for v in ("urnn", "irnn") for n in (10, 50)}
    store = make(trials=2, tasks=cards, architectures={"gru": CELL})
    for run in store.record.runs:
        run.params["task.version"] = run.tags["axis.task"].partition("-")[0]
    results = read_study(store, "synthetic")
    told = sentences(results, summarize(results, np.random.default_rng(0)))
    assert list(told) == ["Adding problem (version urnn)", "Adding problem (version irnn)"]


def test_where_every_arm_is_lost_no_confirmation_is_waited_for() -> None:
    results, summary = study(architectures={"irnn": Kind(0.0, -0.1, diverges=10.0)})
    for finding in findings(results, summary):
        text = " ".join(finding.sentences)
        assert "Nothing to confirm, as no trial came through: irnn." in text
        assert "yet" not in text


def test_arms_whose_trials_all_diverged_are_not_waited_for() -> None:
    lost = Kind(0.0, -0.1, diverges=10.0)
    results, summary = study(architectures={"gru": CELL, "irnn": lost})
    assert summary.set_index("architecture")["lost"].to_dict() == {"gru": False, "irnn": True}
    for finding in findings(results, summary):
        text = " ".join(finding.sentences)
        assert "Nothing to confirm, as no trial came through: irnn." in text
        assert "yet" not in text

"""Every claim as it is filed, the rule by which its answers make a verdict, and what shows it."""

import tomllib
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from made_up import solved, study, unsolved

from analysis.claims import CLAIMS, Claim, Verdict, in_order
from analysis.claims.claim import (
    CONTRADICTED,
    INCONCLUSIVE,
    NOT_TESTED,
    SUPPORTED,
    Answer,
    NotTested,
    Studies,
    define,
    holds,
    percent,
    some,
)
from analysis.figures import Missing, style
from analysis.figures.claim_evidence import claim_evidence
from analysis.report.claims_page import wanted, write_page
from study.base.errors import UserError

SPACES = {p.stem: p for p in Path("search_spaces/claims").glob("*.toml")}
YES, NO, OPEN = Answer("yes", 0.01, 1.0), Answer("no", 1.0, 0.001), Answer("open", 0.4, 1.0, 30)


def test_all_twenty_nine_are_there_and_numbered() -> None:
    assert [claim.number for claim in in_order()] == list(range(1, 30))


@pytest.mark.parametrize("name", [*CLAIMS])
def test_a_claim_says_what_it_is_judged_by(name: str) -> None:
    claim = CLAIMS[name]
    assert claim.text.endswith(".")
    assert claim.source
    if claim.judge is None:
        assert not claim.studies
        assert claim.left_out.endswith(".")
        return
    assert claim.supports.endswith(".")
    assert claim.contradicts.endswith(".")
    for space in claim.studies:
        text = tomllib.loads(SPACES[space].read_text(encoding="utf-8"))
        assert text["study"]["name"] == space
        assert f"{claim.number}" in SPACES[space].read_text(encoding="utf-8").split("\n")[0]


def test_every_space_belongs_to_a_claim() -> None:
    assert set(SPACES) == {name for claim in in_order() for name in claim.studies}


def judged(*answers: Answer) -> Verdict:
    claim = Claim(99, "x", "X.", "source", judge=lambda _: answers)
    return claim.verdict({})


def test_all_must_say_yes_and_one_no_is_enough() -> None:
    assert judged(YES, YES).outcome == SUPPORTED
    assert judged(YES, OPEN).outcome == INCONCLUSIVE
    assert judged(YES, NO, OPEN).outcome == CONTRADICTED


def test_no_is_said_at_the_level_over_the_number_of_questions() -> None:
    weak = Answer("weak", 1.0, 0.03)
    assert judged(weak).outcome == CONTRADICTED
    assert judged(weak, YES).outcome == INCONCLUSIVE


def test_what_would_decide_is_the_most_that_an_open_question_needs() -> None:
    assert judged(YES, OPEN, Answer("open", 0.3, 1.0, 50)).needed == 50
    assert judged(YES, OPEN, Answer("open", 0.3, 1.0, None)).needed is None
    assert judged(YES, YES).needed is None


def test_missing_runs_and_missing_studies_are_no_test() -> None:
    def too_few(_: Studies) -> list[Answer]:
        raise NotTested("Too few.")

    claim = Claim(99, "x", "X.", "source", studies=("a",), judge=too_few)
    assert claim.verdict({}).outcome == NOT_TESTED
    assert claim.verdict({}).reason == "To be swept: a."
    assert claim.verdict({"a": study("a", {})}).reason == "Too few."
    assert Claim(99, "x", "X.", "s", left_out="No task.").verdict({}).reason == "No task."


def test_a_false_claim_of_several_questions_is_supported_at_the_level_at_most() -> None:
    """Whatever else holds: one question whose truth is no, at its level, keeps the verdict there."""
    generator = np.random.default_rng(0)
    found = [judged(YES, Answer("", generator.random(), 1.0)).outcome for _ in range(2000)]
    assert found.count(SUPPORTED) / len(found) < 0.07
    none = [
        judged(*(Answer("", 1.0, generator.random()) for _ in range(4))).outcome
        for _ in range(2000)
    ]
    assert none.count(CONTRADICTED) / len(none) < 0.07


def test_one_question_of_several() -> None:
    told = some([Answer("", 0.01, 1.0, 10), Answer("", 0.5, 0.2, 40)], "s")
    assert (told.p_for, told.p_against, told.needed) == (0.02, 1.0, 10)
    assert (holds(True, "").p_for, holds(False, "").p_against) == (0, 0)


@pytest.mark.parametrize(
    ("p", "text"),
    [
        (0.5, "p = .50"),
        (0.0312, "p = .031"),
        (0.00042, "p = .0004"),
        (1e-9, "p < .0001"),
        (1, "p = 1"),
    ],
)
def test_p_as_it_is_written(p: float, text: str) -> None:
    assert percent(p) == text


def test_a_number_is_given_once() -> None:
    with pytest.raises(ValueError, match="claim 8 is registered twice"):
        define(Claim(8, "another", "A.", "source"))


IRNN = {
    "claim-irnn": study(
        "claim-irnn",
        {
            (arm, f"length {length}"): solved(*range(first, first + 10))
            if arm != "tanh"
            else unsolved(10)
            for length in (100, 200)
            for arm, first in (("irnn", 400), ("lstm", 500), ("tanh", 0))
        },
    )
}


def test_a_claim_is_judged_from_planted_runs() -> None:
    assert CLAIMS["irnn"].verdict(IRNN).outcome == SUPPORTED
    swapped = dict(IRNN)
    runs = swapped["claim-irnn"].confirmations
    names = {"irnn": "tanh", "tanh": "irnn"}
    runs = runs.assign(architecture=runs["architecture"].replace(names))
    swapped["claim-irnn"] = study("claim-irnn", {})
    object.__setattr__(swapped["claim-irnn"], "confirmations", runs)
    object.__setattr__(swapped["claim-irnn"], "tasks", IRNN["claim-irnn"].tasks)
    assert CLAIMS["irnn"].verdict(swapped).outcome == CONTRADICTED


def test_claims_are_named_by_number_name_or_study() -> None:
    assert [c.number for c in wanted(["8", "claim-forget-bias"])] == [1, 6, 7, 8]
    assert len(wanted([])) == 29
    with pytest.raises(UserError, match="'irn'"):
        wanted(["irn"])


def test_the_page_has_every_claim_and_a_figure_where_there_are_runs(tmp_path: Path) -> None:
    page = write_page(tmp_path, in_order(), IRNN, "# Findings", "findings")
    text = page.read_text(encoding="utf-8")
    for claim in in_order():
        assert claim.text in text
    assert "1 supported" in text
    assert "28 not tested" in text
    pictures = list((tmp_path / "findings").glob("*.png"))
    assert [p.name for p in pictures] == ["claim-08-irnn.png"]
    assert f"findings/{pictures[0].name}" in text


@pytest.mark.parametrize("measure", ["steps_to_solve", "test_loss", "half_life_init"])
def test_the_figure_has_a_dot_a_run(measure: str) -> None:
    arms = {("a", "t"): solved(3, 4, 5, 6, 7), ("b", "t"): unsolved(5)}
    made = study("s", {k: [{**r, "half_life_init": 2.0} for r in v] for k, v in arms.items()})
    claim = Claim(99, "x", "X.", "source", studies=("s",), judge=lambda _: [], measure=measure)
    with style.page():
        figure = claim_evidence(claim, {"s": made})
    assert len(figure.axes[0].lines) == 10
    plt.close(figure)
    with pytest.raises(Missing):
        claim_evidence(claim, {})

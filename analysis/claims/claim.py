"""A claim of the literature, the questions it stands or falls with, and the verdict on it."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from analysis.data.runs import Results
from analysis.statistics.sign_test import LEVEL
from study.base.registry import Registry

SUPPORTED, CONTRADICTED, INCONCLUSIVE, NOT_TESTED = (
    "supported",
    "contradicted",
    "inconclusive",
    "not tested",
)


class NotTested(Exception):
    """Why the runs that are there do not bear on a claim; one sentence."""


@dataclass(frozen=True)
class Answer:
    """What the runs say of one question that a claim answers with yes.

    ``p_for`` is the p of a test whose rejection means yes, and ``p_against`` of one whose rejection means
    no. ``needed``: about how many runs of an arm would decide it; None where that is not known.
    """

    sentence: str
    p_for: float
    p_against: float
    needed: int | None = None


@dataclass(frozen=True)
class Verdict:
    """``outcome`` is one of the four words above; ``reason`` says why nothing was tested."""

    outcome: str
    answers: tuple[Answer, ...] = ()
    asides: tuple[str, ...] = ()
    reason: str = ""

    def word(self, answer: Answer) -> str:
        """yes, no or open"""
        if answer.p_for <= LEVEL:
            return "yes"
        return "no" if answer.p_against <= LEVEL / len(self.answers) else "open"

    @property
    def needed(self) -> int | None:
        """Runs of an arm that would decide every open question, where all of them can tell."""
        wanted = [a.needed for a in self.answers if self.word(a) == "open"]
        return None if None in wanted else max((n for n in wanted if n is not None), default=None)


Studies = Mapping[str, Results]


@dataclass(frozen=True)
class Claim:
    """``number`` is its place in our list; ``studies`` are those it is judged by, none where it has none yet.

    ``supports`` and ``contradicts`` say in words what ``judge`` computes. ``left_out`` says which part of
    the claim is not judged, and how our runs differ from the source's. ``judge`` raises `NotTested`
    where runs are missing. ``measure`` is the column of the confirmations that the claim's figure shows.
    """

    number: int
    name: str
    text: str
    source: str
    studies: tuple[str, ...] = ()
    supports: str = ""
    contradicts: str = ""
    left_out: str = ""
    judge: Callable[[Studies], Sequence[Answer]] | None = None
    asides: Callable[[Studies], Sequence[str]] | None = None
    measure: str = "steps_to_solve"

    def verdict(self, studies: Studies) -> Verdict:
        """What the runs of ``studies``, by name, say.

        Supported where every question is answered with yes at the level of 0.05: a claim that is false in
        one point is then called supported with a probability of 0.05 at most, however many questions
        there are. Contradicted where one is answered with no at 0.05 over their number (Bonferroni).
        """
        if self.judge is None:
            return Verdict(NOT_TESTED, reason=self.left_out or "No study asks it yet.")
        missing = [name for name in self.studies if name not in studies]
        if missing:
            return Verdict(NOT_TESTED, reason=f"To be swept: {', '.join(missing)}.")
        try:
            answers = tuple(self.judge(studies))
        except NotTested as why:
            return Verdict(NOT_TESTED, reason=str(why))
        asides = tuple(self.asides(studies)) if self.asides is not None else ()
        words = [Verdict("", answers).word(answer) for answer in answers]
        if "no" in words:
            return Verdict(CONTRADICTED, answers, asides)
        outcome = SUPPORTED if all(word == "yes" for word in words) else INCONCLUSIVE
        return Verdict(outcome, answers, asides)


def some(answers: Sequence[Answer], sentence: str) -> Answer:
    """One question out of several: yes where one says yes, no where all say no."""
    wanted = [answer.needed for answer in answers if answer.needed is not None]
    return Answer(
        sentence,
        min(1.0, len(answers) * min(answer.p_for for answer in answers)),
        max(answer.p_against for answer in answers),
        min(wanted) if wanted else None,
    )


def holds(truth: bool, sentence: str) -> Answer:
    """Of what has no chance in it, such as a run that draws nothing."""
    return Answer(sentence, float(not truth), float(truth))


def percent(p: float) -> str:
    """p as it is written: "p = .012", "p < .0001"."""
    if math.isnan(p):
        return "p unknown"
    if p < 1e-4:
        return "p < .0001"
    text = f"{p:.4f}" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"
    return f"p = {text.lstrip('0')}" if p < 1 else "p = 1"


CLAIMS: Registry[Claim] = Registry("claim")


def define(claim: Claim) -> Claim:
    """Register. Raises ValueError where the name or the number is taken."""
    if any(other.number == claim.number for _, other in CLAIMS.items()):
        raise ValueError(f"claim {claim.number} is registered twice")
    return CLAIMS.add(claim.name, claim)

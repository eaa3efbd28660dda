"""Claim 28: the ranking depends on how much is tuned."""

import itertools

import numpy as np

from analysis.claims.claim import Answer, Claim, NotTested, Studies, define, percent
from analysis.statistics.best_of import expected_best

STUDY = "claim-lstm-variants"
FEW, MANY = 3, 20  # trials
RESAMPLES = 2000


def judge(studies: Studies) -> list[Answer]:
    trials = studies[STUDY].trials
    trials = trials[trials["score"].notna()]
    scores = {name: own["score"].to_numpy(float) for name, own in trials.groupby("architecture")}
    if len(scores) < 2 or min(map(len, scores.values())) < MANY:
        raise NotTested(f"{STUDY} has fewer than {MANY} trials of an arm so far.")
    length = min(map(len, scores.values()))
    # Trial k has the same settings in every arm, so the same trials are drawn in all of them.
    drawn = np.random.default_rng(0).integers(length, size=(RESAMPLES, length))
    bests = {
        name: np.array([expected_best(own[rows]) for rows in drawn]) for name, own in scores.items()
    }  # (RESAMPLES, trials)
    pairs = list(itertools.permutations(bests, 2))
    crossings = {pair: _crossed(bests[pair[0]], bests[pair[1]]) for pair in pairs}
    x, y = max(crossings, key=lambda pair: crossings[pair])
    p = min(1.0, len(pairs) * (1 - crossings[x, y] + 1 / RESAMPLES))
    sentence = (
        f"the pair that crosses most surely is {x}, better of {FEW} trials, and {y}, better of "
        f"{MANY} ({percent(p)}, Bonferroni over {len(pairs)} orders)"
    )
    return [Answer(sentence, p, 1.0)]


def _crossed(x: np.ndarray, y: np.ndarray) -> float:
    """In what share of the samples x has the better best of few trials and y of many."""
    few, many = (np.sign(x[:, n - 1] - y[:, n - 1]) for n in (FEW, MANY))
    return float(((few < 0) & (many > 0)).mean())


define(
    Claim(
        number=28,
        name="tuning-budget",
        text=(
            "Which cell is ahead depends on the tuning budget: some pair of expected-best curves "
            "crosses."
        ),
        source=(
            "Dodge, Gururangan, Card, Schwartz & Smith (2019), Show your work: improved reporting "
            "of experimental results"
        ),
        studies=(STUDY,),
        supports=(
            "One of two arms has the better expected best of 3 trials and the other one of 20, in "
            "so many bootstrap samples that it holds after correction over all pairs."
        ),
        contradicts=(
            "This design cannot contradict it: that no pair crosses is not shown by finding none."
        ),
        judge=judge,
        measure="trials",
    )
)

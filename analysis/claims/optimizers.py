"""Claim 27: the optimizer moves the number of sequences more than the cell does."""

import numpy as np

from analysis.claims.claim import Answer, Claim, NotTested, Studies, define, percent
from analysis.claims.evidence import runs
from analysis.findings.summary import times_to_solve

STUDY = "claim-optimizers"
OPTIMIZERS = ("sgd", "nesterov", "rmsprop", "adam")
CELLS = ("lstm", "gru", "lstm-1997")
RESAMPLES = 10_000


def judge(studies: Studies) -> list[Answer]:
    tables = [[runs(studies, STUDY, f"{o} · {c}") for c in CELLS] for o in OPTIMIZERS]
    seeds = set.intersection(*(set(table.index) for row in tables for table in row))
    if len(seeds) < 5:
        raise NotTested(f"{STUDY} has too few seeds that all arms share.")
    order = sorted(seeds)
    logs = np.log2(
        [[times_to_solve(table.loc[order])[0] for table in row] for row in tables]
    )  # (optimizers, cells, seeds)
    optimizer, cell = _spreads(logs.mean(axis=2))
    generator = np.random.default_rng(0)
    drawn = generator.integers(len(order), size=(RESAMPLES, len(order)))
    differences = np.array([np.subtract(*_spreads(logs[:, :, d].mean(axis=2))) for d in drawn])
    p_for = (1 + int((differences <= 0).sum())) / (1 + RESAMPLES)
    p_against = (1 + int((differences >= 0).sum())) / (1 + RESAMPLES)
    sentence = (
        f"between optimizers the updates to solve spread by a factor of {2**optimizer:.2f} (standard "
        f"deviation of the means), between cells by {2**cell:.2f} (bootstrap over {len(order)} seeds, "
        f"{percent(2 * min(p_for, p_against))})"
    )
    return [Answer(sentence, min(1.0, 2 * p_for), min(1.0, 2 * p_against))]


def _spreads(means: np.ndarray) -> tuple[float, float]:
    """Standard deviations of the optimizers' and of the cells' mean log2 updates."""
    return float(means.mean(axis=1).std(ddof=1)), float(means.mean(axis=0).std(ddof=1))


define(
    Claim(
        number=27,
        name="optimizers",
        text=(
            "The optimizer moves the number of sequences to the criterion more than the cell "
            "does, so that numbers of different papers do not compare."
        ),
        source=(
            "our own reading of Hochreiter & Schmidhuber (1997) and its reruns with other "
            "optimizers"
        ),
        studies=(STUDY,),
        supports=(
            "The means of four optimizers, over three cells, spread more than the means of the "
            "cells, over optimizers (bootstrap over seeds)."
        ),
        contradicts="The means of the cells spread more.",
        judge=judge,
    )
)

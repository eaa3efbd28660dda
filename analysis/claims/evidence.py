"""The confirmations of one arm of a study, and of two arms on the same seeds."""

from dataclasses import dataclass

import pandas as pd

from analysis.claims.claim import NotTested, Studies
from analysis.data.runs import Results
from analysis.data.wording import counted
from analysis.findings.summary import CONFIRMED, ranks

FEWEST = 5  # confirmations of an arm: with fewer no test at 0.05 can find anything


@dataclass(frozen=True)
class Pair:
    """Two arms' runs on the seeds that both have; row i of one and of the other have the same."""

    x: str
    y: str
    task: str
    one: pd.DataFrame
    other: pd.DataFrame

    @property
    def where(self) -> str:
        return f" on {self.task}" if self.task else ""


def runs(studies: Studies, study: str, architecture: str, task: str = "") -> pd.DataFrame:
    """Confirmations that ended by themselves, one a seed, with their place among those of the task.

    ``task`` is the label of the compared task or length; empty where the study has one task. Raises
    NotTested where there are fewer than five.
    """
    results = studies[study]
    found = _placed(results, _task(results, task))
    found = found[found["architecture"] == architecture]
    if len(found) < FEWEST:
        where = f" on {task}" if task else ""
        had = counted(len(found), "confirmation")
        raise NotTested(f"{study} has {had} of {architecture}{where} so far, too few.")
    return found.set_index("seed")


def pair(studies: Studies, study: str, x: str, y: str, task: str = "") -> Pair:
    """Raises NotTested where the two arms share fewer than five seeds."""
    one, other = runs(studies, study, x, task), runs(studies, study, y, task)
    shared = [seed for seed in one.index if seed in other.index]
    if len(shared) < FEWEST:
        raise NotTested(f"{x} and {y} of {study} share {counted(len(shared), 'seed')}, too few.")
    return Pair(x, y, task, one.loc[shared], other.loc[shared])


def _task(results: Results, label: str) -> str:
    if not label and len(results.tasks) == 1:
        return next(iter(results.tasks))
    for key in results.tasks:
        if key == label or key.split(" ")[-1] == label:
            return key
    raise NotTested(f"{results.study} has no task {label!r}.")


def _placed(results: Results, task: str) -> pd.DataFrame:
    found = results.confirmations
    found = found[
        (found["task"] == task) & found["outcome"].isin(CONFIRMED) & (found["seed"] != "")
    ]
    found = found.drop_duplicates(["architecture", "seed"])
    return found.assign(place=ranks(found))

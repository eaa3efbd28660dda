"""What stopping trials early has spared, and what it may have cost, in sentences."""

import pandas as pd

from analysis.data.runs import Results
from analysis.data.wording import counted, whole

AT_CHANCE = 0.9  # a score from here on: the loss has not left the level of chance

_REASONS = {
    "beaten": (
        "Each had used as many updates as its arm's best trial needed to solve the task, so none "
        "could have been chosen; how many would have solved it later is not known, and the numbers "
        "of solved trials are too low by these."
    ),
    "median": (
        "Each was behind the median of its arm's trials at the same update. How many would have "
        "solved the task is not known, and the chosen trial need not be the best."
    ),
    "halving": (
        "Each was behind the better half of its arm's trials at the same update. How many would "
        "have solved the task is not known, and the chosen trial need not be the best."
    ),
}


def pruning(results: Results) -> str:
    """How many trials were pruned, when, and what that means; nothing of a study without a pruner."""
    pruner = results.space.get("pruner", "unknown")
    trials = results.trials
    pruned = trials[trials["outcome"] == "pruned"]
    if pruned.empty:
        return f"no trial was stopped early (pruner {pruner})" if pruner in _REASONS else ""
    text = f"{len(pruned)} of {counted(len(trials), 'trial')} stopped early (pruner {pruner})"
    share = (pruned["steps"] / pruned["budget"]).dropna()
    if len(share):
        text += f", after {_percent(share)} of their updates"
        spared = (pruned["budget"] - pruned["steps"]).sum()
        could = spared + trials["steps"].sum()
        text += (
            f". That spared {whole(spared)} updates at most, {spared / could:.0%} of what the search "
            "would have used"
        )
    return " ".join([f"{text}.", _REASONS.get(pruner, ""), _plateau(pruned, pruner)]).strip()


def _percent(share: pd.Series) -> str:
    low, high = f"{share.min():.0%}", f"{share.max():.0%}"
    return low if low == high else f"{low} to {high}"


def _plateau(pruned: pd.DataFrame, pruner: str) -> str:
    flat = int((pruned["score"] >= AT_CHANCE).sum())
    if not flat or pruner == "beaten":
        return ""
    return (
        f"{flat} of them had a loss still near chance: until a long lag is bridged, that is where "
        "the loss of a trial stays that will solve its task, too."
    )

"""Up to which length each architecture solves a kind of task, where a study compares several."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pandas as pd

from analysis.data.runs import Results
from analysis.data.tasks import Task
from analysis.data.wording import listing


def families(tasks: Iterable[Task]) -> dict[str, list[Task]]:
    """The kinds of task that are compared at several lengths, each from short to long.

    Other data or another version of a task is another kind, not another length.
    """
    found: dict[tuple[str, tuple[str, ...]], list[Task]] = {}
    for task in tasks:
        if task.length is not None:
            found.setdefault((task.family, task.version), []).append(task)
    several = {
        kind: sorted(own, key=lambda task: task.length or 0)
        for kind, own in found.items()
        if len({task.length for task in own}) > 1
    }
    alike = Counter(family for family, _ in several)
    return {
        f"{family} ({', '.join(version)})" if alike[family] > 1 and version else family: own
        for (family, version), own in several.items()
    }


@dataclass(frozen=True)
class Reach:
    """One architecture on one kind of task.

    ``length`` is the longest at which every confirmation run solved it, as at all shorter ones; None
    where not even the shortest is. ``awaited`` is the next one, where it is neither confirmed nor lost
    yet. ``again`` are longer lengths that it solved after one that it did not.
    """

    architecture: str
    length: float | None
    awaited: float | None = None
    again: tuple[float, ...] = ()


def reaches(results: Results, summary: pd.DataFrame, tasks: Sequence[Task]) -> list[Reach]:
    """The farthest first; architectures that nothing is known of are left out."""
    found = []
    for name in results.architectures:
        arms = summary[summary["architecture"] == name].set_index("task")
        steps = [
            (t.length, _solved(results, arms.loc[t.key])) for t in tasks if t.key in arms.index
        ]
        solved = [state for _, state in steps]
        if not solved or solved[0] is None:
            continue
        reached = next((i for i, state in enumerate(solved) if not state), len(solved))
        ended = reached == len(solved) or solved[reached] is False
        found.append(
            Reach(
                name,
                steps[reached - 1][0] if reached else None,
                None if ended else steps[reached][0],
                tuple(length for length, state in steps[reached:] if state and length is not None),
            )
        )
    return sorted(found, key=lambda reach: -(reach.length or 0))


def _solved(results: Results, arm: pd.Series) -> bool | None:
    """Whether every confirmation run solved it; None while that is not known."""
    if arm["lost"] or arm["confirmed"] < arm["confirmations"]:
        return False
    return True if arm["confirmations"] >= _enough(results) else None


def _enough(results: Results) -> int:
    """How many runs confirm an arm."""
    return max(results.space.get("confirmations") or 1, 1)


def sentences(results: Results, summary: pd.DataFrame) -> dict[str, str]:
    """One a kind of task: 'gru: 400, the longest compared; lstm: 50; tanh: not even 25.'"""
    told, runs = {}, _enough(results)
    every = f"all {runs} confirmation runs" if runs > 1 else "the confirmation run"
    for family, tasks in families(results.tasks.values()).items():
        lengths = [task.length for task in tasks]
        found = reaches(results, summary, tasks)
        if not found or len(set(lengths)) < len(lengths):  # variants of one length are no frontier
            continue
        groups: dict[str, list[str]] = {}
        for reach in found:
            groups.setdefault(_words(reach, tasks), []).append(reach.architecture)
        parts = [f"{listing(names)}: {words}" for words, names in groups.items()]
        told[family] = (
            f"The longest length at which {every} solved it, as at all shorter ones. "
            f"{'; '.join(parts)}."
        )
    return told


def _words(reach: Reach, tasks: Sequence[Task]) -> str:
    if reach.length is None:
        text = f"not even {tasks[0].length:g}"
    elif reach.awaited is not None:
        text = f"at least {reach.length:g}, with {reach.awaited:g} not confirmed yet"
    else:
        longest = ", the longest compared" if reach.length == tasks[-1].length else ""
        text = f"{reach.length:g}{longest}"
    if reach.again:
        text += f" (and again {listing([f'{length:g}' for length in reach.again])})"
    return text

"""Some networks of one study or of several, as one set of results to be compared."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from analysis.data.probed import Probed
from analysis.data.runs import Results
from analysis.data.tasks import Task
from study.base.errors import UserError, unknown

_FRAMES = ("arms", "trials", "reruns", "confirmations", "curves", "flows")


def selected(results: Results, architectures: Sequence[str]) -> Results:
    """These networks of a study alone, and the tasks that they have.

    Raises UserError for one that is not there.
    """
    for name in architectures:
        if name not in results.architectures:
            raise unknown(f"network of study {results.study!r}", name, results.architectures)
    frames = {
        name: table[table["architecture"].isin(architectures)].reset_index(drop=True)
        for name, table in ((name, getattr(results, name)) for name in _FRAMES)
    }
    there = set(frames["arms"]["task"])
    tasks = {key: task for key, task in results.tasks.items() if key in there}
    probed = _probed([results], lambda _, row: dict(row), set(architectures))
    return replace(results, **frames, tasks=tasks, probed=probed)


def together(parts: Sequence[Results]) -> Results:
    """Several studies as one; a network's name begins with that of its study.

    Tasks of the same name must be the same task. Of runs of different studies none have the same seeds, so
    they are never paired. Raises UserError where tasks differ.
    """
    tasks: dict[str, Task] = {}
    for results in parts:
        for key, task in results.tasks.items():
            if tasks.setdefault(key, task) != task:
                raise UserError(
                    f"task {key!r} is not the same in study {results.study!r} as in the ones before, by its "
                    "length, its chance level or its criterion; they cannot be compared on it"
                )
    frames = {
        name: pd.concat([_named(getattr(r, name), r.study) for r in parts], ignore_index=True)
        for name in _FRAMES
    }
    searched: dict[str, Any] = {}
    for results in parts:
        searched |= results.searched
    return Results(
        study=" and ".join(results.study for results in parts),
        experiment_id=parts[0].experiment_id,
        space={**_shared(parts), "search": searched},
        tags=parts[0].tags,
        tasks=tasks,
        **frames,
        notices=[f"{r.study}: {notice}" for r in parts for notice in r.notices],
        ranges={
            f"{r.study} · {arm}": {**r.searched, **r.ranges.get(arm, {})}
            for r in parts
            for arm in r.arms["arm"]
        },
        probed=_probed(parts, _of_study, None),
    )


def _named(table: pd.DataFrame, study: str) -> pd.DataFrame:
    """The seeds too: those of two studies are alike by chance at most."""
    names = {column: f"{study} · " + table[column] for column in ("arm", "architecture")}
    if "seed" in table:
        names["seed"] = (f"{study}/" + table["seed"]).where(table["seed"] != "", "")
    return table.assign(**names)


def _of_study(results: Results, row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **row,
        "arm": f"{results.study} · {row['arm']}",
        "architecture": f"{results.study} · {row['architecture']}",
    }


def _probed(parts: Sequence[Results], named: Any, only: set[str] | None) -> Probed:
    """What the probes found, read from the store of each."""
    texts = {
        row["run_id"]: results.probed.text
        for results in parts
        for row in (*results.probed.confirmations, *results.probed.chosen)
    }

    def rows(kind: str) -> list[dict[str, Any]]:
        return [
            named(results, row)
            for results in parts
            for row in getattr(results.probed, kind)
            if only is None or row["architecture"] in only
        ]

    return Probed(
        lambda run_id, path: texts[run_id](run_id, path),
        rows("confirmations"),
        rows("chosen"),
        parts[0].probed.notices,
    )


def _shared(parts: Sequence[Results]) -> dict[str, Any]:
    """What the page tells of the space: only what all studies have alike."""
    first = dict(parts[0].space)
    return {
        key: value
        for key, value in first.items()
        if key in ("sampler", "pruner", "confirmations")
        and all(r.space.get(key) == value for r in parts)
    }

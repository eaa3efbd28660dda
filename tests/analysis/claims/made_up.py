"""A study's results out of a few numbers a run."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from analysis.data import columns
from analysis.data.columns import frame
from analysis.data.runs import Results
from analysis.data.tasks import Task

BUDGET = 1000.0
NO_RUNS, NO_CURVES, NO_FLOWS = (
    frame([], table) for table in (columns.RUNS, columns.CURVES, columns.FLOWS)
)
Runs = Sequence[Mapping[str, Any]]


def study(name: str, arms: Mapping[tuple[str, str], Runs], trials: Runs = ()) -> Results:
    """``arms``: (architecture, task) -> its confirmations, run i on seed i. ``trials`` as they are."""
    tasks = list(dict.fromkeys(task for _, task in arms))
    rows = [
        run(architecture, task, str(seed), **given)
        for (architecture, task), runs in arms.items()
        for seed, given in enumerate(runs)
    ]
    return Results(
        study=name,
        experiment_id="1",
        space={},
        tags={},
        tasks={task: Task(task) for task in tasks},
        arms=pd.DataFrame([{"arm": f"{a},{t}", "task": t, "architecture": a} for a, t in arms]),
        trials=pd.DataFrame([run(seed="0", **given) for given in trials]) if trials else NO_RUNS,
        reruns=NO_RUNS,
        confirmations=pd.DataFrame(rows),
        curves=NO_CURVES,
        flows=NO_FLOWS,
    )


def run(architecture: str, task: str, seed: str, **given: Any) -> dict[str, Any]:
    """Solved after ``updates`` where they are given; else at its budget with the ``test_loss``.

    Only the columns that claims ask for: the tests make hundreds of such tables.
    """
    updates = given.pop("updates", None)
    return {
        "arm": f"{architecture},{task}",
        "run_id": f"{architecture},{task},{seed}",
        "architecture": architecture,
        "task": task,
        "seed": seed,
        "role": "confirmation",
        "outcome": "budget" if updates is None else "solved",
        "solved": updates is not None,
        "steps": BUDGET if updates is None else updates,
        "steps_to_solve": float("nan") if updates is None else float(updates),
        "budget": BUDGET,
        "test_loss": given.pop("test_loss", 0.1),
        **given,
    }


def solved(*updates: float) -> Runs:
    return [{"updates": value} for value in updates]


def unsolved(count: int, test_loss: float = 0.1) -> Runs:
    return [{"test_loss": test_loss} for _ in range(count)]

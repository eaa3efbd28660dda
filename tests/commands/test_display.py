"""What a sweep and a single training say on the terminal."""

import pytest
from rich.console import Console

from study.commands.display import table, watch
from study.commands.single import _ended
from study.spaces.plan import Plan
from study.sweep.driver import SweepStatus
from study.sweep.progress import ArmProgress, Ended


def arm(title: str, *confirmed: str) -> ArmProgress:
    """Two trials, of which the second is the best, and confirmations that ended so."""
    found = ArmProgress(title, Plan(2, confirmations=len(confirmed)))
    for number, outcome in enumerate(("diverged", "budget")):
        score = {"diverged": 10.0, "budget": 0.4}[outcome]
        found.add(Ended(f"t{number}", "trial", number, outcome, score, 1.0, score, None))
    for number, outcome in enumerate(confirmed):
        found.add(Ended(f"c{number}", "confirmation", number, outcome, 0.4, 1.0, 0.4, 0.4, "t1"))
    return found


def test_confirmations_are_told_by_how_many_solved() -> None:
    status = SweepStatus(
        [arm("threshold 0.3", "solved", "budget", "budget"), arm("gru", "budget")], 2
    )
    console = Console(width=100, force_terminal=False)
    with console.capture() as printed:
        watch([status], "sweep", console)
    assert printed.get().splitlines() == [
        "threshold 0.3: 2/2 trials, 1 diverged, best trial's loss 0.4, solved 1 of 3 confirmations",
        "gru: 2/2 trials, 1 diverged, best trial's loss 0.4, solved 0 of 1 confirmation",
    ]
    with console.capture() as printed:
        console.print(table(status, "sweep", 50))
    assert "solved 1/3" in printed.get()


def test_the_table_fits_a_terminal_of_80_columns() -> None:
    status = SweepStatus([arm("threshold 0.3", "solved", "budget", "budget")], 2)
    console = Console(width=80, force_terminal=False)
    with console.capture() as printed:
        console.print(table(status, "sweep", 50))
    assert "…" not in printed.get()
    assert "solved 1/3" in printed.get()


@pytest.mark.parametrize(
    ("outcome", "steps", "told"),
    [
        ("solved", 300, "solved after 300 updates"),
        ("solved", 1, "solved after 1 update"),
        ("budget", 300, "not solved in 300 updates, which is all it was given"),
        ("budget", 200, "not solved; ended after 200 updates, by train.patience"),
        ("pruned", 0, "stopped after 0 updates"),
        ("diverged", 7, "diverged after 7 updates"),
    ],
)
def test_how_a_training_ended(outcome: str, steps: int, told: str) -> None:
    assert _ended(outcome, steps, 300) == told

"""How often a run counts as solved that does not meet the criterion on the test set: a simulation."""

import numpy as np
import pytest

from study.tasks import TASKS
from study.tasks.synthetic_task import (
    CONFIRMATION_SEQUENCES,
    VALIDATION_SEQUENCES,
    SyntheticTask,
)
from study.tasks.task import TEST_SEQUENCES

CRITERION = 0.99
RUNS = 1_000


def parts_of(attempt: int) -> list[int]:
    return [len(part) for part in TASKS.build({"name": "parity"}).confirmation(attempt)]


def simulated(rise: float, highest: float, looks: int, parts: list[list[int]]) -> np.ndarray:
    """Of each of RUNS: 0 unsolved, 1 solved, 2 solved and not so on the test set.

    The true share of right answers begins at .97, rises by ``rise`` a look up to ``highest``, and has
    noise of .001 from look to look. The validation sample is the same at each look.
    """
    draws = np.random.default_rng(0)
    ended = np.zeros(RUNS, int)
    attempts = np.zeros(RUNS, int)
    luck = draws.normal(0, np.sqrt(CRITERION * (1 - CRITERION) / VALIDATION_SEQUENCES), RUNS)
    for look in range(looks):
        true = min(0.97 + rise * look, highest) + draws.normal(0, 0.001, RUNS)
        true = true.clip(0, 1)
        noticed = np.flatnonzero((ended == 0) & (true + luck >= CRITERION))
        for run in noticed:
            sizes = parts[min(attempts[run], len(parts) - 1)]
            attempts[run] += 1
            if (draws.binomial(sizes, true[run]) >= CRITERION * np.array(sizes)).all():
                on_test = draws.binomial(TEST_SEQUENCES, true[run]) >= CRITERION * TEST_SEQUENCES
                ended[run] = 1 if on_test else 2
    return ended


@pytest.mark.parametrize(
    ("rise", "highest", "looks"),
    [(0.005, 1, 60), (0.001, 1, 100), (0.0003, 1, 200), (0.0001, 1, 600)]
    + [(1, level, 60) for level in (0.9885, 0.989, 0.99, 0.9905, 0.991)],
)
def test_what_counts_as_solved_is_so_on_the_test_set(
    rise: float, highest: float, looks: int
) -> None:
    sizes = parts_of(0)
    assert sizes == [CONFIRMATION_SEQUENCES] * 8
    assert len(parts_of(3)) == 11
    ended = simulated(rise, highest, looks, [sizes + sizes[:1] * more for more in range(400)])
    assert (ended == 2).mean() < 0.02
    if highest == 1:
        assert (ended > 0).mean() > 0.99
    # What the criterion would be worth without being confirmed on several parts.
    careless = simulated(rise, highest, looks, [[VALIDATION_SEQUENCES]])
    assert (careless == 2).mean() > 0.04


@pytest.mark.parametrize("name", [name for name, cls in TASKS.items() if not cls.needs_files])
def test_a_longer_task_shows_and_asks_for_the_same_things(name: str) -> None:
    fields = TASKS[name].model_fields
    task = TASKS.build({"name": name, **({"length": 12} if "length" in fields else {})})
    found = task.beyond(2)
    same_things = name not in ("long-lag", "very-long-lag")  # whose alphabets grow, or whose noise
    if found is None:
        drawn = isinstance(task, SyntheticTask) and "length" in fields and not task.memorized
        assert not (drawn and same_things)
        return
    longer, batch = found
    assert longer.model_dump()["length"] == 24
    assert (longer.input_size, longer.output_size) == (task.input_size, task.output_size)
    assert len(batch) <= 250
    assert batch.inputs.shape[2] == task.input_size
    assert task.beyond(1e9) is None

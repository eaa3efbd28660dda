"""A criterion is out of reach of answers that take no memory, and of what was met in training."""

import math
from collections import Counter
from io import StringIO
from itertools import islice
from pathlib import Path

import pytest
import torch
from rich.console import Console
from task_files import MAKERS
from test_tasks import VARIANTS, named, over, seeded

from study.base.errors import UserError
from study.commands.task_description import describe_task
from study.tasks import TASKS
from study.tasks.base import Batch, DatasetTask, SyntheticTask, Task
from study.tasks.baselines import baselines
from study.tasks.partition import belongs, variety

# A count of each symbol so far is a memory, only of no order. Where the symbol that is asked for is of
# the few that occur once and nowhere else, remembering it is all that the source asks for.
COUNTED = {
    "long-lag": "x or y comes once, and everything else is the same",
    "very-long-lag": "x or y comes once",
    "permutation": "symbol 1 or 2 comes once",
    "hello": "one word: counts tell how far it is",
    "warp": "with two letters in all a sequence, the other one was before",
}
COUNT = "linear in the sum of the inputs"


def meeting(task: Task) -> set[str]:
    return {baseline.name for baseline in baselines(task) if baseline.meets}


@over(VARIANTS)
def test_no_criterion_is_met_without_memory(task: Task) -> None:
    """By none of `baselines`: their readouts, sums and nearest sequences, at their stated budgets."""
    met = meeting(task)
    if met == {COUNT} and task.symbolic:
        assert task.name in COUNTED, met
    else:
        assert not met


@over(VARIANTS)
def test_no_level_of_a_partial_solution_meets_the_criterion(task: Task) -> None:
    if task.solved_loss is not None:
        assert all(task.solved_loss < level for level in task.plateaus.values())


@pytest.mark.parametrize("length", [2, 7, 20, 60])
def test_one_known_marker_does_not_solve_the_irnns_adding_problem(length: int) -> None:
    task = named("adding", version="irnn", length=length)
    batch = task.sample(seeded(3), 20_000)  # type: ignore[attr-defined]
    values, markers = batch.inputs.unbind(-1)
    first = values[(markers == 1).int().argmax(0), torch.arange(20_000)]
    scores = task.scores((first + 0.5)[None, :, None], batch.targets)
    assert scores["loss"] == pytest.approx(1 / 12, rel=0.03)
    assert scores["loss"] < 0.1
    assert not task.solved(scores)


@pytest.mark.parametrize(
    ("name", "version", "of"),
    [("adding", v, 1 / 12) for v in ("urnn", "irnn")] + [("adding", "pascanu", 1 / 48)],
)
def test_a_part_known_reaches_its_plateau(name: str, version: str, of: float) -> None:
    (found,) = (b for b in baselines(named(name, version=version)) if "two values" in b.name)
    assert found.scores["loss"] == pytest.approx(of, rel=0.12)  # 1,000 sequences


@pytest.mark.parametrize("name", MAKERS)
def test_the_baselines_of_a_users_data_are_measured(name: str, tmp_path: Path) -> None:
    """Its criterion is the data's; what meets it without memory is told on the task's page."""
    task = named(name, **MAKERS[name](tmp_path))
    found = baselines(task)
    assert len(found) == 2
    for baseline in found:
        assert math.isfinite(baseline.scores["loss"])
        assert baseline.meets == task.solved(baseline.scores)


# Sums


@pytest.mark.parametrize(("length", "variance"), [(12, 0.2), (20, 0.4), (100, 0.2)])
def test_how_often_the_sum_is_right_in_latching(length: int, variance: float) -> None:
    task = named("latching", length=length, variance=variance)
    batch = task.sample(seeded(1), 40_000)  # type: ignore[attr-defined]
    right = (batch.inputs[..., 0].sum(0) * batch.targets[0, :, 0] > 0).double().mean()
    assert float(right) == pytest.approx(task.sum_right, abs=0.008)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("parameters", "told"),
    [
        ({"length": 10}, "99.44%"),
        ({"length": 4}, "variance must be above 1.67"),
        ({"variance": 0.0}, "100.00%"),
    ],
)
def test_latching_that_the_sum_solves_is_refused(parameters: dict[str, object], told: str) -> None:
    with pytest.raises(UserError, match="without a latch") as refusal:
        named("latching", **parameters)
    assert told in str(refusal.value)


# Parts

SHORT: list[tuple[str, dict[str, object]]] = [
    ("parity", {"length": 8}),
    ("parity", {"length": 12}),
    ("parity", {"length": 12, "noisy": True}),
    ("parity", {"length": 25}),
    ("delayed-xor", {"length": 12, "delay": 2}),
    ("warp", {"length": 30, "warping": 10}),
    ("permutation", {"length": 3}),
    ("long-lag", {"length": 5, "regular": False}),
    ("very-long-lag", {"length": 1, "distractors": 2}),
    ("temporal-order", {"length": 10}),
    ("temporal-order-3", {"length": 10}),
    ("temporal-order-pascanu", {"length": 10}),
    ("continual-reber", {"length": 20}),
    ("transduction", {"length": 4, "symbols": 4}),
    ("transduction", {"length": 8, "symbols": 4, "variable": True}),
    ("number-words", {"digits": 3}),
    ("date-formats", {"first_year": 2023, "last_year": 2024}),
    ("reber", {}),
]


def strings(task: Task, batch: Batch) -> list[bytes]:
    shown = task.content(batch) if isinstance(task, SyntheticTask) else batch.inputs
    ends = torch.zeros(len(batch)) if batch.ends is None else batch.ends
    rows = torch.cat([shown.transpose(0, 1).flatten(1), ends[:, None].float()], dim=1)
    return [row.numpy().tobytes() for row in rows]


def trained_on(task: Task, sequences: int = 32_000) -> set[bytes]:
    batches = islice(task.training(0, 500), sequences // 500)
    return {row for batch in batches for row in strings(task, batch)}


@pytest.mark.parametrize(("name", "parameters"), SHORT, ids=[f"{n}-{p}" for n, p in SHORT])
def test_few_sequences_are_kept_for_one_part(name: str, parameters: dict[str, object]) -> None:
    task = named(name, **parameters)
    assert not task.memorized
    trained, validated = trained_on(task), {*strings(task, task.validation())}
    assert not validated & trained
    for batch in task.confirmation(0):
        if task.ends_when_solved and batch.inputs.shape[0] == task.steps:
            assert not {*strings(task, batch)} & (trained | validated)
    test = task.test()
    if test.inputs.shape[0] == task.steps:
        assert not {*strings(task, test)} & (trained | validated)


WITHOUT_FILES = [(n, t) for n, t in VARIANTS if not t.memorized]


@over(WITHOUT_FILES)
def test_hardly_a_held_out_sequence_is_met_in_a_thousand_updates(task: Task) -> None:
    """The kind, whatever a task says of itself: equal inputs, noise apart."""
    cost = 32_000 * task.steps * task.input_size
    trained = trained_on(task, max(500, int(32_000 * min(1, 2e7 / cost))))
    held_out = strings(task, task.validation())
    met = sum(row in trained for row in held_out) / len(held_out)
    if task.name == "digit-drawing":
        return  # the input is the digit; pictures are compared in their own tests
    # A text says some things twice, a licence for instance.
    assert met < (0.1 if task.name == "characters" else 0.01)


@pytest.mark.parametrize(("length", "distinct"), [(4, 28), (5, 60)])
def test_what_is_too_short_to_split_is_learned_by_heart(length: int, distinct: int) -> None:
    task = named("parity", length=length)
    assert task.memorized
    assert len(trained_on(task, 5_000)) == distinct
    assert {*strings(task, task.validation())} == trained_on(task, 5_000)


def test_a_part_has_its_share_of_all_lengths() -> None:
    task = named("parity", length=12)
    counts = Counter((next(task.training(0, 20_000)).ends + 1).tolist())  # type: ignore[operator]
    assert set(counts) == set(range(6, 13))
    # 64 strings of six bits, 70 % of them with a deviation of 6: a length's share changes with them.
    assert max(counts.values()) < 1.35 * min(counts.values())
    batch = task.test()
    assert float(batch.targets.double().mean()) == pytest.approx(0.5, abs=0.06)


def test_a_tenth_for_each_held_out_part_and_no_sequence_in_two() -> None:
    bits = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0])] * 13).T[..., None]  # 8,192 strings
    kept = [belongs(bits, part) for part in ("validation", "confirmation", "test", "training")]
    assert (torch.stack(kept).sum(0) == 1).all()
    shares = [float(part.double().mean()) for part in kept]
    assert shares == pytest.approx([0.1, 0.1, 0.1, 0.7], abs=0.015)  # 4 deviations
    # The same whatever the order of the sums, as other machines may have one.
    assert torch.equal(belongs(bits.flip(1), "test").flip(0), kept[2])


def test_variety_is_one_over_how_often_two_are_the_same() -> None:
    task = named("parity", length=6)
    drawn = strings(task, task.sample(seeded(0), 3_000))  # type: ignore[attr-defined]
    counts = Counter(drawn)
    same = sum(n * (n - 1) for n in counts.values()) / (len(drawn) * (len(drawn) - 1))
    assert variety([2**n for n in range(3, 7)]) == pytest.approx(1 / same, rel=0.05)
    streams = named("continual-reber", length=20)
    counts = Counter(strings(streams, streams.sample(seeded(0), 20_000)))  # type: ignore[attr-defined]
    same = sum(n * (n - 1) for n in counts.values()) / (20_000 * 19_999)
    assert streams.variety == pytest.approx(1 / same, rel=0.1)  # type: ignore[attr-defined]


def test_who_looks_parity_up_is_at_chance() -> None:
    found = {b.name: b for b in baselines(named("parity", length=12))}
    nearest = found["the nearest training sequence's answer"]
    # A string's neighbours that differ in one bit have the other parity: at most chance.
    assert nearest.scores["accuracy"] < 0.6


# Confirmation


@pytest.mark.parametrize("name", [n for n, cls in TASKS.items() if not cls.needs_files])
def test_what_confirms_is_new(name: str) -> None:
    task = named(name)
    if isinstance(task, DatasetTask) and name != "reber":
        assert task.ends_when_solved == task.memorized
        assert list(task.confirmation(0)) == []
        return
    assert task.ends_when_solved
    if task.memorized:
        return
    first, second = list(task.confirmation(0)), list(task.confirmation(1))
    assert len(second) == len(first) + 1
    if first[0].inputs.shape[0] <= task.steps:  # else few, and long, streams
        assert sum(map(len, first)) >= 1_000
    assert torch.equal(first[0].inputs, next(iter(task.confirmation(0))).inputs)
    looked_at = {*strings(task, task.validation())}
    for batch in [*first[1:], *second]:
        assert not torch.equal(first[0].inputs, batch.inputs)
    for batch in [*first, *second]:
        assert not {*strings(task, batch)} & looked_at


# What is shown


def page(name: str, fit: bool) -> str:
    console = Console(width=160, record=True, file=StringIO())
    console.print(describe_task(name, fit=fit))
    return console.export_text()


def test_the_page_of_a_task_has_its_baselines_once_they_are_fitted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    before = page("adding", fit=False)
    assert "longlag show task adding --baselines" in before
    assert "linear in" not in before
    text = page("adding", fit=True)
    assert "one of the two values known: loss 0.08" in text
    assert "quadratic in the last 6 inputs: loss 0.1" in text
    assert "meets the criterion" not in text
    assert "--baselines" not in text
    assert page("adding", fit=False) == text
    assert "meets the criterion" in page("hello", fit=True)

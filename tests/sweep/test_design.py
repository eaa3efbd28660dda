"""What a study draws: spread evenly at every number of trials, and by its own name."""

import json
import math
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState
from scipy.stats import kstest

from study.base.errors import UserError
from study.spaces.space import Space, identity
from study.sweep.design import number_at, quantile, whole_number_at
from study.sweep.search import Journal, confirmation_seed, open_searches, trial_seed

STUDIES = [Space(name=f"study-{k}").seed for k in range(200)]


def drawn(seed: int, count: int, name: str = "train.lr", dimension: int = 0) -> np.ndarray:
    return np.array([quantile(seed, name, dimension, k) for k in range(count)])


@pytest.fixture(scope="module")
def designs() -> np.ndarray:
    """200 studies, 32 trials."""
    return np.array([drawn(seed, 32) for seed in STUDIES])


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 10, 12, 16, 31, 32])
def test_any_number_of_trials_leaves_no_hole(count: int, designs: np.ndarray) -> None:
    parts = 2 ** int(math.log2(count))  # every one of them has a trial
    for design in designs:
        assert set((design[:count] * parts).astype(int)) == set(range(parts))
        edges = np.concatenate([[0], np.sort(design[:count]), [1]])
        assert np.diff(edges).max() < 2 / parts


def test_trials_of_independent_draws_do_leave_holes() -> None:
    # The witness of the test above: what it asks is not met by chance.
    independent = np.random.default_rng(0).random((200, 8))
    full = [len(set((row * 8).astype(int))) == 8 for row in independent]
    assert sum(full) < 10  # 8!/8^8 = .0024 of them


def test_every_trial_alone_is_uniform_over_studies(designs: np.ndarray) -> None:
    for number in range(16):
        assert kstest(designs[:, number], "uniform").pvalue > 1e-4


@pytest.mark.parametrize(("dimensions", "trials"), [(4, 8), (8, 16)])
def test_no_two_parameters_go_up_and_down_together(dimensions: int, trials: int) -> None:
    for seed in STUDIES[:10]:
        upper = [drawn(seed, trials, str(d), d) > 0.5 for d in range(dimensions)]
        for a, b in combinations(upper, 2):
            quadrants = [int((x & y).sum()) for x in (a, ~a) for y in (b, ~b)]
            assert quadrants == [trials // 4] * 4


def test_dimensions_beyond_those_are_there_and_different() -> None:
    columns = [tuple(drawn(1, 64, "same", d)) for d in range(30)]
    assert len(set(columns)) == 30


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize(("low", "high"), [(1, 2), (3, 7), (20, 200)])
def test_whole_numbers_come_as_often_as_their_range(low: int, high: int, log: bool) -> None:
    shares = (np.arange(20_000) + 0.5) / 20_000
    found = np.array([whole_number_at(u, low, high, log=log) for u in shares])
    for number in range(low, high + 1):
        ends = np.array([number - 0.5, number + 0.5])
        width = np.diff(np.log(ends) / np.log((high + 0.5) / (low - 0.5)))[0] if log else 0.0
        expected = width if log else 1 / (high - low + 1)
        assert np.mean(found == number) == pytest.approx(expected, abs=1e-4)


def test_numbers_stay_within_their_range() -> None:
    for low, high in ((1e-300, 1e300), (0.001, 0.02), (1.0, 1.0000001)):
        for share in (2**-31, 0.5, 1 - 2**-31):
            for log in (False, True):
                assert low <= number_at(share, low, high, log=log) <= high
    assert number_at(0.5, 1e-4, 1e-2, log=True) == pytest.approx(1e-3)
    assert number_at(0.25, -2.0, 2.0, log=False) == -1.0
    assert math.isfinite(number_at(0.5, -1.7e308, 1.7e308, log=False))


# Through the search


def space(**changes: Any) -> Space:
    given: dict[str, Any] = {
        "name": "s",
        "trials": 12,
        "compare": {"cell": {"lstm": {"model.cell": "lstm"}, "gru": {"model.cell": "gru"}}},
        "search": {
            "train.lr": {"low": 0.0003, "high": 0.03, "log": True},
            "train.momentum": {"low": 0.0, "high": 0.99, "log_below_one": True},
            "model.hidden": {"low": 20, "high": 200, "log": True},
            "init.recurrent.name": {"values": ("uniform", "orthogonal", "xavier")},
        },
    }
    return Space.model_validate({**given, **changes})


def settings(s: Space, folder: Path, arm: str = "lstm") -> list[dict[str, Any]]:
    search = open_searches(s, folder / f"{s.name}-{arm}.journal")[arm]
    found = []
    while search.remaining:
        trial = search.ask()
        found.append(search.configure(trial))
        search.tell(trial.number, "budget", 0.5)
    return found


def shares(found: list[dict[str, Any]]) -> dict[str, list[float]]:
    """Of each range what lies below the value, on the scale that is searched."""
    return {
        "lr": [math.log(g["train.lr"] / 0.0003) / math.log(100) for g in found],
        "momentum": [1 - math.log((1 - g["train.momentum"]) / 0.01) / math.log(100) for g in found],
        "hidden": [math.log(g["model.hidden"] / 20) / math.log(10) for g in found],
    }


@pytest.mark.parametrize("sampler", ["sobol", "tpe"])
@pytest.mark.parametrize("trials", [8, 10])
def test_few_trials_cover_every_range_and_every_choice(
    trials: int, sampler: str, tmp_path: Path
) -> None:
    for k in range(25):
        found = settings(space(name=f"s{k}", trials=trials, sampler=sampler), tmp_path)
        for values in shares(found).values():
            assert {min(int(v * 4), 3) for v in values} == {0, 1, 2, 3}
            assert min(values) < 0.14  # an eighth, and half a unit of 20
            assert max(values) > 0.86
            assert np.diff(np.sort(values)).max() < 0.27
        chosen = [g["init.recurrent.name"] for g in found]
        counts = [chosen.count(name) for name in ("uniform", "orthogonal", "xavier")]
        assert min(counts) >= 1
        assert max(counts) - min(counts) <= 3
    plain = [settings(space(name=f"s{k}", sampler="random"), tmp_path / "plain") for k in range(5)]
    holes = [np.diff(np.sort(v)).max() for f in plain for v in shares(f).values()]
    assert max(holes) > 0.27


def test_more_trials_extend_the_same_sequence(tmp_path: Path) -> None:
    short = settings(space(trials=5), tmp_path / "a")
    assert settings(space(trials=12), tmp_path / "b")[:5] == short
    resumed = settings(space(trials=12), tmp_path / "a")
    assert short + resumed == settings(space(trials=12), tmp_path / "b2")


def test_arms_draw_the_same_also_where_one_has_fewer_parameters(tmp_path: Path) -> None:
    only_lstm = {
        "init.bias.name": {"values": ("zeros", "forget"), "when": {"model.cell": ("lstm",)}},
        "init.bias.value": {"low": 1.0, "high": 5.0, "when": {"init.bias.name": ("forget",)}},
    }
    s = space(search={**only_lstm, **space().search})
    lstm, gru = settings(s, tmp_path), settings(s, tmp_path, "gru")
    shared = ("seed", *space().search)
    assert [[g[name] for name in shared] for g in lstm] == [[g[n] for n in shared] for g in gru]
    assert sum("init.bias.value" in g for g in lstm) == 6
    # A parameter added at the end leaves the others where they were.
    few, more = space(seed=3), space(seed=3, search={**space().search, **only_lstm})
    of_few, of_more = settings(few, tmp_path / "few"), settings(more, tmp_path / "more")
    assert of_few == [{name: g[name] for name in of_few[0]} for g in of_more]


def test_a_study_draws_by_its_name_unless_a_seed_is_given(tmp_path: Path) -> None:
    one, other = space(name="one"), space(name="other")
    assert one.seed != other.seed
    assert one.seed == space(name="one").seed
    assert one.described()["seed"] == one.seed
    drawn_by = {s.name: settings(s, tmp_path) for s in (one, other)}
    assert not {g["train.lr"] for g in drawn_by["one"]} & {g["train.lr"] for g in drawn_by["other"]}
    assert not {g["seed"] for g in drawn_by["one"]} & {g["seed"] for g in drawn_by["other"]}
    assert confirmation_seed(one.seed, 0) != confirmation_seed(other.seed, 0)
    given = [space(name=name, seed=0) for name in ("a", "b")]
    assert settings(given[0], tmp_path) == settings(given[1], tmp_path)
    assert trial_seed(given[0].seed, 1) == trial_seed(given[1].seed, 1)
    assert confirmation_seed(given[0].seed, 1) == confirmation_seed(given[1].seed, 1)


# A journal of earlier draws


def journal_of(space_then: dict[str, Any], path: Path) -> bytes:
    """A journal begun with that identity, one trial told in each arm."""
    s = space(sampler=space_then["sampler"], seed=space_then["seed"])
    for search in open_searches(s, path).values():
        search.tell(search.ask().number, "budget", 0.5)
    journal = Journal(path)
    for name in journal.studies:
        study = optuna.load_study(study_name=name, storage=journal.storage)
        study.set_user_attr("space", json.dumps(space_then))
    return path.read_bytes()


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_a_study_begun_with_earlier_draws_is_refused(sampler: str, tmp_path: Path) -> None:
    earlier = identity(space(sampler=sampler, seed=0))
    earlier.pop("start of tpe", None)
    content = journal_of(earlier, tmp_path / "j")
    now = space() if sampler == "random" else space(sampler="tpe", seed=0)
    with pytest.raises(UserError, match="was begun with another search space"):
        open_searches(now, tmp_path / "j")
    assert (tmp_path / "j").read_bytes() == content


def test_independent_draws_of_an_earlier_version_go_on(tmp_path: Path) -> None:
    # What derive(0, "sampler", number, name) gave Optuna's RandomSampler before there was a design.
    s = space(sampler="random", seed=0, trials=3)
    found = settings(s, tmp_path)
    expected = [0.001136633380, 0.002736376533, 0.016801850047]
    assert [g["train.lr"] for g in found] == pytest.approx(expected, rel=1e-6)


def test_another_order_of_what_is_searched_is_refused(tmp_path: Path) -> None:
    turned = dict(reversed(space().search.items()))
    open_searches(space(), tmp_path / "j")
    content = (tmp_path / "j").read_bytes()
    with pytest.raises(UserError, match=r"the order of \[search\] was train.lr, train.momentum"):
        open_searches(space(search=turned), tmp_path / "j")
    assert (tmp_path / "j").read_bytes() == content
    for order in (space().search, turned):  # independent draws have no dimensions
        open_searches(space(sampler="random", search=order), tmp_path / "k")


def test_tpe_starts_from_the_design_until_enough_have_ended(tmp_path: Path) -> None:
    s = space(sampler="tpe", trials=30)
    search = open_searches(s, tmp_path / "j")["lstm"]
    asked = [search.ask() for _ in range(14)]  # as many workers would
    found = [search.configure(trial) for trial in asked]
    assert found == settings(space(trials=14), tmp_path)
    for trial in asked:
        search.tell(trial.number, "failed", None)
    modelled = search.configure(search.ask())
    assert modelled == settings(space(trials=15), tmp_path / "more")[14]
    assert {t.state for t in search.trials[:14]} == {TrialState.FAIL}

"""Streams for separate purposes never meet, also in the 32 bits that torch looks at."""

import subprocess
import sys
from itertools import combinations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from study.base.seeding import derive, generator

PURPOSES = ("training", "validation", "test", "initialization", "credit", "input noise")
seeds = st.one_of(st.integers(0, 100), st.integers(0, 2**70), st.sampled_from([2**32, 2**63]))


@settings(deadline=None)
@given(seeds, seeds)
def test_two_purposes_differ_in_the_32_bits_that_torch_uses(one: int, other: int) -> None:
    for a, b in combinations(PURPOSES, 2):
        low = {generator(a, one).initial_seed() % 2**32, generator(b, other).initial_seed() % 2**32}
        assert len(low) == 2


@settings(deadline=None)
@given(seeds, seeds)
def test_different_seeds_of_one_purpose_differ(one: int, other: int) -> None:
    # 30 bits of hash: hypothesis' few hundred pairs meet by chance with probability 1e-6.
    same = generator("training", one).initial_seed() == generator("training", other).initial_seed()
    assert same == (one == other)


@pytest.mark.parametrize("seed", [0, 1, 2**31, 2**32, 2**32 + 1])
def test_streams_are_different_numbers_and_repeat(seed: int) -> None:
    draws = {p: torch.rand(50, generator=generator(p, seed)) for p in PURPOSES}
    for a, b in combinations(PURPOSES, 2):
        assert not set(draws[a].tolist()) & set(draws[b].tolist())
    again = torch.rand(50, generator=generator("training", seed))
    assert torch.equal(again, draws["training"])


def test_a_million_neighbouring_seeds_rarely_collide() -> None:
    # n²/2 · 2^-30 = 4.7 expected among 1e5 seeds; a bad hash of neighbours gives thousands.
    found = {derive(seed) for seed in range(100_000)}
    assert len(found) > 100_000 - 30


@settings(deadline=None)
@given(seeds, st.integers(0, 100), st.integers(0, 100))
def test_the_path_matters_and_its_order_too(seed: int, a: int, b: int) -> None:
    assert 0 <= derive(seed, a, b) < 2**30
    if a != b:
        assert derive(seed, a, b) != derive(seed, b, a)
        assert derive(seed, "trial", a) != derive(seed, "trial", b)


def test_derive_is_the_same_in_another_process() -> None:
    # Python's own hash() is salted; a seed that used it would not reproduce.
    code = "from study.base.seeding import derive; print(derive(7, 'trial', 3))"
    environment = {"PYTHONHASHSEED": "123"}
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert int(told.stdout) == derive(7, "trial", 3)

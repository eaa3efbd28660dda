"""Generators for separate purposes that never run into each other."""

from hashlib import sha256
from typing import Literal, get_args

from torch import Generator

Purpose = Literal[
    "training",
    "validation",
    "test",
    "initialization",
    "credit",
    "input noise",
    "writing",
    "confirmation",
    "probes",
]
_PURPOSES: tuple[Purpose, ...] = get_args(Purpose)


def derive(seed: int, *path: object) -> int:
    """A 30-bit seed from a seed and what it is for; the same on every machine."""
    text = "/".join(str(part) for part in (seed, *path))
    return int.from_bytes(sha256(text.encode()).digest()[:4], "big") >> 2


def generator(purpose: Purpose, seed: int, *path: object) -> Generator:
    """A CPU generator; two purposes get different streams.

    torch's CPU generator uses the lower 32 bits of its seed only: two of them hold the purpose,
    thirty the hash of the rest. So the first four purposes never meet, whatever the seeds; those after
    them share the fourth's two bits and go into the hash, and meet another with probability 2^-30.
    """
    place = _PURPOSES.index(purpose)
    if place < 4:
        return Generator().manual_seed(derive(seed, *path) << 2 | place)
    return Generator().manual_seed(derive(seed, purpose, *path) << 2 | 3)

"""Small files in the real formats with something to learn in them, for the tasks that need files."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from task_files import idx, ts_text

CHORDS = ((60, 64, 67), (57, 60, 65), (59, 62, 67))


def digits(folder: Path) -> dict[str, Any]:
    """MNIST's files: of a noisy picture two rows are bright, the lower the greater the digit."""
    rng = np.random.default_rng(0)
    for part, n in (("train", 1200), ("t10k", 60)):
        labels = rng.integers(0, 10, n)
        pictures = rng.integers(0, 100, (n, 28, 28))
        for row in (4, 5):
            pictures[np.arange(n), row + 2 * labels] += 150
        (folder / f"{part}-images-idx3-ubyte").write_bytes(idx(pictures))
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(idx(labels))
    return {"path": str(folder)}


def peaks(folder: Path) -> dict[str, Any]:
    """An archive's problem: which of two variables peaks first."""
    rng = np.random.default_rng(1)
    for part, n in (("TRAIN", 300), ("TEST", 40)):
        made = []
        for i in range(n):
            values = rng.normal(0, 0.3, (2, rng.integers(8, 12)))
            first, second = sorted(rng.choice(8, 2, replace=False))
            values[i % 2, first] += 3
            values[1 - i % 2, second] += 3
            made.append((values, ("up", "down")[i % 2]))
        (folder / f"Made_{part}.ts").write_text(ts_text(made), encoding="utf-8")
    return {"path": str(folder)}


def rounds(folder: Path) -> dict[str, Any]:
    """Piano rolls: three chords in turn, forward or backward as the piece goes."""
    rng = np.random.default_rng(2)

    def piece() -> list[tuple[int, ...]]:
        start, way = rng.integers(0, 3), rng.choice((1, -1))
        return [CHORDS[(start + way * t) % 3] for t in range(rng.integers(8, 12))]

    counts = {"train": 60, "valid": 20, "test": 5}
    made = {split: [piece() for _ in range(n)] for split, n in counts.items()}
    (folder / "rounds.json").write_text(json.dumps(made), encoding="utf-8")
    return {"path": str(folder / "rounds.json")}

"""Small files in the real formats, for the tasks that need a user's files."""

import csv
import gzip
import json
import math
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np


def idx(array: np.ndarray) -> bytes:
    """The format of yann.lecun.com/exdb/mnist: 0, 0, 8 (unsigned byte), rank, sizes big-endian."""
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes([0, 0, 8, array.ndim]) + sizes + array.astype(np.uint8).tobytes()


def mnist(folder: Path, images: int = 60, packed: bool = True) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    for part, n in (("train", images), ("t10k", 20)):
        labels = np.arange(n) % 10
        pixels = rng.integers(0, 256, (n, 28, 28))
        for name, content in (
            (f"{part}-images-idx3-ubyte", idx(pixels)),
            (f"{part}-labels-idx1-ubyte", idx(labels)),
        ):
            if packed:
                (folder / f"{name}.gz").write_bytes(gzip.compress(content))
            else:
                (folder / name).write_bytes(content)
    return {"path": str(folder)}


def ts_text(rows: list[tuple[np.ndarray, str]], equal: bool = False) -> str:
    """As the archives' files are: comments, tags, then variables : variables : class."""
    tags = [
        "# made for a test",
        "@problemName Made",
        "@timeStamps false",
        "@missing false",
        f"@univariate {str(len(rows[0][0]) == 1).lower()}",
        f"@equalLength {str(equal).lower()}",
        "@classLabel true up down",
        "@data",
    ]
    told = [":".join([*(",".join(map(str, v)) for v in values), name]) for values, name in rows]
    return "\n".join(tags + told) + "\n"


def ts(folder: Path, equal: bool = False, variables: int = 2) -> dict[str, Any]:
    rng = np.random.default_rng(1)
    for part, n in (("TRAIN", 40), ("TEST", 24)):
        lengths = [9 if equal else 5 + i % 5 for i in range(n)]
        rows = [
            (rng.normal(3, 2, (variables, length)).round(4), "up" if i % 3 else "down")
            for i, length in enumerate(lengths)
        ]
        (folder / f"Made_{part}.ts").write_text(ts_text(rows, equal), encoding="utf-8")
    return {"path": str(folder)}


def pieces() -> dict[str, list[list[tuple[int, ...]]]]:
    """Piano rolls as in Boulanger-Lewandowski's pickles."""
    rng = np.random.default_rng(2)

    def piece() -> list[tuple[int, ...]]:
        frames = int(rng.integers(4, 12))
        return [
            tuple(sorted({int(note) for note in rng.integers(40, 80, rng.integers(0, 5))}))
            for _ in range(frames)
        ]

    return {split: [piece() for _ in range(n)] for split, n in counts.items()}


counts = {"train": 12, "valid": 6, "test": 7}


def music(folder: Path, protocol: int = 2) -> dict[str, Any]:
    file = folder / "made.pickle"
    file.write_bytes(pickle.dumps(pieces(), protocol))
    return {"path": str(file)}


def music_json(folder: Path) -> dict[str, Any]:
    file = folder / "made.json"
    file.write_text(json.dumps(pieces()), encoding="utf-8")
    return {"path": str(file)}


def table(file: Path, header: list[str], rows: list[list[object]]) -> dict[str, Any]:
    with file.open("w", newline="", encoding="utf-8") as opened:
        csv.writer(opened).writerows([header, *rows])
    return {"path": str(file)}


def series(folder: Path) -> dict[str, Any]:
    """Two columns with a season of 12 and noise, by the hour."""
    rng = np.random.default_rng(3)
    rows: list[list[object]] = []
    for i in range(400):
        wave = math.sin(2 * math.pi * i / 12)
        noise = rng.normal(0, 0.3, 2)
        when = f"2016-07-{1 + i // 24:02d} {i % 24:02d}:00:00"
        rows.append([when, round(5 + 2 * wave + noise[0], 5), round(-3 * wave + noise[1], 5)])
    return table(folder / "series.csv", ["date", "load", "oil"], rows) | {
        "length": 20,
        "horizon": 3,
        "season": 12,
    }


def texts(folder: Path) -> dict[str, Any]:
    rng = np.random.default_rng(4)
    words = ["plot,", "actor", "“scene”", "film", "über", "the", "a", "was", "very", "short,", "it"]
    rows: list[list[object]] = []
    for i in range(80):
        told = " ".join(rng.choice(words, rng.integers(3, 12)))
        good = i % 4 != 0
        rows.append(
            [f"{told} {'wonderful' if good else 'dull'}!", "positive" if good else "negative"]
        )
    return table(folder / "texts.csv", ["text", "label"], rows)


MAKERS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "mnist": mnist,
    "ts-archive": ts,
    "music": music,
    "csv-series": series,
    "csv-text": texts,
}

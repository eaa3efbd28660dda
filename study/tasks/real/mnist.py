"""MNIST from local files, read pixel by pixel or row by row."""

import gzip
import math
import zlib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from study.base.errors import UserError
from study.tasks import TASKS
from study.tasks.base import Batch, DatasetTask, LabelTask
from study.tasks.real.files import existing, missing
from study.tasks.real.lazy import LazyBatch

SIDE = 28
CLASSES = 10
PERMUTATION_SEED = 1
MOST_BYTES = 1 << 30  # a header that asks for more is a broken one
PARTS = ("train-images", "train-labels", "t10k-images", "t10k-labels")
FOLDERS = ("", "MNIST/raw", "raw")  # the latter two are torchvision's


@TASKS.register
class Mnist(LabelTask, DatasetTask):
    """Which digit was it, after its 784 pixels have been read one at a time?

    MNIST, LeCun et al. (1998), pixels scaled to [0,1]; with ``permuted`` in one fixed random order;
    by "row" 28 steps of 28 pixels. The last sixth of the training file (10,000 images) validates,
    the test file tests. Any data set in the same four IDX files serves, such as Fashion-MNIST.
    Pixel by pixel after Le, Jaitly & Hinton (2015): what tells two digits apart is hundreds of steps
    before the end.

    Chance: ten classes of nearly equal size, ln 10 and an accuracy of about 0.1.
    """

    title: ClassVar[str] = "MNIST, pixel by pixel"
    source: ClassVar[str] = (
        "Le, Jaitly & Hinton (2015), A simple way to initialize recurrent networks of rectified"
        " linear units"
    )
    reads: ClassVar[Literal["last", "every"]] = "last"
    loss_name: ClassVar[str] = "cross-entropy (nats)"
    metric: ClassVar[str | None] = "accuracy"
    needs_files: ClassVar[bool] = True

    name: Literal["mnist"] = "mnist"
    path: str = Field(default="", description="the folder of the four IDX files, .gz or unpacked")
    download: bool = Field(
        default=False, description="let torchvision fetch what is not in task.path"
    )
    permuted: bool = Field(default=False, description="one fixed random order of the pixels")
    by: Literal["pixel", "row"] = Field(default="pixel", description="what a step reads")
    solved_at: float = Field(default=0.9, gt=0.1, le=1, description="validation accuracy")

    @property
    def input_size(self) -> int:
        """Asked for by every configuration, which is so refused when there are no files."""
        if not self.download:
            for part in PARTS:
                _find(self.path, part)
        return self._width

    @property
    def _width(self) -> int:
        return SIDE if self.by == "row" else 1

    @property
    def output_size(self) -> int:
        return CLASSES

    @property
    def steps(self) -> int:
        return SIDE * SIDE // self._width

    @property
    def lag(self) -> tuple[int, int]:
        return 0, self.steps - 1

    @property
    def chance_loss(self) -> float:
        return math.log(CLASSES)

    @property
    def chance_metric(self) -> float:
        return 1 / CLASSES

    @property
    def solved_rule(self) -> str:
        return f"accuracy of at least {self.solved_at:.0%}"

    def solved(self, scores: Mapping[str, float]) -> bool:
        return scores["accuracy"] >= self.solved_at

    def splits(self) -> Mapping[Literal["training", "validation", "test"], Batch]:
        images, labels, test_images, test_labels = _load(self.path, self.download)
        held_out = len(images) // 6
        first = len(images) - held_out
        return {
            "training": self._batch(images[:first], labels[:first]),
            "validation": self._batch(images[first:], labels[first:]),
            "test": self._batch(test_images, test_labels),
        }

    def _batch(self, images: Tensor, labels: Tensor) -> Batch:
        """From (N,784) bytes and (N) classes."""
        width = self._width
        order = slice(None)
        if self.permuted:
            drawn = np.random.default_rng(PERMUTATION_SEED).permutation(SIDE * SIDE)
            order = torch.from_numpy(drawn)  # type: ignore[assignment]

        def make(rows: Tensor) -> Batch:
            pixels = images[rows][:, order].float() / 255
            return Batch(pixels.unflatten(1, (-1, width)).transpose(0, 1), labels[rows][None])

        return LazyBatch(len(labels), make)


@lru_cache(maxsize=1)
def _load(path: str, download: bool) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    if download:
        _fetch(path)
    found = [_find(path, part) for part in PARTS]
    images, labels, test_images, test_labels = (read_idx(file) for file in found)
    for (pixels, classes), (one, two) in zip(
        ((images, labels), (test_images, test_labels)), (found[:2], found[2:]), strict=True
    ):
        if pixels.shape[1:] != (SIDE, SIDE):
            raise UserError(f"{one} holds no images of {SIDE}x{SIDE} pixels: {pixels.shape}")
        if classes.shape != pixels.shape[:1]:
            raise UserError(f"{two} has labels of {classes.shape}, {one} {len(pixels)} images")
        if classes.max() >= CLASSES:
            raise UserError(f"{two} has a label above {CLASSES - 1}: {classes.max()}")
    if len(images) < 6:
        raise UserError(f"{found[0]} has {len(images)} images, a split needs at least 6")
    return (
        torch.from_numpy(images).flatten(1),
        torch.from_numpy(labels).long(),
        torch.from_numpy(test_images).flatten(1),
        torch.from_numpy(test_labels).long(),
    )


def _find(path: str, part: str) -> Path:
    kind = 3 if part.endswith("images") else 1
    names = [f"{part}{dot}idx{kind}-ubyte{gz}" for gz in ("", ".gz") for dot in "-."]
    root = existing(path)
    if root is not None:
        for file in (root / folder / name for folder in FOLDERS for name in names):
            if file.is_file():
                return file
    raise missing(
        "mnist",
        path,
        f"the folder with {part}-idx{kind}-ubyte and three more, or the same with .gz",
        "they are on many mirrors, or set task.download = true (with pip install 'longlag[vision]')",
    )


def _fetch(path: str) -> None:
    if not path:
        raise UserError("task.download needs task.path, the folder to fetch MNIST into")
    try:
        from torchvision.datasets import MNIST  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        raise UserError(
            "task.download needs torchvision, which is not installed: pip install 'longlag[vision]'"
        ) from None
    try:
        MNIST(str(Path(path).expanduser()), download=True)  # checks what it fetches by MD5
    except (OSError, RuntimeError) as error:
        raise UserError(f"torchvision could not fetch MNIST into {path}: {error}") from None


def read_idx(path: Path) -> np.ndarray:
    """An array of bytes from an IDX file: magic 0x0000 08 (unsigned byte), rank, big-endian sizes."""
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as file:
            magic = file.read(4)
            if len(magic) < 4 or magic[:3] != b"\0\0\x08" or not 1 <= magic[3] <= 3:
                raise UserError(
                    f"{path} is no IDX file of bytes: it begins with {magic.hex() or 'nothing'}, "
                    "not 00000801 or 00000803"
                )
            header = file.read(4 * magic[3])
            if len(header) < 4 * magic[3]:
                raise UserError(f"{path} is cut short within its header")
            shape = tuple(int(n) for n in np.frombuffer(header, dtype=">u4"))
            size = math.prod(shape)
            if not 0 < size <= MOST_BYTES:
                raise UserError(f"{path} claims {size:,} bytes in its header: {shape}")
            content = file.read(size + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"cannot read {path}: {error}") from None
    if len(content) != size:
        more = "more" if len(content) > size else f"only {len(content):,}"
        raise UserError(f"{path} should have {size:,} bytes after its header and has {more}")
    return np.frombuffer(content, dtype=np.uint8).reshape(shape).copy()

"""MNIST from IDX files: every pixel where it belongs, and broken files told in one line."""

import gzip
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from task_files import idx, mnist

from study.base.errors import UserError
from study.tasks import TASKS
from study.tasks.base import DatasetTask
from study.tasks.real.mnist import read_idx


def named(**parameters: object) -> DatasetTask:
    task = TASKS.build({"name": "mnist", **parameters})
    assert isinstance(task, DatasetTask)
    return task


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    mnist(tmp_path, packed=False)
    return tmp_path


def pixels_of(folder: Path, part: str) -> np.ndarray:
    """As LeCun describes the file: 16 bytes of header, then the pixels row by row."""
    content = (folder / f"{part}-images-idx3-ubyte").read_bytes()
    return np.frombuffer(content[16:], dtype=np.uint8).reshape(-1, 28 * 28)


def test_a_step_is_a_pixel_or_a_row_and_the_last_sixth_validates(folder: Path) -> None:
    train, test = pixels_of(folder, "train"), pixels_of(folder, "t10k")
    by_pixel, by_row = named(path=str(folder)), named(path=str(folder), by="row")
    assert (by_pixel.steps, by_pixel.input_size) == (784, 1)
    assert (by_row.steps, by_row.input_size) == (28, 28)
    for split, expected in (("training", train[:50]), ("validation", train[50:]), ("test", test)):
        pixels = by_pixel.splits()[split].inputs[..., 0].T
        assert torch.equal(pixels, torch.from_numpy(expected.astype(np.float32)) / 255)
        rows = by_row.splits()[split].inputs.transpose(0, 1).flatten(1)
        assert torch.equal(rows, pixels)
    assert by_pixel.splits()["validation"].targets[0].tolist() == [i % 10 for i in range(50, 60)]


def test_permuted_is_one_order_for_all_images(folder: Path) -> None:
    plain = named(path=str(folder)).splits()
    permuted = named(path=str(folder), permuted=True).splits()
    columns = {plain["training"].inputs[i].numpy().tobytes(): i for i in range(784)}
    order = [columns[pixel.numpy().tobytes()] for pixel in permuted["training"].inputs]
    assert sorted(order) == list(range(784))
    assert order != sorted(order)
    for split in plain:
        assert torch.equal(permuted[split].inputs, plain[split].inputs[order])


@pytest.mark.parametrize("place", ["", "MNIST/raw"])
@pytest.mark.parametrize("packed", [True, False])
def test_packed_or_not_there_or_in_torchvisions_folder(
    place: str, packed: bool, tmp_path: Path, folder: Path
) -> None:
    other = tmp_path / "other"
    (other / place).mkdir(parents=True)
    mnist(other / place, packed=packed)
    assert torch.equal(named(path=str(other)).test().inputs, named(path=str(folder)).test().inputs)


GOOD = idx(np.zeros((2, 3)))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "begins with nothing"),
        (b"PK\3\4 a zip file", "is no IDX file of bytes: it begins with 504b0304"),
        (b"\0\0\x0d\1" + GOOD[4:], "is no IDX file of bytes"),  # floats
        (GOOD[:9], "cut short within its header"),
        (GOOD[:-1], "should have 6 bytes after its header and has only 5"),
        (GOOD + b"x", "should have 6 bytes after its header and has more"),
        (b"\0\0\x08\3" + b"\xff" * 12, "claims 79,228,162,458,924,105,385,300,197,375 bytes"),
        (b"\0\0\x08\1\0\0\0\0", "claims 0 bytes"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_a_broken_file_is_told_in_one_line(
    content: bytes, words: str, packed: bool, tmp_path: Path
) -> None:
    file = tmp_path / ("bad.gz" if packed else "bad")
    file.write_bytes(gzip.compress(content) if packed else content)
    with pytest.raises(UserError) as caught:
        read_idx(file)
    assert words in str(caught.value)
    assert str(file) in str(caught.value)


@pytest.mark.parametrize(
    "content", [b"no gzip at all", gzip.compress(GOOD)[:-12]], ids=["no gzip", "cut short"]
)
def test_a_broken_archive_is_told_in_one_line(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "bad.gz"
    file.write_bytes(content)
    with pytest.raises(UserError, match=r"cannot read .*bad\.gz"):
        read_idx(file)


@pytest.mark.parametrize(
    ("name", "array", "words"),
    [
        ("train-images-idx3-ubyte", np.zeros((60, 27, 28)), "no images of 28x28"),
        ("train-images-idx3-ubyte", np.zeros((59, 28, 28)), "59 images"),
        ("t10k-labels-idx1-ubyte", np.full(20, 10), "a label above 9: 10"),
    ],
)
def test_files_that_do_not_fit_are_refused(
    name: str, array: np.ndarray, words: str, folder: Path
) -> None:
    (folder / name).write_bytes(idx(array))
    with pytest.raises(UserError, match=words):
        named(path=str(folder)).validation()


def test_nothing_is_fetched_unless_torchvision_is_there_and_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[str] = []

    class Fake:
        @staticmethod
        def MNIST(root: str, download: bool) -> None:
            asked.append(root)
            (Path(root) / "MNIST/raw").mkdir(parents=True)
            mnist(Path(root) / "MNIST/raw")

    monkeypatch.setitem(sys.modules, "torchvision", Fake)
    monkeypatch.setitem(sys.modules, "torchvision.datasets", Fake)
    with pytest.raises(UserError, match="download = true"):
        named(path=str(tmp_path)).validation()
    assert asked == []
    with pytest.raises(UserError, match=r"needs task\.path"):
        named(download=True).validation()
    assert len(named(path=str(tmp_path), download=True).test()) == 20
    assert asked == [str(tmp_path)]
    monkeypatch.setitem(sys.modules, "torchvision.datasets", None)
    with pytest.raises(UserError, match=r"pip install 'longlag\[vision\]'"):
        named(path=str(tmp_path / "other"), download=True).validation()

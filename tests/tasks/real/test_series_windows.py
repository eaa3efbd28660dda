"""Which rows of a user's series are forecast, from what, and on what scale."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console
from task_files import series, table

from study.base.errors import UserError
from study.commands.task_description import describe_task
from study.spaces.file import load
from study.spaces.space import check_data
from study.tasks import TASKS

# Box & Jenkins (1976), series G: airline passengers a month in thousands, 1949 to 1960.
PASSENGERS = """
112 118 132 129 121 135 148 148 136 119 104 118
115 126 141 135 125 149 170 170 158 133 114 140
145 150 178 163 172 178 199 199 184 162 146 166
171 180 193 181 183 218 230 242 209 191 172 194
196 196 236 235 229 243 264 272 237 211 180 201
204 188 235 227 234 264 302 293 259 229 203 229
242 233 267 269 270 315 364 347 312 274 237 278
284 277 317 313 318 374 413 405 355 306 271 306
315 301 356 348 355 422 465 467 404 347 305 336
340 318 362 348 363 435 491 505 404 359 310 337
360 342 406 396 420 472 548 559 463 407 362 405
417 391 419 461 472 535 622 606 508 461 390 432
"""


def named(**parameters: object) -> Any:
    return TASKS.build({"name": "csv-series", **parameters})


@pytest.fixture
def passengers(tmp_path: Path) -> tuple[str, np.ndarray]:
    values = np.array([float(value) for value in PASSENGERS.split()])
    rows: list[list[object]] = [
        [f"{1949 + i // 12}-{i % 12 + 1:02d}-01", int(value)] for i, value in enumerate(values)
    ]
    return table(tmp_path / "air.csv", ["month", "passengers"], rows)["path"], values


@pytest.mark.parametrize("length", [12, 13, 36, 99])
def test_every_held_out_month_is_forecast_whatever_the_length(
    length: int, passengers: tuple[str, np.ndarray]
) -> None:
    path, values = passengers
    seen = values[:100]
    scaled = (values - seen.mean()) / seen.std()
    task = named(path=path, length=length, season=12)
    # Of the last 2 months alone, all that a window of 12 leaves of 14, the first would be 0.021.
    for name, back, level in (
        ("the value a season before", 12, 0.230),
        ("the last value repeated", 1, 0.319),
    ):
        assert np.mean((scaled[100:114] - scaled[100 - back : 114 - back]) ** 2) == pytest.approx(
            level, abs=5e-4
        )
        assert task.plateaus[name] == pytest.approx(level, abs=5e-4)
    for split, (start, end) in {"validation": (100, 114), "test": (114, 144)}.items():
        batch = task.splits()[split]
        np.testing.assert_allclose(batch.targets[0, :, 0], scaled[start:end], atol=1e-5)
        for k in (0, len(batch) - 1):
            read = scaled[start + k - length : start + k]
            np.testing.assert_allclose(batch.inputs[:, k, 0], read, atol=1e-5)


def test_no_row_that_is_held_out_is_trained_on_or_sets_the_scale(tmp_path: Path) -> None:
    given = series(tmp_path)
    whole = named(**given).splits()["training"]
    held = named(**{**given, "horizon": 1, "length": 3, "season": 0})
    assert len(held.splits()["training"]) == 280 - 3
    rows = Path(given["path"]).read_text(encoding="utf-8").splitlines()
    cut = tmp_path / "cut.csv"
    # Rows after the training part are others, twice as large.
    changed = [f"{r.split(',')[0]},{i * 0.1},{-i * 0.1}" for i, r in enumerate(rows[281:])]
    cut.write_text("\n".join([*rows[:281], *changed]), encoding="utf-8")
    other = named(**{**given, "path": str(cut)}).splits()["training"]
    assert torch.equal(other.inputs, whole.inputs)
    assert torch.equal(other.targets, whole.targets)


def test_a_split_by_counts_is_the_published_one_of_ett(tmp_path: Path) -> None:
    # Informer's Dataset_ETT_hour: 12, 4 and 4 months of 30 days, scaled by the first; for a forecast
    # one step ahead its validation and test windows begin one length before their part.
    hours = 20 * 30 * 24 + 100
    values = np.cumsum(np.random.default_rng(0).normal(0, 1, hours)).round(4)
    rows: list[list[object]] = [[i, value] for i, value in enumerate(values)]
    path = table(tmp_path / "ETTh1.csv", ["date", "OT"], rows)["path"]
    length = 24
    task = named(path=path, length=length, split="8640,2880,2880")
    starts = [0, 12 * 30 * 24 - length, 12 * 30 * 24 + 4 * 30 * 24 - length]
    ends = [12 * 30 * 24, 12 * 30 * 24 + 4 * 30 * 24, 12 * 30 * 24 + 8 * 30 * 24]
    scaled = (values - values[: ends[0]].mean()) / values[: ends[0]].std()
    for split, start, end in zip(("training", "validation", "test"), starts, ends, strict=True):
        batch = task.splits()[split]
        data = scaled[start:end]
        assert len(batch) == len(data) - length
        np.testing.assert_allclose(batch.inputs[:, 0, 0], data[:length], atol=1e-5)
        np.testing.assert_allclose(batch.targets[0, :, 0], data[length:], atol=1e-5)


@pytest.mark.parametrize(
    "split", ["0.7,0.3", "0.7,0.1,0.3", "70,0.1,0.2", "1,0,0", "a,b,c", "", "7_0,10,20", "1e31,1,1"]
)
def test_a_split_that_is_none_is_told(split: str) -> None:
    with pytest.raises(UserError, match="three shares that sum to 1"):
        named(path="x.csv", split=split)


def test_shares_are_counted_in_whole_rows(tmp_path: Path) -> None:
    rows: list[list[object]] = [[i, (7 * i) % 11] for i in range(10)]
    path = table(tmp_path / "t.csv", ["t", "v"], rows)["path"]
    sizes = {k: len(v) for k, v in named(path=path, length=1).splits().items()}
    assert sizes == {"training": 6, "validation": 1, "test": 2}  # of 7 rows one is only read


def test_few_rows_to_judge_by_are_told(passengers: tuple[str, np.ndarray], tmp_path: Path) -> None:
    (remark,) = named(path=passengers[0], length=12).remarks
    assert "air.csv" in remark
    assert "14 of validation" in remark
    assert "training" not in remark
    assert "of test" not in remark  # 30
    (remark,) = named(path=passengers[0], length=71).remarks
    assert "29 of training" in remark
    assert named(**series(tmp_path)).remarks == ()


def test_the_remark_is_on_the_tasks_page_and_with_a_study(
    passengers: tuple[str, np.ndarray], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = {"task.path": passengers[0], "task.length": 12}
    Console(width=500).print(describe_task("csv-series", settings))
    assert "few rows to forecast" in capsys.readouterr().out
    space = tmp_path / "air.toml"
    space.write_text(
        f"""[study]\nquestion = "Which?"\ntrials = 1\n[fixed]\ntask.name = "csv-series"
task.path = "{passengers[0]}"\ntask.length = 12
[compare]\nmodel.cell = ["gru", "lstm"]\n[search]\ntrain.lr = {{ low = 0.001, high = 0.01 }}\n""",
        encoding="utf-8",
    )
    (remark,) = check_data(load(space))
    assert "14 of validation" in remark

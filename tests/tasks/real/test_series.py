"""Time series: the integrated systems against other integrations, tables and .ts files by hand."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from sklearn.preprocessing import PolynomialFeatures
from task_files import series, table, ts, ts_text

from study.base.errors import UserError
from study.tasks import TASKS
from study.tasks.base import DatasetTask
from study.tasks.real.lazy import LazyBatch
from study.tasks.synthetic import lorenz, mackey_glass


def named(name: str, **parameters: object) -> Any:
    return TASKS.build({"name": name, **parameters})


def refused(task: DatasetTask, words: str) -> None:
    with pytest.raises(UserError) as caught:
        task.validation()
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


# Systems


def test_lorenz_is_scipys() -> None:
    starts = np.array([[1.0, 2.0, 20.0], [-5.0, -4.0, 30.0]])
    found = lorenz.integrate(starts, 61)
    for m, start in enumerate(starts):
        exact = solve_ivp(
            lambda _, s: (
                10 * (s[1] - s[0]),
                s[0] * (28 - s[2]) - s[1],
                s[0] * s[1] - 8 / 3 * s[2],
            ),
            (0, 3),
            start,
            method="DOP853",
            t_eval=np.linspace(0, 3, 61),
            rtol=1e-12,
            atol=1e-12,
        )
        # Order 4 at steps of 0.01, grown by e^(0.9·3)
        np.testing.assert_allclose(found[:, m], exact.y.T, atol=2e-3)


def test_mackey_glass_by_the_method_of_steps() -> None:
    # On the first delay the equation is linear with a constant birth: x = b/γ + (x0 - b/γ) e^(-γt);
    # on the second the birth is known from that, and scipy integrates it.
    history, tau = 0.7, 17

    def birth(x: float) -> float:
        return 0.2 * x / (1 + x**10)

    def first(t: float) -> float:
        rest = birth(history) / 0.1
        return rest + (history - rest) * math.exp(-0.1 * t)

    found = mackey_glass.integrate(np.array([history, 1.2]), tau, 35)[:, 0]
    np.testing.assert_allclose(found[:18], [first(t) for t in range(18)], rtol=1e-5)
    # Up to the half step that is interpolated across the history's end, where x' jumps
    np.testing.assert_allclose(found[:17], [first(t) for t in range(17)], rtol=1e-9)
    second = solve_ivp(
        lambda t, x: birth(first(t - tau)) - 0.1 * x,
        (17, 34),
        [first(17)],
        t_eval=range(17, 35),
        rtol=1e-11,
        atol=1e-12,
    )
    np.testing.assert_allclose(found[17:], second.y[0], rtol=1e-5)


def test_mackey_glass_has_converged_in_its_step() -> None:
    start = np.array([0.5, 0.9, 1.3])
    coarse = mackey_glass.integrate(start, 17, 300)
    fine = mackey_glass.integrate(start, 17, 300, substeps=40)
    assert np.abs(coarse - fine).max() < 1e-4
    assert fine[100:].min() > 0.2  # the known attractor's range is about 0.4 to 1.3
    assert fine[100:].max() < 1.5


@pytest.mark.parametrize(
    ("name", "points"),
    [
        ("lorenz", lambda: lorenz._points()[..., 0]),
        ("mackey-glass", lambda: mackey_glass._points(17)[..., 0]),
    ],
)
@pytest.mark.parametrize(("length", "horizon"), [(30, 4), (1, 1), (500, 300)])
def test_windows_are_stretches_of_one_trajectory_and_the_same_points_are_forecast(
    length: int, horizon: int, name: str, points: Any
) -> None:
    x = points().astype(np.float64)
    quarter, upto = x.shape[1] // 4, x.shape[1] * 3 // 8
    mean, std = x[:, :quarter].mean(), x[:, :quarter].std()
    splits = named(name, length=length, horizon=horizon).splits()
    parts = {"training": x[:, :quarter], "validation": x[:, quarter:upto], "test": x[:, upto:]}
    forecast = range(800, 1800, 20)  # the longest window and horizon reach back to 0
    for split, part in parts.items():
        batch = splits[split]
        assert len(batch) == 50 * part.shape[1]
        for k in (0, 1, len(batch) - 1):
            at, m = forecast[k % 50], k // 50
            told = (part[:, m] - mean) / std
            read = told[at - horizon - length + 1 : at - horizon + 1]
            np.testing.assert_allclose(batch.inputs[:, k, 0], read, atol=1e-5)
            np.testing.assert_allclose(float(batch.targets[0, k, 0]), told[at], atol=1e-5)


def test_lorenz_observed_whole_has_x_first() -> None:
    one, all_three = named("lorenz").validation(), named("lorenz", observed="xyz").validation()
    assert torch.equal(one.inputs[..., 0], all_three.inputs[..., 0])
    assert torch.equal(one.targets, all_three.targets)
    assert all_three.inputs.shape[2] == 3


def test_the_last_value_repeated_is_its_own_level() -> None:
    task = named("mackey-glass", horizon=6)
    batch = task.splits()["validation"]
    level = float(((batch.inputs[-1] - batch.targets[0]) ** 2).mean())
    assert task.plateaus["the last value repeated"] == pytest.approx(level)
    # Worse than the mean at this horizon
    assert "the last value repeated" not in named("lorenz").plateaus


@pytest.mark.parametrize(
    ("name", "parameters", "degree"),
    [
        ("mackey-glass", {"horizon": 6}, 3),
        ("mackey-glass", {"horizon": 84}, 3),
        ("lorenz", {}, 3),
        ("lorenz", {"observed": "xyz"}, 2),
    ],
)
def test_the_polynomial_to_beat_by_scikit_learns_terms_and_numpys_least_squares(
    name: str, parameters: dict[str, object], degree: int
) -> None:
    task = named(name, **parameters)
    splits = task.splits()
    seen = {k: b.inputs[-6:].transpose(0, 1).flatten(1).double() for k, b in splits.items()}
    wanted = {k: b.targets[0, :, 0].double() for k, b in splits.items()}
    losses = []
    for power in range(1, degree + 1):
        terms = {k: PolynomialFeatures(power).fit_transform(x.numpy()) for k, x in seen.items()}
        tried = []
        for cutoff in (1e-12, 1e-6):
            fit = np.linalg.lstsq(terms["training"], wanted["training"].numpy(), rcond=cutoff)[0]
            error = terms["validation"] @ fit - wanted["validation"].numpy()
            tried.append(float((error**2).mean()))
        losses.append(min(tried))
    assert min(losses) == losses[-1]
    level = task.plateaus["best polynomial in the last 6 values"]
    assert level == pytest.approx(losses[-1], rel=0.01)
    assert task.solved({"loss": 0.499 * level})
    assert not task.solved({"loss": 0.501 * level})
    if parameters == {"horizon": 6}:
        assert losses[1] == pytest.approx(0.0058, abs=5e-4)  # of whichever points are forecast
        assert not task.solved({"loss": losses[1]})


# Tables


def csv_values(path: str) -> np.ndarray:
    lines = Path(path).read_text(encoding="utf-8").splitlines()[1:]
    return np.array([[float(value) for value in line.split(",")[1:]] for line in lines])


def test_a_table_is_split_by_time_and_scaled_by_its_training_rows(tmp_path: Path) -> None:
    given = series(tmp_path)
    values = csv_values(given["path"])
    scaled = (values - values[:280].mean(0)) / values[:280].std(0)
    splits = named("csv-series", **given).splits()
    for split, (start, end) in {
        "training": (0, 280),
        "validation": (280, 320),
        "test": (320, 400),
    }.items():
        batch = splits[split]
        # All rows are forecast but those of the training part that too few are known before.
        first_row = max(start, 22)
        assert len(batch) == end - first_row
        for k in (0, len(batch) - 1):
            first = first_row + k - 22
            np.testing.assert_allclose(batch.inputs[:, k], scaled[first : first + 20], atol=1e-5)
            np.testing.assert_allclose(batch.targets[0, k], scaled[first + 22], atol=1e-5)


def test_what_follows_the_training_rows_does_not_move_the_training_part(tmp_path: Path) -> None:
    given = series(tmp_path)
    lines = Path(given["path"]).read_text(encoding="utf-8").splitlines()
    changed = [
        *lines[:281],
        *(f"{line.split(',')[0]},{i},{-i}" for i, line in enumerate(lines[281:])),
    ]
    other = tmp_path / "changed.csv"
    other.write_text("\n".join(changed), encoding="utf-8")
    one = named("csv-series", **given).splits()
    two = named("csv-series", **{**given, "path": str(other)}).splits()
    assert torch.equal(one["training"].inputs, two["training"].inputs)
    assert torch.equal(one["training"].targets, two["training"].targets)
    assert not torch.equal(one["validation"].inputs, two["validation"].inputs)


def test_levels_are_the_naive_forecasts_on_the_validation_windows(tmp_path: Path) -> None:
    given = series(tmp_path)
    values = csv_values(given["path"])
    scaled = (values - values[:280].mean(0)) / values[:280].std(0)
    task = named("csv-series", **given)
    now = range(280 - 3, 320 - 3)
    errors = {"mean": [], "last": [], "season": []}  # type: ignore[var-annotated]
    for t in now:
        target = scaled[t + 3]
        errors["mean"].append(target**2)
        errors["last"].append((target - scaled[t]) ** 2)
        errors["season"].append((target - scaled[t + 3 - 12]) ** 2)
    levels = {name: float(np.mean(each)) for name, each in errors.items()}
    assert task.chance_loss == pytest.approx(levels["mean"], rel=1e-5)
    assert levels["season"] < levels["mean"] < levels["last"]
    assert dict(task.plateaus) == {
        "the value a season before": pytest.approx(levels["season"], rel=1e-5)
    }
    linear = _linear_loss(scaled, now, 20, 5)
    assert linear < 0.8 * levels["season"]
    assert task.solved({"loss": 0.999 * linear})
    assert not task.solved({"loss": 1.001 * linear})
    # Two values are too few to do without the season.
    shorter = named("csv-series", **{**given, "length": 11})
    assert _linear_loss(scaled, now, 11, 2) > 0.8 * levels["season"]
    assert shorter.solved({"loss": 0.79 * levels["season"]})
    assert not shorter.solved({"loss": 0.81 * levels["season"]})


def _linear_loss(scaled: np.ndarray, now: range, length: int, count: int) -> float:
    """Of the value three rows on, linear in the last ``count`` values of both columns."""

    def seen(rows: range) -> np.ndarray:
        return np.array([np.append(scaled[t - count + 1 : t + 1], 1) for t in rows])

    training = range(length - 1, 280 - 3)  # the last rows read by windows of that length
    weights = np.linalg.lstsq(seen(training), scaled[3 + length - 1 : 280], rcond=None)[0]
    return float(np.mean((seen(now) @ weights - scaled[now.start + 3 : now.stop + 3]) ** 2))


def test_columns_and_targets_are_chosen_by_name(tmp_path: Path) -> None:
    given = series(tmp_path)
    whole = named("csv-series", **given).validation()
    task = named("csv-series", **given, targets="oil", time="date")
    assert (task.input_size, task.output_size) == (2, 1)
    assert torch.equal(task.validation().targets, whole.targets[..., 1:])
    turned = named("csv-series", **given, columns="oil, load").validation()
    assert torch.equal(turned.inputs, whole.inputs.flip(2))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"time": "hour"}, "has no column 'hour'; its columns: date, load, oil"),
        ({"columns": "load,gas"}, "has no column 'gas'"),
        ({"columns": "load", "targets": "oil"}, "task.targets has 'oil'"),
        ({"length": 278}, "has 280 rows for training, a window needs 278 + 3"),
        ({"columns": "load, oil,load"}, "task.columns names a column twice"),
        ({"targets": "oil,oil"}, "task.targets names a column twice"),
        ({"split": "280,60,61"}, "has 400 rows, task.split = '280,60,61' takes 401"),
        ({"split": "0.9,0.001,0.099"}, "has 400 rows, too few to split"),
        ({"season": 40}, "does not reach one season back from the target; it takes 38"),
        ({"time": "load"}, "row 4 below the header: time does not go on"),
    ],
)
def test_settings_that_do_not_fit_the_table(
    changes: dict[str, Any], words: str, tmp_path: Path
) -> None:
    given = {**series(tmp_path), **changes}
    with pytest.raises(UserError) as caught:
        named("csv-series", **given).validation()
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("row", "value", "words"),
    [
        (6, ["2016-01-07", ""], "row 7 below the header: nothing where a number should be"),
        (6, ["2016-01-07", "nan"], "'nan' where a number should be"),
        (6, ["2016-01-07", "much"], "'much' where a number should be"),
        (
            6,
            ["2016-01-07", "1,5"],
            "'1,5' where a number should be (such as 1234.5), in column 'v'",
        ),
        (6, ["2016-01-07", "9.96921e36"], "'9.96921e36' where a number should be"),
        (6, ["2016-01-05", 1], "row 7 below the header: time does not go on"),
        (6, ["2016-01-06", 1], "time does not go on ('2016-01-06' after '2016-01-06')"),
        (
            6,
            ["soon", 1],
            "row 7 below the header: 'soon' in column 'day', but the time column must",
        ),
        (6, [7, 1], "all of one kind"),
        (6, ["2016-01-07T00:00:00+02:00", 1], "all of one kind"),
        (6, ["2016-01-07"], "line 8: 1 fields"),
    ],
)
def test_a_bad_row_is_told_by_its_place(
    row: int, value: list[object], words: str, tmp_path: Path
) -> None:
    rows: list[list[object]] = [[f"2016-01-{i + 1:02d}", i % 5] for i in range(25)]
    rows[row] = value
    refused(named("csv-series", **table(tmp_path / "bad.csv", ["day", "v"], rows)), words)


def test_a_constant_column_is_refused(tmp_path: Path) -> None:
    rows: list[list[object]] = [[i, i, 4 if i < 70 else i] for i in range(100)]
    given = table(tmp_path / "flat.csv", ["t", "v", "flat"], rows)
    refused(named("csv-series", **given), "'flat' is constant in the training rows")
    # The standard deviation that is computed of a constant 0.1 is not 0.
    rows = [[i, i % 7, 0.1 if i < 210 else 0.5] for i in range(300)]
    assert (np.full((210, 2), 0.1).std(axis=0) > 0).all()
    given = table(tmp_path / "flat.csv", ["t", "v", "flat"], rows)
    refused(named("csv-series", **given), "'flat' is constant in the training rows")


@pytest.mark.parametrize("first", ["2016-01-01", "17"])
def test_a_table_without_a_header_is_not_read_without_its_first_row(
    first: str, tmp_path: Path
) -> None:
    rows: list[list[object]] = [[f"2016-01-{i + 2:02d}", i % 5] for i in range(25)]
    given = table(tmp_path / "bare.csv", [first, "4"], rows)
    refused(named("csv-series", **given), "the first line must name the columns, and begins with")
    # A time column may have such a name, if it is said.
    assert len(named("csv-series", **given, time=first, length=1).validation()) == 2


def test_what_a_naive_forecast_already_solves_is_refused(tmp_path: Path) -> None:
    # Noise, but for the validation rows, in which a sensor stood still or a season is exact.
    noise = np.random.default_rng(0).normal(0, 1, 300).round(3).tolist()
    held: list[list[object]] = [[i, 1.0 if 209 <= i < 240 else noise[i]] for i in range(300)]
    season: list[list[object]] = [[i, i % 4 if 206 <= i < 240 else noise[i]] for i in range(300)]
    given = {**table(tmp_path / "held.csv", ["t", "v"], held), "length": 5}
    for settings, words in (
        ({}, "the last value repeated is without error in the validation rows"),
        (
            table(tmp_path / "s.csv", ["t", "v"], season) | {"season": 4},
            "the value a season before",
        ),
    ):
        with pytest.raises(UserError) as caught:
            named("csv-series", **given | settings).check_data()
        assert words in str(caught.value)
    named("csv-series", **{**given, "path": str(tmp_path / "s.csv")}).check_data()


def test_windows_of_a_wide_table_are_made_as_they_are_needed(tmp_path: Path) -> None:
    # All windows of 100 rows are 100 times the table: gigabytes of the electricity data set.
    for batch in named("csv-series", **series(tmp_path)).splits().values():
        assert isinstance(batch, LazyBatch)


# .ts files


@pytest.mark.parametrize("equal", [True, False])
@pytest.mark.parametrize("variables", [1, 3])
def test_ts_files_are_read_value_by_value(equal: bool, variables: int, tmp_path: Path) -> None:
    task = named("ts-archive", **ts(tmp_path, equal, variables))
    lines = (tmp_path / "Made_TEST.ts").read_text(encoding="utf-8").split("@data\n")[1].splitlines()
    training, batch = task.splits()["training"], task.test()
    assert (batch.ends is None) == equal
    # The scaling is affine and the same for all cases: undone, every value is the file's.
    there = torch.ones(training.inputs.shape[:2], dtype=torch.bool)
    if training.ends is not None:
        there = torch.arange(task.steps)[:, None] <= training.ends
    assert training.inputs[there].mean(0).tolist() == pytest.approx([0] * variables, abs=1e-5)
    assert training.inputs[there].std(0, correction=0).tolist() == pytest.approx([1] * variables)
    told = []
    for i, line in enumerate(lines):
        *parts, label = line.split(":")
        values = torch.tensor([[float(v) for v in part.split(",")] for part in parts]).T
        assert int(batch.targets[0, i]) == ["down", "up"].index(label)
        assert len(values) == (task.steps if batch.ends is None else int(batch.ends[i]) + 1)
        told.append((values, batch.inputs[: len(values), i]))
    file, read = torch.cat([a for a, _ in told]), torch.cat([b for _, b in told])
    for v in range(variables):
        slope, offset = np.polyfit(read[:, v], file[:, v], 1)
        np.testing.assert_allclose(slope * read[:, v] + offset, file[:, v], atol=1e-4)


def test_validation_is_a_fifth_of_every_class_of_the_training_file(tmp_path: Path) -> None:
    splits = named("ts-archive", **ts(tmp_path)).splits()  # 14 down, 26 up
    counts = {split: batch.targets[0].bincount().tolist() for split, batch in splits.items()}
    assert counts == {"training": [11, 21], "validation": [3, 5], "test": [8, 16]}
    task = named("ts-archive", path=str(tmp_path / "Made_TRAIN.ts"))
    assert task.chance_loss == pytest.approx(
        -11 / 32 * math.log(11 / 32) - 21 / 32 * math.log(21 / 32)
    )
    assert task.chance_metric == 21 / 32


TAGS = "@timeStamps false\n@classLabel true a b\n@data\n"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "is empty"),
        ("1,2,3:a\n", "line 1: a tag such as @classLabel"),
        ("@problemName x\n", "has no @data"),
        (TAGS, "no cases after @data"),
        ("@classLabel false\n@data\n1:a\n", "needs a line '@classLabel true'"),
        ("@targetLabel true\n@data\n1:2\n", "needs a line '@classLabel true'"),
        ("@timeStamps true\n@classLabel true a b\n@data\n", "has time stamps"),
        (TAGS + "1,2:c\n", "line 4: 'c' is not among the classes of @classLabel: a, b"),
        (TAGS + "1,?,3:a\n", "line 4: a value is missing (?)"),
        (TAGS + "1,NaN,3:a\n", "line 4: a value is missing (NaN)"),
        (TAGS + "1,1e300,3:a\n", "line 4: '1e300' is no number that can be used"),
        ("@\n" + TAGS + "1,2:c\n", "line 5: 'c' is not among the classes"),
        (TAGS + "1,,3:a\n", "line 4: '' is no number"),
        (TAGS + "1,2:3:a\n", "all of one length"),
        (TAGS + "a\n", "a case needs variables"),
        (TAGS + "1:" * 300_000 + "a\n", "line 4: 300,000 variables, more than 4,096"),
        ("@classLabel true" + " x" * 50_000 + "\n@data\n", "50,000 classes, more than 1,000"),
        (TAGS + "1_0,2:a\n", "line 4: '1_0' is no number"),
        (TAGS + "1,2:a\n1,2:3,4:b\n", "line 5: 2 variables, the first case has 1"),
        ("@equalLength true\n" + TAGS + "1,2:a\n1,2,3:b\n", "its series differ in length"),
        (TAGS + "1,2:a\n1,3", "line 5: '1,3' is not among the classes"),
        (TAGS + "1,2:a\n1,2:a\n1,2:a\n", "needs two classes"),
    ],
)
def test_a_bad_ts_file_is_told_in_one_line(content: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "Made_TEST.ts").write_text(TAGS + "1,2:a\n", encoding="utf-8")
    (tmp_path / "Made_TRAIN.ts").write_text(content, encoding="utf-8")
    refused(named("ts-archive", path=str(tmp_path)), words)


def test_one_long_case_does_not_make_all_the_others_as_long(tmp_path: Path) -> None:
    cases = ["1,2:b"] * 2000 + [",".join(["1"] * 200_000) + ":a"]
    for part in ("TRAIN", "TEST"):
        (tmp_path / f"M_{part}.ts").write_text(TAGS + "\n".join(cases), encoding="utf-8")
    refused(
        named("ts-archive", path=str(tmp_path)), "2,001 series of 1 variables and up to 200,000"
    )


def test_tags_are_read_in_capitals_too(tmp_path: Path) -> None:
    given = ts(tmp_path)
    expected = named("ts-archive", **given).test().inputs
    for file in tmp_path.iterdir():
        text = file.read_text(encoding="utf-8")
        for small in ("false", "true"):
            text = text.replace(f" {small}", f" {small.title()}")
        file.write_text(text.replace("@data", "@DATA"), encoding="utf-8")
    assert torch.equal(named("ts-archive", path=f"{given['path']}/.").test().inputs, expected)


def test_a_variable_that_is_constant_in_training_is_not_blown_up_in_the_test(
    tmp_path: Path,
) -> None:
    for part, value in (("TRAIN", 0.1), ("TEST", 0.5)):
        rows = [(np.array([[i, 1, 2.0], [value] * 3]), "ab"[i % 2]) for i in range(30)]
        text = ts_text(rows).replace("true up down", "true a b")
        (tmp_path / f"Made_{part}.ts").write_text(text, encoding="utf-8")
    task = named("ts-archive", path=str(tmp_path))
    assert (np.full((3 * len(task.splits()["training"]), 2), 0.1).std(axis=0) > 0).all()
    assert task.splits()["training"].inputs[..., 1].abs().max() < 1e-6
    np.testing.assert_allclose(task.test().inputs[..., 1], 0.4, rtol=1e-6)


def test_which_problem_of_several_must_be_said(tmp_path: Path) -> None:
    ts(tmp_path)
    (tmp_path / "Other_TRAIN.ts").write_text("", encoding="utf-8")
    refused(named("ts-archive", path=str(tmp_path)), "has several problems; set task.path to one")
    refused(named("ts-archive", path=str(tmp_path / "Other_TRAIN.ts")), "NAME_TEST.ts")


def test_a_linear_forecast_from_the_last_values_does_not_meet_a_tables_criterion(
    tmp_path: Path,
) -> None:
    # x_t = 1.5 x_{t-1} - .9 x_{t-2} + noise oscillates: the last value tells little, two tell all.
    noise = np.random.default_rng(0).normal(size=600)
    x = np.zeros(600)
    for t in range(2, 600):
        x[t] = 1.5 * x[t - 1] - 0.9 * x[t - 2] + noise[t]
    rows = "\n".join(f"{t},{value!r}" for t, value in enumerate(x.tolist()))
    path = tmp_path / "oscillation.csv"
    path.write_text(f"t,x\n{rows}\n")
    task = TASKS.build({"name": "csv-series", "path": str(path), "length": 8})

    scaled = (x - x[:420].mean()) / x[:420].std()
    pairs = np.column_stack([np.ones(600), np.roll(scaled, 1), np.roll(scaled, 2)])
    weights = np.linalg.lstsq(pairs[8:420], scaled[8:420], rcond=None)[0]
    linear = float(np.square(pairs[420:480] @ weights - scaled[420:480]).mean())
    naive = float(np.square(scaled[419:479] - scaled[420:480]).mean())
    assert linear < 0.8 * naive  # what alone was asked would be met
    assert task.solved_loss == pytest.approx(linear, rel=1e-4)
    assert not task.solved({"loss": 1.001 * linear})
    assert task.solved({"loss": 0.999 * linear})
    assert "linear forecast" in task.solved_rule


def test_a_series_that_a_linear_forecast_knows_is_held_to_the_naive_ones(tmp_path: Path) -> None:
    rows = "\n".join(f"{t},{math.sin(t / 3)!r}" for t in range(400))
    path = tmp_path / "sine.csv"
    path.write_text(f"t,x\n{rows}\n")
    task = TASKS.build({"name": "csv-series", "path": str(path), "length": 8})
    level = task.plateaus["the last value repeated"]
    assert task.solved_loss == pytest.approx(0.8 * level)

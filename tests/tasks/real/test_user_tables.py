"""Tables as users have them: numbers that are none, codes for gaps, quotes that swallow rows."""

import csv
import io
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from task_files import table, ts_text

from study.base.errors import UserError
from study.tasks import TASKS
from study.tasks.real import files, series_table
from study.tasks.real.measurements import gap_code, read_number
from study.tasks.real.tables import Table


def named(name: str, **parameters: object) -> Any:
    return TASKS.build({"name": name, **parameters})


def refused(task: Any, *words: str) -> str:
    with pytest.raises(UserError) as caught:
        task.validation()
    told = str(caught.value)
    assert all(word in told for word in words), told
    assert "\n" not in told
    assert len(told) < 1200
    return told


# Numbers


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1234.5", 1234.5),
        (" -1e-3 ", -0.001),
        ("+.5", 0.5),
        ("7.", 7.0),
        ("1E5", 1e5),
        ("\N{NO-BREAK SPACE}2", 2.0),
    ],
)
def test_what_is_a_number(text: str, value: float) -> None:
    assert read_number(text) == value


@pytest.mark.parametrize(
    "text",
    [
        *("1_000", "2020_01", "1_0.5", "1e1_0", "nan", "inf", "-Infinity", "1e31", "", " ", "0x10"),
        *("1 000", "1,5", "\N{ARABIC-INDIC DIGIT THREE}", "\N{FULLWIDTH DIGIT ONE}", "\u22121"),
    ],
)
def test_what_is_no_number(text: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        read_number(text)
    rows: list[list[object]] = [[i, (7 * i) % 11] for i in range(30)]
    rows[8][1] = text
    given = table(tmp_path / "v.csv", ["t", "v"], rows)
    refused(named("csv-series", **given, length=2), "row 9 below the header")
    (tmp_path / "M_TEST.ts").write_text(ts_text([(np.ones((1, 3)), "up")]), encoding="utf-8")
    lines = ts_text([(np.ones((1, 2)), "up")]).replace("1.0,1.0", f"1.0,{text}")
    (tmp_path / "M_TRAIN.ts").write_text(lines, encoding="utf-8")
    if "," not in text:
        refused(named("ts-archive", path=str(tmp_path)), "M_TRAIN.ts, line 9")


def test_times_are_no_numbers_with_underscores(tmp_path: Path) -> None:
    rows: list[list[object]] = [[f"2020_{i:02d}", (7 * i) % 11] for i in range(30)]
    given = table(tmp_path / "t.csv", ["month", "v"], rows)
    refused(named("csv-series", **given, length=2), "'2020_00' in column 'month'")


# Codes for gaps

NEAR_2 = 2 + np.random.default_rng(0).normal(0, 0.1, 200).round(3)
COUNTS = np.random.default_rng(1).poisson(2, 300).astype(float)


def holding(values: np.ndarray, value: float, places: list[int]) -> np.ndarray:
    changed = values.astype(float).copy()
    changed[places] = value
    return changed


@pytest.mark.parametrize(
    ("values", "code", "count"),
    [
        *(
            (holding(NEAR_2, code, [3, 4, 90]), code, 3)
            for code in (-9999, 9999, -999, 999, 99, -99)
        ),
        *((holding(NEAR_2, code, [3, 4]), code, 2) for code in (1e20, -1e20, 1e30, -32768, 65535)),
        *((holding(NEAR_2, code, [3, 4]), code, 2) for code in (-999.25, 99.99, -8888, 123456)),
        (holding(NEAR_2, -9999, [3]), -9999, 1),  # once, but written as a code is
        (holding(holding(NEAR_2, -9999, [3, 4]), 9999, [7, 8, 9]), 9999, 3),
        (holding(COUNTS, 999, [3]), 999, 1),
        (holding(holding(NEAR_2, -9999, [3, 4]), -8888, [7, 8, 9]), -8888, 3),
        (holding(NEAR_2, -9999, [*range(150)]), -9999, 150),  # most are gaps
        (holding(COUNTS, 9999, [3, 4]), 9999, 2),
        (np.array([0, 1] * 30 + [-999] * 4), -999, 4),
        (holding(10 * NEAR_2 - 20, -99, [3, 4]), -99, 2),  # temperatures
    ],
)
def test_a_repeated_value_far_from_all_others_is_a_code(
    values: np.ndarray, code: float, count: int
) -> None:
    found = gap_code(np.random.default_rng(2).permutation(values))
    assert found is not None
    assert (found.value, found.count) == (code, count)
    kept = values[~np.isin(values, [-9999, -8888, 9999, code])]
    assert (found.low, found.high) == (kept.min(), kept.max())


def spikes() -> np.ndarray:
    values = COUNTS.copy()
    values[[5, 80, 200, 290]] = [180, 420, 999, 420]
    return values


@pytest.mark.parametrize(
    "values",
    [
        NEAR_2,
        COUNTS,
        spikes(),  # some as high, one of them twice
        holding(COUNTS, 150, [4, 90]),  # a rare event, twice the same
        np.array([0.0, 1.0] * 50),
        np.array([0.0, 9999.0] * 50),  # of two states neither is far from "all others"
        np.array([1.0] * 99 + [-9999.0]),
        np.array([0.0, 5.0, 2000.0] * 40),  # three states
        holding(230 + NEAR_2, 0, [*range(60)]),  # switched off: 0 is a measurement
        holding(NEAR_2, 50.0, [3]),  # one outlier
        np.cumsum(np.random.default_rng(3).normal(0, 1, 500)),
        np.exp(np.random.default_rng(4).normal(0, 2, 500)),
        np.random.default_rng(5).standard_cauchy(500).round(1),
        np.random.default_rng(6).integers(0, 100, 500).astype(float),  # 99 is one of many
        np.concatenate([np.linspace(0, 8000, 300), [9999.0] * 3]),  # near the others
        np.full(50, -9999.0),
        np.array([-9999.0, 9999.0]),
    ],
    ids=range(17),
)
def test_what_is_measured_is_no_code(values: np.ndarray) -> None:
    assert gap_code(values) is None


@settings(deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30), st.floats(0.01, 100))
def test_what_is_a_code_does_not_hang_on_the_order(values: list[float], scale: float) -> None:
    found = gap_code(np.array(values))
    assert found == gap_code(np.array(values[::-1]))
    if found is not None:
        assert values.count(found.value) == found.count
        assert not found.low <= found.value <= found.high


@pytest.mark.parametrize("place", [10, 215, 260])  # in any part
def test_a_column_with_a_code_is_refused_or_kept_when_asked(place: int, tmp_path: Path) -> None:
    wave = np.sin(np.arange(300)).round(3)
    rows: list[list[object]] = [
        [i, -9999 if place <= i < place + 4 else 2 + w, w] for i, w in enumerate(wave)
    ]
    given = table(tmp_path / "v.csv", ["t", "flow", "level"], rows) | {"length": 5}
    told = refused(named("csv-series", **given), "'flow' has -9999 4 times", "(1 to 3)")
    assert "fill it in" in told
    assert "task.far_values = 'keep'" in told
    assert named("csv-series", **given, columns="level").chance_loss > 0.1
    assert named("csv-series", **given, far_values="keep").chance_loss > 0


def test_a_ts_archive_with_a_code_is_refused_or_kept_when_asked(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for part in ("TRAIN", "TEST"):
        rows = [(rng.normal(0, 1, (2, 9)).round(3), ("up", "down")[i % 2]) for i in range(30)]
        if part == "TEST":
            rows[3][0][1, 4:6] = -9999
        (tmp_path / f"M_{part}.ts").write_text(ts_text(rows), encoding="utf-8")
    told = refused(
        named("ts-archive", path=str(tmp_path)), "M_TEST.ts: variable 2 has -9999 2 times"
    )
    assert "task.far_values = 'keep'" in told
    assert named("ts-archive", path=str(tmp_path), far_values="keep").test().inputs.min() < -1000


# Quotes


def rows_of(folder: Path, content: str, name: str = "t.csv") -> list[list[str]]:
    (folder / name).write_text(content, encoding="utf-8")
    read = Table(folder / name)
    return [read.header, *(row.fields for row in read)]


def test_a_quote_in_a_tsv_file_is_a_character(tmp_path: Path) -> None:
    content = 'text\tlabel\nsays "yes\t1\n"Wow\t0\nplain\t1\nend"\t0\n5" pipe\t1\n'
    assert rows_of(tmp_path, content, "t.tsv") == [
        line.split("\t") for line in content.splitlines()
    ]


@pytest.mark.parametrize("field", ['"a film', 'a "film"', '"good" film', 'film"', '"', '""a'])
def test_a_tsv_files_rows_are_its_lines_however_it_is_quoted(field: str, tmp_path: Path) -> None:
    rows = [["text", "label"], ["x", "1"], [field, "0"], ["y", "1"], [field, "1"], ["z", "0"]]
    content = "\n".join("\t".join(row) for row in rows)
    assert rows_of(tmp_path, content, "t.tsv") == rows


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\0"), max_size=8)


@settings(deadline=None, max_examples=200)
@given(st.lists(st.tuples(texts, texts), min_size=1, max_size=6))
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
def test_what_the_csv_module_writes_is_read(
    tmp_path_factory: pytest.TempPathFactory, quoting: Any, pairs: list[tuple[str, str]]
) -> None:
    rows = [["a", "b"], *map(list, pairs)]
    for name, delimiter in (("t.csv", ","), ("t.tsv", "\t")):
        made = io.StringIO()
        csv.writer(made, delimiter=delimiter, quoting=quoting, lineterminator="\n").writerows(rows)
        lines = made.getvalue().split("\n")[:-1]
        if name == "t.tsv" and len(lines) > len(rows) and all(x.count("\t") == 1 for x in lines):
            continue  # its lines are rows as well, and then they are what is meant
        assert rows_of(tmp_path_factory.mktemp("t"), made.getvalue(), name) == rows


@pytest.mark.parametrize(
    ("content", "name", "words"),
    [
        ('a,b\n1,2\n"3,4\n5,6\n', "t.csv", "line 3: a quote in the row that begins there is never"),
        (
            'a,b\n1,2\n"3,4\n5,6\n"7,8\n',
            "t.csv",
            "line 3: the row that begins there goes on in line 5",
        ),
        (
            'a,b\n"1\n2",3\n4,5" x\n',
            "t.csv",
            "line 2: a quote there joins lines 2 to 3, but in line 4",
        ),
        (
            'a\tb\n"1\t2\t3"\t4\n5" x\t6\n',
            "t.tsv",
            "line 2: 4 fields, the header has 2; it has a quote",
        ),
        ("a\tb\n1\n", "t.tsv", "line 2: 1 fields, the header has 2"),
    ],
)
def test_a_quote_that_is_not_closed_is_told_by_its_line(
    content: str, name: str, words: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError) as caught:
        rows_of(tmp_path, content, name)
    assert words in str(caught.value)


def test_a_series_has_no_row_of_several_lines(tmp_path: Path) -> None:
    lines = [f"{i},{(7 * i) % 11},x" for i in range(30)]
    lines[8], lines[9] = '8,1,"x', '9,2,x"'
    (tmp_path / "v.csv").write_text("t,v,note\n" + "\n".join(lines), encoding="utf-8")
    task = named("csv-series", path=str(tmp_path / "v.csv"), columns="v", length=2)
    refused(task, "v.csv, line 10: a quote there joins lines 10 to 11 to one row")


def test_quoted_numbers_and_times_are_read(tmp_path: Path) -> None:
    rows = [f'"2020-01-{i + 1:02d}","{(7 * i) % 11}.5"' for i in range(30)]
    for name, sign in (("v.csv", ","), ("v.tsv", "\t")):
        content = '"day","v"\n' + "\n".join(rows)
        (tmp_path / name).write_text(content.replace(",", sign), encoding="utf-8")
        assert named("csv-series", path=str(tmp_path / name), length=2).channels == ["v"]


def test_a_name_may_be_written_over_two_lines(tmp_path: Path) -> None:
    assert rows_of(tmp_path, 't,"Power\n(kW)"\n1,2\n')[0] == ["t", "Power (kW)"]


# What is no file

TASKS_OF: dict[str, dict[str, Any]] = {
    "csv-series": {},
    "csv-text": {},
    "music": {},
    "ts-archive": {},
    "mnist": {},
    "characters": {"corpus": "files"},
}
FOLDERS = [
    ("ts-archive", {}, ["M_TRAIN.ts", "M_TEST.ts"]),
    ("characters", {"corpus": "ptb"}, [f"ptb.{part}.txt" for part in ("train", "valid", "test")]),
    ("characters", {"corpus": "text8"}, ["text8"]),
    ("characters", {"corpus": "files"}, ["a.txt", "b.txt", "c.txt"]),
    ("mnist", {}, ["train-images-idx3-ubyte", "train-labels-idx1-ubyte"]),
]


@pytest.mark.parametrize("name", TASKS_OF)
def test_a_pipe_a_socket_and_a_device_are_told_and_not_waited_for(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's path must be short
    os.mkfifo("pipe_TRAIN.ts")
    (tmp_path / "pipe_TEST.ts").write_text("", encoding="utf-8")
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind("socket")
        for path, kind in (
            ("pipe_TRAIN.ts", "a pipe (FIFO)"),
            ("socket", "a socket"),
            ("/dev/zero", "a device"),
        ):
            refused(named(name, path=path, **TASKS_OF[name]), f"is {kind}")


@pytest.mark.parametrize(("name", "parameters", "found"), FOLDERS)
def test_pipes_in_a_folder_are_not_waited_for(
    name: str, parameters: dict[str, Any], found: list[str], tmp_path: Path
) -> None:
    for file in found:
        os.mkfifo(tmp_path / file)
    refused(named(name, path=str(tmp_path), **parameters), str(tmp_path))


def test_a_file_that_would_be_waited_for_is_read_without_waiting(tmp_path: Path) -> None:
    # As /proc/kmsg, which is a file to look at and a pipe to read; here it becomes one in between.
    os.mkfifo(tmp_path / "v.csv")
    with pytest.raises(UserError, match=r"v\.csv is a pipe \(FIFO\), not a file"):
        files.read_bytes(tmp_path / "v.csv")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "check_regular", lambda path: 0)
        with pytest.raises(UserError, match=r"v\.csv is empty"):
            files.read_bytes(tmp_path / "v.csv")


# Sizes


def test_a_file_too_large_is_told_before_it_is_read(tmp_path: Path) -> None:
    for name in ("v.csv", "v.json", "v.pickle", "v_TRAIN.ts", "v_TEST.ts", "v.txt"):
        with (tmp_path / name).open("wb") as opened:  # sparse
            opened.truncate(3_000_000_000)
    for task in ("csv-series", "csv-text"):
        refused(
            named(task, path=str(tmp_path / "v.csv")), "has 3.0 GB, and at most 1.1 GB are read"
        )
    for name in ("v.json", "v.pickle"):
        refused(named("music", path=str(tmp_path / name)), "has 3.0 GB")
    refused(named("ts-archive", path=str(tmp_path)), "has 3.0 GB")
    for path in (tmp_path / "v.txt", tmp_path):
        task = named("characters", corpus="files", path=str(path), pattern="v*")
        refused(task, "GB, and at most 1.1 GB are read")


@pytest.mark.parametrize("count", [5_000, 300_000])
def test_very_many_columns_are_told_or_named(count: int, tmp_path: Path) -> None:
    names = [f"c{i}" for i in range(count)]
    lines = [",".join(map(str, [i, *[(7 * i) % 11] * count])) for i in range(10)]
    path = tmp_path / "wide.csv"
    path.write_text(",".join(["t", *names]) + "\n" + "\n".join(lines), encoding="utf-8")
    refused(named("csv-series", path=str(path)), f"{count:,} columns", "task.columns")
    some = named("csv-series", path=str(path), columns="c7,c4000", length=1)
    assert some.splits()["training"].inputs.shape == (1, 6, 2)
    refused(
        named("csv-text", path=str(path)), "has no column 'text'; its columns: t, c0, c1", ", …"
    )
    path.write_text(",".join(["t", *names, "c9"]), encoding="utf-8")
    refused(named("csv-series", path=str(path)), "'c9' comes twice")


def test_very_many_values_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(series_table, "MOST_VALUES", 50)
    rows: list[list[object]] = [[i, i % 7, i % 5] for i in range(40)]
    given = table(tmp_path / "v.csv", ["t", "a", "b"], rows)
    refused(named("csv-series", **given), "more than 50 values in 2 columns")


def test_what_a_message_quotes_has_an_end(tmp_path: Path) -> None:
    long = "x" * 900_000
    makers: list[Callable[[], str]] = [
        lambda: f"t,{long},{long}\n1,2,3\n",
        lambda: f"{long},v\n1,2\n",
        lambda: f"t,v\n1,{long}\n",
        lambda: f"t,v\n{long},1\n",
        lambda: f"t,{long}\n" + "\n".join(f"{i},1" for i in range(30)),
        lambda: f"t,{long}\n" + "\n".join(f"{i},{i % 3 if i % 9 else -9999}" for i in range(90)),
    ]
    for make in makers:
        (tmp_path / "v.csv").write_text(make(), encoding="utf-8")
        series_table.load.cache_clear()
        refused(named("csv-series", path=str(tmp_path / "v.csv"), length=2))
    assert len(files.quoted(long)) < 60

"""A study into a file and out of it: the same study, on another machine, joined, or refused whole."""

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from analysis.data.runs import Results, read_study
from study.base.errors import UserError
from study.spaces.file import load
from study.spaces.space import Space
from study.sweep.driver import Sweep
from study.tracking.store import Store
from study.travel import format as table_format
from study.travel.arrival import arrive
from study.travel.departure import export
from study.travel.study_file import StudyFile

SPACE = """
[study]
name = "tiny"
question = "Which?"
trials = {trials}
finalists = 2
reruns = 1
confirmations = 2

[fixed]
train.probes = "gradient_flow,audit"
task.length = 5
model.hidden = 4
train.batch = 4
train.steps = 10
train.evaluate_every = 5

[compare.network]
{arms}

[search]
train.lr = {{ low = 0.001, high = 0.1, log = true }}
"""
TANH = 'tanh = { model.cell = "elman" }'
LSTM = 'lstm = { model.cell = "lstm" }'
NUMBERS = ["arm", "role", "trial_key", "outcome", "score", "steps", "test_loss", "seed"]


def space(folder: Path, *arms: str, trials: int = 2) -> Space:
    path = folder / "tiny.toml"
    path.write_text(SPACE.format(trials=trials, arms="\n".join(arms or (TANH, LSTM))))
    return load(path)


def swept(folder: Path, *arms: str, **given: Any) -> Path:
    folder.mkdir(exist_ok=True)
    *_, _ = Sweep(space(folder, *arms, **given), folder, 2).run()
    return folder


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, forked: None) -> Path:
    """A folder in which three trials of two arms were swept."""
    return swept(tmp_path_factory.mktemp("whole"), trials=3)


@pytest.fixture(scope="module")
def file(whole: Path) -> Path:
    target = whole / "tiny.longlag"
    export(Store.open(whole), ["tiny"], target, "1", whole)
    return target


def exported(folder: Path, target: Path, lean: bool = False) -> StudyFile:
    export(Store.open(folder), ["tiny"], target, "1", folder, lean=lean)
    return StudyFile.open(target)


def numbers(results: Results) -> pd.DataFrame:
    return results.runs()[NUMBERS].sort_values("trial_key", ignore_index=True)


def same(a: Results, b: Results) -> None:
    pd.testing.assert_frame_equal(numbers(a), numbers(b))
    for name in ("curves", "flows"):
        one, other = (
            getattr(r, name).drop(columns="run_id").sort_values(["arm", "key", "step", "value"])
            if name == "curves"
            else getattr(r, name)
            .drop(columns="run_id")
            .sort_values(["arm", "stage", "state", "lag", "norm"])
            for r in (a, b)
        )
        pd.testing.assert_frame_equal(
            one.reset_index(drop=True), other.reset_index(drop=True), check_like=True
        )
    assert list(a.arms["best_trial_key"]) == list(b.arms["best_trial_key"])


def files(folder: Path, name: str = "tiny") -> dict[str, dict[str, bytes]]:
    store = Store.open(folder)
    return {
        run.tags["trial_key"]: {
            path: store.artifact_bytes(run.run_id, path) for path in store.files(run.run_id)
        }
        for run in store.study(name).runs
        if run.tags["role"] != "arm"
    }


def test_a_study_arrives_as_it_was_and_its_sweep_goes_on(
    whole: Path, file: Path, tmp_path: Path
) -> None:
    result = arrive(StudyFile.open(file), "tiny", tmp_path)
    assert (result.new, result.there, result.notices) == (14, 0, [])
    same(read_study(Store.open(tmp_path), "tiny"), read_study(Store.open(whole), "tiny"))
    assert files(tmp_path) == files(whole)
    run = Sweep(space(tmp_path, trials=3), tmp_path, 1)
    *_, status = run.run()
    assert not run.ran
    assert status.left == 0
    more = Sweep(space(tmp_path, trials=4), tmp_path, 1)
    *_, status = more.run()
    assert more.ran
    assert status.left == 0


def test_in_mlflow_it_has_its_views_and_notes_and_nothing_of_the_other_store(
    whole: Path, file: Path, tmp_path: Path
) -> None:
    arrive(StudyFile.open(file), "tiny", tmp_path)
    here, there = (Store.open(folder).study("tiny") for folder in (tmp_path, whole))
    assert here.tags.keys() == there.tags.keys()
    old = {run.run_id for run in there.runs}
    for run in here.runs:
        assert not any(run_id in text for text in run.tags.values() for run_id in old)
    arms = [
        {r.tags["arm"]: r for r in record.runs if r.tags["role"] == "arm"}
        for record in (here, there)
    ]
    for arm, run in arms[0].items():
        assert run.status == "FINISHED"
        assert run.metrics == arms[1][arm].metrics
        assert "mlflow.note.content" in run.tags


def test_the_same_again_changes_nothing(file: Path, tmp_path: Path) -> None:
    arrive(StudyFile.open(file), "tiny", tmp_path)
    before = read_study(Store.open(tmp_path), "tiny")
    again = arrive(StudyFile.open(file), "tiny", tmp_path)
    assert (again.new, again.there) == (0, 14)
    same(read_study(Store.open(tmp_path), "tiny"), before)


def test_two_machines_halves_are_one_study(whole: Path, tmp_path: Path, forked: None) -> None:
    """One swept two trials of both arms, the other three of one: joined either way they lack the third
    trial of the other arm, and with that swept they are what one machine made."""
    one = swept(tmp_path / "one", trials=2)
    other = swept(tmp_path / "other", LSTM, trials=3)
    first = exported(one, tmp_path / "one.longlag")
    second = exported(other, tmp_path / "other.longlag")
    arrive(second, "tiny", one)
    arrive(first, "tiny", other)
    numbers_of = [numbers(read_study(Store.open(folder), "tiny")) for folder in (one, other)]
    pd.testing.assert_frame_equal(*numbers_of)
    arms = {r.tags["arm"]: r for r in Store.open(one).study("tiny").runs if r.tags["role"] == "arm"}
    assert arms["lstm"].status == "FINISHED"
    assert arms["tanh"].status == "KILLED"
    for folder in (one, other):
        *_, status = Sweep(space(folder, trials=3), folder, 1).run()
        assert status.left == 0
        # Reruns of what is a finalist no more stay in the store.
        found, wanted = (
            numbers(read_study(Store.open(f), "tiny")).query("role != 'rerun'")
            for f in (folder, whole)
        )
        pd.testing.assert_frame_equal(found.reset_index(drop=True), wanted.reset_index(drop=True))


def test_under_another_name_it_is_a_study_of_its_own(
    whole: Path, file: Path, tmp_path: Path
) -> None:
    shutil.copytree(whole / "mlruns", tmp_path / "mlruns")
    result = arrive(StudyFile.open(file), "tiny", tmp_path, name="copy")
    assert result.new == 14
    copy = read_study(Store.open(tmp_path), "copy")
    assert set(copy.runs()["trial_key"].str.split("/").str[0]) == {"copy"}
    assert len(copy.confirmations) == 4
    s = space(tmp_path, trials=3).model_copy(update={"name": "copy"})
    run = Sweep(s, tmp_path, 1)
    *_, status = run.run()
    assert (run.ran, status.left) == (False, 0)


def test_what_are_no_parts_of_one_study_stay_apart(whole: Path, file: Path, tmp_path: Path) -> None:
    shutil.copytree(whole / "mlruns", tmp_path / "mlruns")
    before = files(tmp_path)
    other = changed(file, tmp_path / "a", "runs.parquet", rows("runs", "params", [("seed", "9")]))
    with pytest.raises(UserError, match=r"has seed = 9 .* \(--as NAME\)"):
        arrive(StudyFile.open(other), "tiny", tmp_path)
    other = changed(file, tmp_path / "b", "files.parquet", elsewhere)
    with pytest.raises(UserError, match=r"another search space: .* \(--as NAME\)"):
        arrive(StudyFile.open(other), "tiny", tmp_path)
    assert files(tmp_path) == before
    (tmp_path / "mlruns" / "optuna" / "tiny.journal").unlink()
    with pytest.raises(UserError, match=r"journal .* \(--as NAME\)"):
        arrive(StudyFile.open(file), "tiny", tmp_path)


def elsewhere(content: bytes) -> bytes:
    """Every arm's space with another length of the task."""
    table = pq.read_table(pa.BufferReader(content)).to_pylist()
    for row in table:
        if row["name"] == "space.json":
            row["content"] = row["content"].replace(b'"task.length": 5', b'"task.length": 6')
    return written("files", table)


def test_a_lean_file_has_what_a_report_needs(whole: Path, file: Path, tmp_path: Path) -> None:
    lean = exported(whole, tmp_path / "lean.longlag", lean=True)
    assert lean.path.stat().st_size < file.stat().st_size / 2
    same(read_study(lean, "tiny"), read_study(Store.open(whole), "tiny"))
    arrive(lean, "tiny", tmp_path)
    same(read_study(Store.open(tmp_path), "tiny"), read_study(Store.open(whole), "tiny"))


def test_a_file_is_read_as_a_store_is(whole: Path, file: Path) -> None:
    opened, store = StudyFile.open(file), Store.open(whole)
    same(read_study(opened, "tiny"), read_study(store, "tiny"))
    run = opened.study("tiny").runs[-1].run_id
    assert opened.artifact_text(run, "config.toml") == store.artifact_text(run, "config.toml")
    with pytest.raises(UserError, match="no artifact"):
        opened.artifact_text(run, "nothing")
    with pytest.raises(UserError, match="did you mean 'tiny'"):
        opened.study("tinny")


def test_the_file_says_what_its_columns_are(file: Path) -> None:
    with zipfile.ZipFile(file) as opened:
        text = opened.read("README.md").decode()
        for table, columns in table_format.TABLES.items():
            names = pq.read_schema(opened.open(f"{table}.parquet")).names
            assert names == list(columns)
            assert all(f"| {name} |" in text for name in names)


def changed(file: Path, target: Path, name: str, content: Callable[[bytes], bytes | None]) -> Path:
    """The file with one of its parts changed, or left out."""
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(target, "w") as new:
        for part in old.namelist():
            was = old.read(part)
            now = content(was) if part == name else was
            if now is not None:
                new.writestr(part, now)
    return target


def written(name: str, table: list[dict[str, Any]]) -> bytes:
    out = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(table, schema=table_format.schema(name)), out)
    return bytes(out.getvalue().to_pybytes())


def rows(name: str, column: str, value: Any) -> Callable[[bytes], bytes]:
    """The last row of a table with another value."""

    def change(content: bytes) -> bytes:
        table = pq.read_table(pa.BufferReader(content)).to_pylist()
        table[-1][column] = value
        return written(name, table)

    return change


@pytest.mark.parametrize(
    ("part", "change", "told"),
    [
        ("longlag.json", lambda _: None, "no file of `longlag export`"),
        ("longlag.json", lambda _: b"{}", "format"),
        (
            "longlag.json",
            lambda b: json.dumps(json.loads(b) | {"format": 99}).encode(),
            "format 99",
        ),
        ("longlag.json", lambda b: b.replace(b'"tiny"', b'"../x"'), "'../x'"),
        ("runs.parquet", lambda b: b[: len(b) // 2], "damaged"),
        ("points.parquet", lambda b: b"PAR1", "damaged"),
        ("files.parquet", rows("files", "name", "../../evil"), "no name of a run's file"),
        ("files.parquet", rows("files", "name", ".hidden"), "no name of a run's file"),
        ("runs.parquet", rows("runs", "status", "odd"), "damaged"),
        ("runs.parquet", rows("runs", "key", None), "damaged"),
        ("journals/tiny.journal", lambda _: None, "damaged"),
        ("journals/tiny.journal", lambda _: b"no journal\n{}\n", "its journal of 'tiny'"),
    ],
)
def test_a_damaged_file_is_refused_in_a_line_and_leaves_nothing(
    file: Path, tmp_path: Path, part: str, change: Callable[[bytes], bytes | None], told: str
) -> None:
    bad = changed(file, tmp_path / "bad.longlag", part, change)
    with pytest.raises(UserError, match=told) as raised:
        arrive(StudyFile.open(bad), "tiny", tmp_path)
    assert "\n" not in str(raised.value)
    if (tmp_path / "mlruns" / "mlflow.db").exists():
        assert not Store.open(tmp_path).has("tiny")


def test_no_file_and_a_file_that_is_there(whole: Path, file: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        StudyFile.open(tmp_path / "none")
    (tmp_path / "text").write_text("text")
    with pytest.raises(UserError, match="no file of `longlag export`"):
        StudyFile.open(tmp_path / "text")
    with pytest.raises(UserError, match="is there already"):
        exported(whole, file)
    with pytest.raises(UserError, match="no study named 'tinny'"):
        export(Store.open(whole), ["tinny"], tmp_path / "x", "1", whole)
    assert not (tmp_path / "x").exists()

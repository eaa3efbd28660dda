"""The same report from a real MLflow store as from the records it was filled with."""

from pathlib import Path

import pandas as pd
import pytest
from synthetic import ARCHITECTURES, MemoryStore, make

from analysis.data.runs import read_study
from analysis.report.page import write_report
from study.tracking.run_record import Point, RunToWrite
from study.tracking.store import Store

IDS = ["run_id", "arm_run_id"]


@pytest.fixture(scope="module")
def memory() -> MemoryStore:
    return make(
        trials=2,
        confirmations=2,
        architectures={"lstm": ARCHITECTURES["lstm"]},
        tasks={"adding-50": ("adding", 50)},
    )


@pytest.fixture(scope="module")
def store(memory: MemoryStore, tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = Store.open(tmp_path_factory.mktemp("store"), create=True)
    experiment = store.experiment("synthetic", {"longlag.study": "synthetic"})
    written: dict[str | None, str] = {}
    for run in memory.record.runs:
        curves = [p for p in memory.points if p.run_id == run.run_id]
        in_curves = {p.key for p in curves}
        points = [Point(p.key, p.value, p.step, 1) for p in curves]
        points += [Point(k, v, 0, 1) for k, v in run.metrics.items() if k not in in_curves]
        text = memory.texts.get((run.run_id, "space.json"))
        written[run.run_id] = store.write(
            experiment,
            RunToWrite(
                key=run.tags.get("trial_key", run.name),
                name=run.name,
                status="FINISHED",
                start_ms=run.start_ms,
                end_ms=1000,
                parent_id=written.get(run.parent_id),
                tags={k: v for k, v in run.tags.items() if k != "mlflow.parentRunId"},
                params=run.params,
                points=points,
                files={"space.json": text.encode()} if text else {},
            ),
        )
    return store


def test_tables_are_the_same(memory: MemoryStore, store: Store) -> None:
    expected, found = read_study(memory, "synthetic"), read_study(store, "synthetic")
    assert found.space == expected.space
    assert found.tasks == expected.tasks
    for name in ("arms", "trials", "confirmations", "curves", "flows"):
        one, other = (
            frame.drop(columns=IDS, errors="ignore")
            .sort_values(list(frame.drop(columns=IDS, errors="ignore")))
            .reset_index(drop=True)
            for frame in (getattr(expected, name), getattr(found, name))
        )
        pd.testing.assert_frame_equal(one, other)


def test_report_names_the_runs_of_the_store(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("analysis.report.page.in_order", list)  # its figures are tested elsewhere
    page = write_report(store, "synthetic", tmp_path).read_text(encoding="utf-8")
    runs = store.study("synthetic").runs
    assert all(run.run_id in page for run in runs if run.tags["role"] in ("arm", "confirmation"))

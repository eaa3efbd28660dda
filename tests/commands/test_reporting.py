"""`longlag report --watch`: anew while the study is swept, and no longer."""

from pathlib import Path

import pytest

import study.commands.reporting
from study.tracking.run_record import RunToWrite
from study.tracking.store import Store


def test_it_is_written_anew_until_the_sweep_ends(
    longlag, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    store = Store.open(tmp_path, create=True)
    experiment = store.experiment("s", {"longlag.study": "s"})
    tags = {"role": "arm", "study": "s", "arm": "lstm"}
    arm = RunToWrite("s/lstm", "lstm", "RUNNING", 0, 0, tags=tags)
    arm.files["space.json"] = b'{"name": "s"}'
    run = store.write(experiment, arm)
    waited: list[float] = []
    pages: list[str] = []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        pages.append(Path("reports/s/index.html").read_text(encoding="utf-8"))
        if len(waited) == 2:
            store.finish(run, "FINISHED")

    monkeypatch.setattr(study.commands.reporting.time, "sleep", sleep)
    code, out, _ = longlag("report", "s", "--watch")
    assert code == 0
    assert out.count("report: ") == 3
    assert len(waited) == 2
    assert all('http-equiv="refresh"' in page for page in pages)
    assert 'http-equiv="refresh"' not in Path("reports/s/index.html").read_text(encoding="utf-8")


def test_a_file_is_not_watched(longlag, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x").write_text("")
    code, out, err = longlag("report", "s", "--from", "x", "--watch")
    assert (code, out) == (2, "")
    assert err.count("\n") == 1

"""`longlag export`, `import` and `results`, as they are typed."""

import io
from pathlib import Path

import pandas as pd
import pytest

TINY = """
[study]
name = "tiny"
trials = 1
reruns = 0
confirmations = 1

[fixed]
train.probes = "gradient_flow"
task.length = 5
model.hidden = 4
train.batch = 4
train.steps = 4
train.evaluate_every = 2
"""


@pytest.fixture
def swept(longlag, forked: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / "tiny.toml").write_text(TINY)
    assert longlag("sweep", "tiny.toml", "--workers", "1")[0] == 0
    return tmp_path


def test_there_and_back(longlag, swept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code, out, err = longlag("export", "tiny", "tiny.longlag")
    assert (code, err) == (0, "")
    assert "longlag import tiny.longlag" in out
    code, out, _ = longlag("results", "tiny", "--from", "tiny.longlag")
    table = pd.read_csv(io.StringIO(out))
    assert sorted(table["role"]) == ["confirmation", "trial"]
    assert longlag("results", "tiny", "--out", "tiny.parquet")[0] == 0
    assert len(pd.read_parquet("tiny.parquet")) == 2
    (swept / "b").mkdir()
    monkeypatch.chdir(swept / "b")
    code, out, err = longlag("import", "../tiny.longlag", "--as", "other")
    assert (code, err) == (0, "")
    assert "other: 2 runs imported" in out
    assert "longlag report other" in out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("export", "tiny"), "name a study and a file"),
        (("import", "none.longlag"), "no such file"),
        (("results", "tiny", "--out", "a.xls"), "--out must end in .csv or .parquet"),
        (("report", "tiny", "--from", "none.longlag"), "no such file"),
        (("claims", "--from", "none.longlag"), "no such file"),
    ],
)
def test_a_mistake_is_told_in_a_line(
    longlag, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = longlag(*arguments)
    assert (code, out) == (2, "")
    assert told in err
    assert err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_two_studies_side_by_side(longlag, swept: Path) -> None:
    assert longlag("export", "tiny", "tiny.longlag")[0] == 0
    assert longlag("import", "tiny.longlag", "--as", "other")[0] == 0
    code, out, err = longlag("compare", "tiny", "other", "--out", "page")
    assert (code, err) == (0, "")
    assert "tiny · lstm" in out
    page = Path("page/index.html").read_text(encoding="utf-8")
    assert "longlag sweep tiny\nlonglag sweep other\nlonglag compare tiny other --out page" in page
    code, out, err = longlag("compare", "tiny/lstmm")
    assert (code, out) == (2, "")
    assert "did you mean 'lstm'" in err
    assert longlag("compare", "tiny/lstm")[0] == 0

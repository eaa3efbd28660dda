"""`longlag claims`, in a folder where nothing has been swept and on a study's runs."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def test_where_nothing_was_swept_the_claims_can_be_read(longlag) -> None:
    code, out, err = longlag("claims")
    assert (code, err) == (0, "")
    assert "29 not tested" in out
    assert not list(Path().iterdir())


def test_a_claim_tells_what_would_decide_it(longlag) -> None:
    code, out, _ = longlag("claims", "8")
    assert code == 0
    for word in ("supported if", "contradicted if", "To be swept: claim-irnn"):
        assert word in out


def test_a_page_has_every_claim(longlag) -> None:
    code, out, _ = longlag("claims", "--out", "page")
    assert code == 0
    assert "page: page/findings.md" in out
    text = Path("page/findings.md").read_text(encoding="utf-8")
    assert text.count("\n- **") == 29


def test_what_is_no_claim_is_told_in_one_line(longlag) -> None:
    code, out, err = longlag("claims", "irn")
    assert (code, out) == (2, "")
    assert "'irn'" in err
    assert err.count("\n") == 1
    code, out, err = longlag("claims", "--out", ".")
    assert (code, out) == (2, "")
    assert "--out" in err
    assert not list(Path().iterdir())

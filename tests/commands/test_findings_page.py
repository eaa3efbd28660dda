"""The committed page of findings is what the committed runs say."""

from pathlib import Path

from analysis.claims import CLAIMS
from study.commands.findings_page import BESIDE, write

DOCS = Path("docs").resolve()


def test_the_page_is_current(tmp_path: Path) -> None:
    """After a change of a claim, of the statistics or of the runs: make docs."""
    page = write(DOCS, tmp_path)
    assert page.read_text(encoding="utf-8") == (DOCS / "findings.md").read_text(encoding="utf-8")
    made = {file.name for file in (tmp_path / BESIDE).glob("*.png")}
    assert made == {file.name for file in (DOCS / BESIDE).glob("*.png")}


def test_the_opening_names_claims_by_their_numbers() -> None:
    text = (DOCS / BESIDE / "opening.md").read_text(encoding="utf-8")
    assert f"{len(CLAIMS)} claims" in text

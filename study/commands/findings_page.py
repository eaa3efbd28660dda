"""The page of findings, from the runs that are kept in docs/findings.

``make docs`` writes it to docs/findings.md, with its figures beside the runs; a test keeps it current.
"""

from pathlib import Path

from analysis.claims import in_order
from analysis.data.runs import Results, read_study
from analysis.report.claims_page import write_page
from study.travel.study_file import StudyFile

DOCS = Path("docs")
BESIDE = "findings"


def write(docs: Path, into: Path) -> Path:
    """The page of ``docs``/findings, in ``into``; returns its path."""
    file = StudyFile.open(docs / BESIDE / "runs.longlag")
    studies: dict[str, Results] = {name: read_study(file, name) for name in file.studies()}
    opening = (docs / BESIDE / "opening.md").read_text(encoding="utf-8")
    return write_page(into, in_order(), studies, opening, BESIDE)


if __name__ == "__main__":
    print(f"page: {write(DOCS, DOCS)}")

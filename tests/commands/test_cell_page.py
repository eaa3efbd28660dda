"""docs/cells.md is the page made from the catalogue, and its mathematics is typeset."""

import re
from pathlib import Path

from cases import each
from matplotlib.mathtext import MathTextParser

from study.cells import CELLS
from study.commands.cell_page import page

FILE = Path(__file__).resolve().parents[2] / "docs" / "cells.md"


def test_the_file_is_current():
    assert FILE.read_text(encoding="utf-8") == page(), "make docs"


def test_every_cell_has_a_section_and_a_row_that_leads_to_it():
    text = page()
    for name, cell in CELLS.items():
        assert f"\n## {name}\n" in text
        assert f"| [`{name}`](#{name}) |" in text
        assert cell.source in text


@each("name", CELLS)
def test_the_equations_can_be_typeset(name):
    parser = MathTextParser("path")
    for line in CELLS[name].latex():
        # matplotlib lacks some of what browsers have
        plain = re.sub(r"\\text{[^}]*}", "", line).replace(r"\top", "T")
        parser.parse(f"${plain}$")

"""Networks side by side, for the terminal."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table

from analysis.findings.overview import Overview


def table(found: Overview, beside: Sequence[str]) -> RenderableType:
    """The verdict, and a row a network."""
    lines = Table(box=None, pad_edge=False, header_style="bold")
    lines.add_column("network")
    for task in found.tasks:
        lines.add_column(task)
    for name, cells in found.cells.items():
        lines.add_row(
            name, *(f"{cell.text} {cell.interval}".strip() if cell else "" for cell in cells)
        )
    ending = "Confirmation runs that solved the task, with the 95 % interval of the rate."
    return Group(*found.verdict, *beside, "", lines, "", ending)

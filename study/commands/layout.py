"""The two kinds of table that pages and lists are made of."""

from rich.table import Table


def headed_table(*columns: str) -> Table:
    """With these headings; the first column is not broken."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for index, column in enumerate(columns):
        table.add_column(column, no_wrap=index == 0)
    return table


def fact_table() -> Table:
    """Of two columns without headings: what is told, and what it is."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    return table

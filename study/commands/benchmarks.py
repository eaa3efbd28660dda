"""The command that measures what cells and probes cost."""

from pathlib import Path
from typing import Annotated

import typer

from study.base.errors import UserError, unknown
from study.commands.app import app


@app.command()
def bench(
    what: Annotated[str, typer.Argument(help="cells or probes.")],
    names: Annotated[
        list[str] | None, typer.Argument(help="Which of them; by default all.")
    ] = None,
    repeats: Annotated[
        int | None,
        typer.Option(help="Timings of each; by default 7, of a probe 3.", min=1, max=1000),
    ] = None,
    size: Annotated[
        list[str] | None,
        typer.Option(
            help="Of cells: BATCH,STEPS,HIDDEN,INPUTS; again for more; by default five sizes."
        ),
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the rows to this file.")
    ] = None,
) -> int:
    """Time the native engine against torch's own cells, or the probes against training."""
    if what not in ("cells", "probes"):
        raise unknown("benchmark", what, ["cells", "probes"])
    from rich.console import Console

    if what == "probes":
        if size:
            raise UserError("--size is of cells; probes are timed on the networks of quickstart")
        return _bench_probes(names or None, repeats or 3, json_file)
    from study.commands.bench import SIZES, bench_cells, print_table, read_size

    sizes = [read_size(text) for text in size or ()] or SIZES
    with Console(stderr=True).status("compiling and timing …") as status:
        rows = bench_cells(
            names or None,
            sizes,
            repeats or 7,
            json_file,
            told=lambda row: status.update(f"{row['cell']} measured; the table comes at the end"),
        )
    print_table(rows)
    return 0


def _bench_probes(names: list[str] | None, repeats: int, json_file: Path | None) -> int:
    from rich.console import Console

    from study.commands.bench_probes import bench_probes, print_costs
    from study.spaces import file as space_file
    from study.spaces import index as space_index

    space = space_file.load(space_index.find("quickstart"))
    with Console(stderr=True).status("training and timing …") as status:
        rows = bench_probes(
            space,
            names,
            repeats,
            json_file,
            told=lambda arm: status.update(f"{arm}; the table comes at the end"),
        )
    print_costs(rows, space.name)
    return 0

"""Where a command reads a study: this folder's store, or a file of `longlag export`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from study.tracking.store import Store
    from study.travel.study_file import StudyFile

From = Annotated[
    Path | None, typer.Option("--from", help="A file of `longlag export`, in place of a store.")
]


def source_of(file: Path | None) -> "Store | StudyFile":
    """Raises UserError when it cannot be opened."""
    if file is not None:
        from study.travel.study_file import StudyFile

        return StudyFile.open(file)
    from study.tracking.store import Store

    return Store.open()

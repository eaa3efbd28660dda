"""The program that the commands belong to, and how it warns."""

import sys
from typing import Annotated

import typer

app = typer.Typer(
    name="longlag",
    help="Which recurrent network carries information and gradient across long time lags.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _version(asked: bool) -> None:
    if asked:
        import study

        print(f"longlag {study.__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Which recurrent network carries information and gradient across long time lags."""


def warn(warnings: list[str]) -> None:
    for warning in warnings:
        print(f"longlag: {warning}", file=sys.stderr)

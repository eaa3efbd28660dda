"""The report's figures, one file each; a new file here adds a figure to the report.

A figure is a function from `Results` to `Drawing`, registered with its place and title::

    @figure("outcomes", "How the trials ended", order=70)
    def outcomes(results: Results) -> Drawing: ...

It raises `Missing`, with the reason in words, when the study has not what it shows. The report
prints the reason in its place. Figures with a ``chapter`` stand together under its heading.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from matplotlib.figure import Figure

from analysis.data.runs import Results
from study.base.registry import Registry, load_modules


class Missing(Exception):
    """Why a figure cannot be drawn from this study; one sentence."""


@dataclass(frozen=True)
class Drawing:
    """A picture, how to read it, and which metrics of which runs it shows."""

    figure: Figure
    caption: str
    metrics: tuple[str, ...]
    run_ids: tuple[str, ...]

    def __init__(
        self, figure: Figure, caption: str, metrics: Iterable[str], run_ids: Iterable[str]
    ) -> None:
        object.__setattr__(self, "figure", figure)
        object.__setattr__(self, "caption", " ".join(caption.split()))
        object.__setattr__(self, "metrics", tuple(metrics))
        object.__setattr__(self, "run_ids", tuple(dict.fromkeys(run_ids)))


Draw = Callable[[Results], Drawing]


@dataclass(frozen=True)
class FigureEntry:
    name: str  # of its files
    title: str
    order: int
    draw: Draw
    chapter: str = ""


# Those of no chapter come first. What each chapter is about, in one sentence.
CHAPTERS: Mapping[str, str] = {
    "": "",
    "Gradient flow": (
        "A network learns across a lag only if the gradient comes back across it: here is how much of it "
        "does, before training and after, and what the network's dynamics have to do with that."
    ),
}


FIGURES: Registry[FigureEntry] = Registry("figure")


def figure(name: str, title: str, *, order: int, chapter: str = "") -> Callable[[Draw], Draw]:
    """Raises ValueError for a chapter that there is not."""
    if chapter not in CHAPTERS:
        raise ValueError(f"no chapter {chapter!r}; known: {', '.join(filter(None, CHAPTERS))}")

    def register(draw: Draw) -> Draw:
        FIGURES.add(name, FigureEntry(name, title, order, draw, chapter))
        return draw

    return register


def in_order() -> list[FigureEntry]:
    """Chapter by chapter."""
    chapters = list(CHAPTERS)
    entries = (entry for _, entry in FIGURES.items())
    return sorted(entries, key=lambda e: (chapters.index(e.chapter), e.order, e.name))


load_modules(__name__)

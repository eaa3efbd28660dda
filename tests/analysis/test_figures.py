"""Every registered figure on every kind of study: it draws legibly or says why not."""

from dataclasses import replace

import pytest
from matplotlib import pyplot
from matplotlib.text import Text
from synthetic import ARCHITECTURES, Kind, MemoryStore, make

from analysis import style
from analysis.figures import FIGURES, Drawing, Missing
from analysis.runs import Results, read_study

TWO = {name: ARCHITECTURES[name] for name in ("tanh", "lstm")}
ONE = {"lstm": ARCHITECTURES["lstm"]}
ADDING = {"adding-50": ("adding", 50)}
STUDIES = {
    "whole": lambda: make(trials=10, architectures=TWO),
    "lengths": lambda: make(
        trials=4, tasks={f"adding-{T}": ("adding", T) for T in (50, 100, 200)}, confirmations=5
    ),
    "unconfirmed": lambda: make(trials=3, architectures=TWO).without(role="confirmation"),
    "untried": lambda: (
        make(trials=3, architectures=TWO).without(role="confirmation").without(role="trial")
    ),
    "one trial": lambda: make(trials=1, confirmations=0, architectures=ONE, tasks=ADDING),
    "all diverged": lambda: make(
        trials=4, architectures={"wild": Kind(0, 0.2, diverges=9)}, tasks=ADDING
    ),
    "many": lambda: make(
        trials=2,
        confirmations=1,
        tasks=ADDING,
        architectures={
            f"{cell} · {clip}": kind
            for cell, kind in ARCHITECTURES.items()
            for clip in ("norm", "value", "none", "$\\frac{x$")
        },
    ),
    "without curves": lambda: replace(make(trials=3, architectures=TWO), points=[]),
    "no space": lambda: replace(make(trials=3, architectures=TWO), texts={}),
    "no arms": lambda: make(architectures={}),
    "tpe": lambda: make(trials=10, sampler="tpe", architectures=ONE, tasks=ADDING),
}


@pytest.fixture(scope="module")
def studies() -> dict[str, tuple[MemoryStore, Results]]:
    stores = {name: build() for name, build in STUDIES.items()}
    return {name: (store, read_study(store, "synthetic")) for name, store in stores.items()}


def draw(figure: str, results: Results) -> Drawing | Missing:
    try:
        with style.page():
            drawing = FIGURES[figure].draw(results)
            drawing.figure.canvas.draw()
            return drawing
    except Missing as reason:
        return reason


@pytest.mark.parametrize("study", STUDIES)
@pytest.mark.parametrize("figure", FIGURES)
def test_draws_or_says_why_not(
    studies: dict[str, tuple[MemoryStore, Results]], study: str, figure: str
) -> None:
    store, results = studies[study]
    drawn = draw(figure, results)
    if isinstance(drawn, Missing):
        assert len(str(drawn)) > 20
        return
    assert drawn.figure.get_size_inches()[0] == style.WIDTH
    assert drawn.metrics
    assert len(drawn.caption) > 100
    shown = {text for text in drawn.figure.findobj(Text) if text.get_text() and text.get_visible()}
    assert min(text.get_fontsize() for text in shown) >= 9
    assert drawn.run_ids
    assert set(drawn.run_ids) <= {run.run_id for run in store.record.runs}
    assert not pyplot.get_fignums()


@pytest.mark.parametrize("figure", FIGURES)
def test_the_whole_study_has_every_figure(
    studies: dict[str, tuple[MemoryStore, Results]], figure: str
) -> None:
    study = "lengths" if figure == "performance_against_length" else "whole"
    assert isinstance(draw(figure, studies[study][1]), Drawing)


def test_metrics_named_as_sources_are_those_of_the_runs(
    studies: dict[str, tuple[MemoryStore, Results]],
) -> None:
    store, results = studies["whole"]
    recorded = {(point.run_id, point.key) for point in store.points}
    recorded |= {(run.run_id, key) for run in store.record.runs for key in run.metrics}
    for name in FIGURES:
        drawn = draw(name, results)
        if isinstance(drawn, Missing):
            continue
        for metric in drawn.metrics:
            if metric.startswith(("tag ", "parameter ")):
                continue
            assert any((run_id, metric) in recorded for run_id in drawn.run_ids), (name, metric)


def test_architectures_differ_in_colour_and_in_grey() -> None:
    looks = style.looks([f"a{i}" for i in range(8)])
    assert len({look.color for look in looks.values()}) == 8
    assert len({look.marker for look in looks.values()}) == 8
    crossed = style.looks(["lstm · norm", "lstm · none", "gru · norm"])
    assert crossed["lstm · norm"].color == crossed["lstm · none"].color
    assert crossed["lstm · norm"].dashes == crossed["gru · norm"].dashes
    assert crossed["lstm · norm"].dashes != crossed["lstm · none"].dashes


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.01, "0.01"), (20, "20"), (1e-12, "10⁻¹²"), (5e-7, "5·10⁻⁷"), (1e6, "10⁶")],
)
def test_ticks_of_logarithmic_axes(value: float, text: str) -> None:
    assert style.power(value) == text

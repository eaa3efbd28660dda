"""Every registered figure on every kind of study: it draws legibly or says why not."""

import json
import statistics
from dataclasses import replace

import numpy as np
import pytest
from legibility import assert_inside, draw, overlapping
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from probe_texts import with_probes
from synthetic import ARCHITECTURES, Kind, MemoryStore, make

from analysis.data.runs import Results, read_study
from analysis.figures import FIGURES, Drawing, Missing, style
from analysis.figures.search import _range

TWO = {name: ARCHITECTURES[name] for name in ("tanh", "lstm")}
ONE = {"lstm": ARCHITECTURES["lstm"]}
ADDING = {"adding-50": ("adding", 50)}


def searched_in_some_arms(trials: int = 4) -> MemoryStore:
    # The middle one of three is drawn where its values are, which a layout measures; none diverged.
    three = {name: ARCHITECTURES[name] for name in ("tanh", "lstm", "gru")}
    store = make(trials=trials, architectures=three)
    for run in store.record.runs:
        if run.tags["axis.architecture"] == "tanh":
            run.params["clip.threshold"] = "none"
    return store


def looking() -> MemoryStore:
    """LSTMs with attention, of which one task says where it should lie."""
    store = make(trials=3, architectures=TWO)
    for place, run in enumerate(store.record.runs):
        if run.parent_id and run.tags["axis.architecture"] == "lstm":
            run.metrics["attention/peak"] = 0.5 + 0.01 * place
            if run.tags["axis.task"] == "digits":
                run.metrics["attention/distance"] = 1 + 0.1 * place
    return store


STUDIES = {
    "whole": lambda: with_probes(make(trials=10, architectures=TWO)),
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
    "searched in some arms": searched_in_some_arms,
    "looking": looking,
    "no arms": lambda: make(architectures={}),
    "even": lambda: make(trials=5, sampler="sobol", architectures=TWO, tasks=ADDING),
    "tpe": lambda: make(trials=10, sampler="tpe", architectures=ONE, tasks=ADDING),
}


@pytest.fixture(scope="module")
def studies() -> dict[str, tuple[MemoryStore, Results]]:
    stores = {name: build() for name, build in STUDIES.items()}
    return {name: (store, read_study(store, "synthetic")) for name, store in stores.items()}


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
    assert overlapping(drawn.figure) == []
    assert_inside(drawn.figure)
    assert drawn.run_ids
    assert set(drawn.run_ids) <= {run.run_id for run in store.record.runs}
    assert not pyplot.get_fignums()


def test_the_expected_best_says_what_its_trials_allow() -> None:
    captions = {}
    for sampler in ("random", "sobol"):
        drawn = draw("expected_best", read_study(make(trials=6, sampler=sampler), "synthetic"))
        assert isinstance(drawn, Drawing)
        captions[sampler] = drawn.caption
    assert "without bias" in captions["random"]
    assert "without bias" not in captions["sobol"]
    assert "not drawn independently" in captions["sobol"]
    for changes in ({"sampler": "tpe"}, {"sampler": "grid"}, {"pruner": "beaten"}):
        results = read_study(make(trials=6, **changes), "synthetic")
        assert isinstance(draw("expected_best", results), Missing)


def test_a_failed_trial_counts_as_one_that_found_nothing() -> None:
    store = make(trials=4, architectures=ONE, tasks=ADDING, sampler="random")
    trials = [run for run in store.record.runs if run.tags["role"] == "trial"]
    for run, (outcome, score) in zip(
        trials,
        [("failed", None), ("diverged", 10.0), ("solved", -0.5), ("budget", 0.5)],
        strict=True,
    ):
        run.tags["outcome"] = outcome
        run.metrics.pop("score")
        if score is not None:
            run.metrics["score"] = score
    drawn = draw("expected_best", read_study(store, "synthetic"))
    assert isinstance(drawn, Drawing)
    first, second = drawn.figure.axes[0].lines[:2]
    values = {int(x): y for line in (first, second) for x, y in line.get_xydata().tolist()}
    # By hand: 2, 2, -.5 and .5; six pairs, four triples.
    expected = {1: 1.0, 2: (3 * -0.5 + 2 * 0.5 + 2) / 6, 3: (3 * -0.5 + 0.5) / 4, 4: -0.5}
    assert values == pytest.approx(expected)
    assert (first.get_alpha(), second.get_alpha()) == (1.0, 0.4)
    assert len(drawn.run_ids) == 4


def test_a_hyperparameter_that_an_arm_lacks_is_not_drawn_as_one_without_importance() -> None:
    results = read_study(searched_in_some_arms(trials=10), "synthetic")
    drawn = draw("importance", results)
    assert isinstance(drawn, Drawing)
    for panel in drawn.figure.axes:
        shown = {tuple(text.get_position()): text.get_text() for text in panel.texts}
        names = [label.get_text() for label in panel.get_xticklabels()]
        rows = [label.get_text().split()[0] for label in panel.get_yticklabels()]
        for (column, row), text in shown.items():
            lacking = (names[int(column)], rows[int(row)]) == ("clip.threshold", "tanh")
            assert (text == "–") == lacking
            assert text == "–" or "%" in text
        assert len(shown) == len(names) * len(rows)
    assert "no such hyperparameter" in drawn.caption


def test_the_thick_line_of_a_gradient_is_the_output_whatever_it_is_called() -> None:
    """Of a cell that puts out c, h is a state beside it."""
    store = make(trials=2, architectures=ONE, tasks=ADDING)
    by_name = {}
    for output in ("h", "c"):
        for run in store.record.runs:
            run.tags["cell.output"] = output
        drawn = draw("gradient_against_lag", read_study(store, "synthetic"))
        assert isinstance(drawn, Drawing)
        lines = [line for line in drawn.figure.axes[1].lines if len(line.get_xdata()) > 2]
        by_name[output] = {line.get_linewidth(): line.get_ydata()[-1] for line in lines}
        assert set(by_name[output]) == {2.0, 0.9}
        other = {"h": "c", "c": "h"}[output]
        [legend] = drawn.figure.legends
        told = [text.get_text() for text in legend.get_texts()]
        assert told == [f"thick: {output}, the output", f"thin: {other}"]
        assert f"‖∂L/∂{output}‖" in drawn.caption
    assert by_name["h"][2.0] == by_name["c"][0.9] != by_name["h"][0.9]


def test_the_output_is_that_of_the_run_where_cells_are_searched_within_an_arm() -> None:
    store = make(trials=2, architectures=ONE, tasks=ADDING)
    for run in store.record.runs:
        run.tags["cell.output"] = "h" if run.tags["role"] == "arm" else "c"
    drawn = draw("gradient_against_lag", read_study(store, "synthetic"))
    assert isinstance(drawn, Drawing)
    assert "‖∂L/∂c‖" in drawn.caption
    assert "‖∂L/∂h‖" not in drawn.caption


def test_runs_that_do_not_say_their_output_are_drawn_without_it() -> None:
    kinds = {"lem": Kind(0.9, -0.1, states=("y", "z"))}
    drawn = draw(
        "gradient_against_lag", read_study(make(architectures=kinds, trials=2), "synthetic")
    )
    assert isinstance(drawn, Drawing)
    [legend] = drawn.figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["thin: y, z"]
    assert "with respect to a cell's states so many steps" in " ".join(drawn.caption.split())


CROWDED = {
    "the last value repeated": 0.1163,
    "the value a season before": 0.116,
    "what a model with a window of 3": 0.115,
    "one of the two values known": 0.112,
    "chance": 1.6,
    "solved below": 0.0931,
}


@pytest.mark.parametrize("scale", ["log", "linear"])
@pytest.mark.parametrize("count", [1, 2, 4])
@pytest.mark.parametrize("few", [True, False])
def test_labels_of_levels_that_nearly_meet_do_not_overlap(
    scale: str, count: int, few: bool
) -> None:
    marks = {k: CROWDED[k] for k in list(CROWDED)[: 2 if few else None]}
    with style.page():
        figure, panels = style.panels(count)
        for axes in panels:
            axes.set_yscale(scale)
            axes.plot([0.1, 4.0])
            style.levels(axes, marks)
            if scale == "log":
                style.logarithmic(axes.yaxis)
        figure.draw_without_rendering()
        for axes in panels:
            assert len(axes.texts) == len(marks)
            heights = [Text.get_window_extent(text).y0 for text in axes.texts]
            by_value = [heights[i] for i in np.argsort(list(marks.values()))]
            assert by_value == sorted(by_value)
            for text in axes.texts:
                assert Text.get_window_extent(text).x0 >= axes.get_window_extent().x1
        assert overlapping(figure) == []
        assert_inside(figure)


def test_a_level_alone_has_its_label_at_its_height() -> None:
    with style.page():
        figure, (axes,) = style.panels(1)
        axes.plot([0, 4])
        style.levels(axes, {"chance": 2.0})
        figure.draw_without_rendering()
        box, line = Text.get_window_extent(axes.texts[0]), axes.transData.transform((0, 2.0))[1]
        assert (box.y0 + box.y1) / 2 == pytest.approx(line, abs=1)


def test_a_level_s_label_does_not_run_into_its_number() -> None:
    with style.page():
        _, (axes,) = style.panels(1)
        style.levels(axes, {"window 3": 0.25, "solved below": 0.01, "chance =": 1.0})
    assert [t.get_text() for t in axes.texts] == [
        "window 3: 0.25",
        "solved below 0.01",
        "chance = 1",
    ]


@pytest.mark.parametrize("which", ["x", "y"])
@pytest.mark.parametrize("letters", [5, 40, 120, 400])
@pytest.mark.parametrize("count", [1, 2, 6])
def test_a_label_of_an_axis_of_any_length_is_inside(which: str, letters: int, count: int) -> None:
    told = ("squared " * 60)[:letters].strip()
    with style.page():
        figure, panels = style.panels(count)
        for axes in panels:
            (axes.set_xlabel if which == "x" else axes.set_ylabel)(told)
        figure.draw_without_rendering()
        for axes in panels:
            label = axes.xaxis.label if which == "x" else axes.yaxis.label
            assert " ".join(label.get_text().split()) == told
        assert overlapping(figure) == []
        assert_inside(figure)


@pytest.mark.parametrize("figure", FIGURES)
def test_long_names_of_everything_leave_nothing_cut_off(figure: str) -> None:
    results = read_study(make(trials=10, architectures=TWO), "synthetic")
    tasks = {
        key: replace(
            task,
            loss="mean squared error over the variance in training of every column",
            plateaus={k: v * task.chance_loss / 1.6 for k, v in list(CROWDED.items())[:4]},
        )
        for key, task in results.tasks.items()
        if task.chance_loss is not None
    }
    drawn = draw(figure, replace(results, tasks=tasks))
    if isinstance(drawn, Missing):
        return
    assert overlapping(drawn.figure) == []
    assert_inside(drawn.figure)


def test_a_criterion_meant_never_to_be_met_leaves_curves_their_height(
    studies: dict[str, tuple[MemoryStore, Results]],
) -> None:
    results = studies["whole"][1]

    def decades(solved_loss: float) -> float:
        tasks = {k: replace(t, solved_loss=solved_loss) for k, t in results.tasks.items()}
        drawn = draw("learning_curves", replace(results, tasks=tasks))
        assert isinstance(drawn, Drawing)
        panel = drawn.figure.axes[0]
        assert panel.get_ylabel() == "validation loss,\nmean squared error"
        return float(np.diff(np.log10(panel.get_ylim()))[0])

    assert decades(1e-9) < decades(1e-4) < 5


@pytest.mark.parametrize("figure", FIGURES)
def test_the_whole_study_has_every_figure(
    studies: dict[str, tuple[MemoryStore, Results]], figure: str
) -> None:
    needs = {"performance_against_length": "lengths", "attention": "looking"}
    study = needs.get(figure, "whole")
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
            if metric.startswith("file "):
                path = metric.removeprefix("file ")
                assert any((run_id, path) in store.texts for run_id in drawn.run_ids), name
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


def reason(figure: str, store: MemoryStore) -> str:
    found = draw(figure, read_study(store, "synthetic"))
    assert isinstance(found, Missing)
    return str(found)


def drawing(figure: str, store: MemoryStore) -> Drawing:
    found = draw(figure, read_study(store, "synthetic"))
    assert isinstance(found, Drawing)
    return found


def texts(drawn: Drawing) -> list[str]:
    return [text.get_text() for text in drawn.figure.findobj(Text)]


def rows_of(panel: Axes) -> list[str]:
    return [label.get_text() for label in panel.get_yticklabels()]


def test_starts_that_do_not_differ_are_said_in_words() -> None:
    same = dict.fromkeys(("norm", "value"), ARCHITECTURES["tanh"])
    said = reason("at_the_start", make(trials=2, architectures=same, tasks=ADDING))
    assert "start alike" in said
    runs = read_study(make(trials=2, architectures=same, tasks=ADDING), "synthetic")
    shown = [*runs.confirmations["gradient_bound_init"]]
    shown += [*runs.trials.loc[runs.trials["chosen"], "gradient_bound_init"]]
    assert f"γσ {statistics.median(shown):.3g}" in said
    assert "one architecture" in reason(
        "at_the_start", make(trials=2, architectures=ONE, tasks=ADDING)
    )


def test_only_panels_with_data_are_drawn() -> None:
    """Simple networks have no timescale, and of gates alone no bound is claimed."""
    simple = {"a": Kind(0, -0.5, bounded=True, sigma=0.5), "b": Kind(0, -0.5, sigma=2.0)}
    drawn = drawing("at_the_start", make(trials=1, architectures=simple, tasks=ADDING))
    assert len(drawn.figure.axes) == 2
    assert any("must vanish" in text for text in texts(drawn))
    gated = {"a": Kind(0, -0.5, timescale=3.0), "b": Kind(0, -0.5, timescale=30.0)}
    drawn = drawing("at_the_start", make(trials=1, architectures=gated, tasks=ADDING))
    assert len(drawn.figure.axes) == 3
    assert not any("must vanish" in text for text in texts(drawn))
    assert "length 50" in texts(drawn)


def test_medians_of_the_start_stand_where_the_runs_say() -> None:
    store = make(trials=2, architectures=TWO, tasks=ADDING)
    results = read_study(store, "synthetic")
    panel = drawing("at_the_start", store).figure.axes[0]
    assert rows_of(panel) == list(TWO)
    chosen = {row.run_id for row in results.trials.itertuples() if row.chosen}
    for row, name in enumerate(TWO):
        values = [
            run.metrics["init/largest_singular_value"]
            for run in store.record.runs
            if run.tags.get("axis.architecture") == name
            and (run.tags["role"] == "confirmation" or run.run_id in chosen)
        ]
        bars = [
            line.get_xdata()[0]  # type: ignore[index]
            for line in panel.lines
            if line.get_color() == style.INK and round(float(np.mean(line.get_ydata()))) == row
        ]
        assert len(values) == 4
        assert any(bar == pytest.approx(statistics.median(values)) for bar in bars)


def test_tasks_on_which_the_starts_differ_have_panels_of_their_own() -> None:
    alike = make(trials=1, architectures=TWO)
    assert len(drawing("at_the_start", alike).figure.axes) == 3
    runs = [
        replace(run, metrics=run.metrics | {"init/timescale_median": 20.0})
        if run.tags.get("axis.task") == "digits" and "init/timescale_median" in run.metrics
        else run
        for run in alike.record.runs
    ]
    apart = replace(alike, record=replace(alike.record, runs=runs))
    assert len(drawing("at_the_start", apart).figure.axes) == 4


def test_a_matrix_of_zeros_has_a_place() -> None:
    still = {"zero": Kind(0, -0.5, sigma=0.0, bounded=True), "one": Kind(0, -0.5, sigma=1.0)}
    drawn = drawing("at_the_start", make(trials=1, architectures=still, tasks=ADDING))
    assert "below 0.1 is drawn there" in drawn.caption


def test_the_order_by_spectral_radius_is_compared_with_the_measured_one() -> None:
    """Only of five architectures or more; here the two orders are the same."""
    kinds = {f"a{i}": Kind(0, -1 / i, sigma=i, bounded=True) for i in range(1, 7)}
    drawn = drawing("at_the_start", make(trials=1, architectures=kinds, tasks=ADDING))
    assert "rank correlation of 1.00" in drawn.caption
    few = {name: kinds[name] for name in ("a1", "a2", "a3")}
    drawn = drawing("at_the_start", make(trials=1, architectures=few, tasks=ADDING))
    assert "rank correlation" not in drawn.caption


def _with_space(store: MemoryStore, **changes: object) -> MemoryStore:
    changed = {key: json.dumps(json.loads(text) | changes) for key, text in store.texts.items()}
    return replace(store, texts=changed)


def test_clipping_is_shown_where_it_varies_and_acted() -> None:
    store = make(trials=2, architectures=TWO, tasks=ADDING)
    assert "neither compared nor searched" in reason("clipping", _with_space(store, search={}))
    axis = {"rule": {"norm": {"clip.name": "norm"}, "none": {"clip.name": "none"}}}
    assert drawing("clipping", _with_space(store, search={}, compare=axis))
    runs = [
        replace(run, metrics=run.metrics | {"clip_rate": 0.0}) if run.tags["role"] != "arm" else run
        for run in store.record.runs
    ]
    never = replace(store, record=replace(store.record, runs=runs))
    assert "changed no gradient" in reason("clipping", never)


def test_the_cosine_is_shown_where_a_rule_turned_the_gradient() -> None:
    turned = drawing("clipping", make(trials=2, architectures=TWO, tasks=ADDING))
    assert len(turned.figure.axes) == 3
    assert "train/grad_cosine" in turned.metrics
    straight = drawing("clipping", make(trials=2, architectures=ONE, tasks=ADDING))
    assert len(straight.figure.axes) == 2
    assert "train/grad_cosine" not in straight.metrics
    # Of 30 values from 2 down to 1 the median is 1.5; the median over runs stays there.
    bars = [
        line.get_xdata()[0]  # type: ignore[index]
        for line in straight.figure.axes[1].lines
        if line.get_color() == style.INK
    ]
    assert bars == pytest.approx([2.0, 1.5], abs=0.01)


def test_attention_is_drawn_for_those_that_look(
    studies: dict[str, tuple[MemoryStore, Results]],
) -> None:
    store, results = studies["looking"]
    drawn = draw("attention", results)
    assert isinstance(drawn, Drawing)
    looked = {run.run_id for run in store.record.runs if "attention/peak" in run.metrics}
    assert set(drawn.run_ids) <= looked
    assert drawn.metrics == ("attention/distance", "attention/peak")
    names = {t.get_text() for panel in drawn.figure.axes for t in panel.get_yticklabels()}
    assert names == {"lstm"}
    told = draw("attention", studies["whole"][1])
    assert isinstance(told, Missing)


@pytest.mark.parametrize(
    ("values", "scale"),
    [([0.0001, 0.001, 0.01], "log"), ([16, 32, 64], "linear"), ([0, 0.5, 100.0], "linear")],
)
def test_a_list_of_values_that_was_searched_fills_the_axis(values: list[float], scale: str) -> None:
    panel = Figure().subplots()
    _range(panel, {"values": values, "log": False})
    assert panel.get_xscale() == scale
    left, right = panel.get_xlim()
    assert left < values[0]
    assert values[-1] < right
    ends = panel.transData.transform([[left, 0], [values[0], 0], [values[-1], 0], [right, 0]])[:, 0]
    assert (ends[2] - ends[1]) / (ends[3] - ends[0]) > 0.8
    assert [text.get_text() for text in panel.get_xticklabels()] == [f"{v:g}" for v in values]


def test_a_search_below_one_is_drawn_on_its_own_scale() -> None:
    """Equal steps of log(1 - x), in which it was searched, are equal on the axis."""
    panel = Figure().subplots()
    _range(panel, {"low": 0.0, "high": 0.99, "log_below_one": True})
    places = panel.transData.transform([[x, 0] for x in (0.0, 0.9, 0.99)])[:, 0]
    assert places[1] - places[0] == pytest.approx(places[2] - places[1])
    left, right = panel.get_xlim()
    assert left < 0
    assert 0.99 < right < 1
    assert [text.get_text() for text in panel.get_xticklabels()] == [
        "0",
        "0.5",
        "0.9",
        "0.95",
        "0.99",
    ]


@pytest.mark.parametrize("ratio", [1.3, 2.0, 2.8, 4.0, 9.0, 30.0, 1e3, 1e9])
@pytest.mark.parametrize("which", ["xaxis", "yaxis"])
def test_every_logarithmic_axis_has_numbers(ratio: float, which: str) -> None:
    for low in np.geomspace(1e-3, 1, 40, endpoint=False):
        panel = Figure().subplots()
        axis = getattr(panel, which)
        (panel.set_xscale if which == "xaxis" else panel.set_yscale)("log")
        (panel.set_xlim if which == "xaxis" else panel.set_ylim)(low, low * ratio)
        style.logarithmic(axis)
        shown = [t for t in axis.get_majorticklocs() if low <= t <= low * ratio]
        assert 2 <= len(shown) <= 9, (low, ratio, shown)

"""The chapter on gradient flow, by the data in its axes: what the probes' files say, and nothing else."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from legibility import assert_inside, draw, overlapping
from matplotlib.axes import Axes
from probe_texts import FINAL, LENGTH, UPDATES, with_probes
from synthetic import ARCHITECTURES, Kind, MemoryStore, make

from analysis.data.runs import Results, read_study
from analysis.figures import CHAPTERS, Drawing, Missing, figure, in_order
from analysis.figures.half_life_matrix import _number
from analysis.figures.small_multiples import MOST

CHAPTER = [entry.name for entry in in_order() if entry.chapter == "Gradient flow"]
FROM_FILES = {
    "gradient_over_training": "state_gradients",
    "singular_values": "jacobians",
    "lyapunov_spectra": "lyapunov",
    "slow_points": "fixed_points",
    "gate_timescales": "gates",
    "memory_and_gradient": "memory",
    "weight_gradient": "parameter_gradients",
    "credit_windows": "credit_assignment",
}
ADDING = {"adding-50": ("adding", LENGTH)}
TWO = {name: ARCHITECTURES[name] for name in ("tanh", "lstm")}
ONE = {"lstm": ARCHITECTURES["lstm"]}


@pytest.fixture(scope="module")
def store() -> MemoryStore:
    return with_probes(make(trials=2, architectures=TWO, tasks=ADDING))


@pytest.fixture(scope="module")
def results(store: MemoryStore) -> Results:
    return read_study(store, "synthetic")


def drawn(name: str, results: Results) -> Drawing:
    found = draw(name, results)
    assert isinstance(found, Drawing), found
    return found


def panel_of(drawing: Drawing, title: str) -> Axes:
    [found] = [axes for axes in drawing.figure.axes if axes.get_title("left").endswith(title)]
    return found


def changed(
    store: MemoryStore, probe: str, change: Callable[[dict[str, Any]], None], arm: str = ""
) -> Results:
    """With every finding of a probe changed, of the runs whose arm begins so."""
    runs = {run.run_id for run in store.record.runs if run.tags["arm"].startswith(arm)}
    texts = dict(store.texts)
    for (run_id, path), text in store.texts.items():
        if path == f"{probe}.json" and run_id in runs:
            entries = json.loads(text)
            for entry in entries:
                change(entry["finding"])
            texts[run_id, path] = json.dumps(entries)
    return read_study(replace(store, texts=texts), "synthetic")


def test_the_chapter_stands_together_after_the_results() -> None:
    chapters = [entry.chapter for entry in in_order()]
    assert chapters == sorted(chapters, key=list(CHAPTERS).index)
    assert set(FROM_FILES) < set(CHAPTER)
    assert len(CHAPTER) >= 9
    with pytest.raises(ValueError, match="no chapter 'Gradients'; known: Gradient flow"):
        figure("x", "X", order=1, chapter="Gradients")


# What the start has to do with the end takes more trials than these: see test_links.py.
@pytest.mark.parametrize(
    "name", [name for name in CHAPTER if name not in ("at_the_start", "initial_flow_and_outcome")]
)
def test_each_figure_says_what_it_shows_of_these_runs(results: Results, name: str) -> None:
    caption = drawn(name, results).caption
    assert any(arm in caption for arm in TWO), caption
    assert "nan" not in caption
    assert "{" not in caption


def test_heatmap_has_the_gradient_at_every_update(results: Results) -> None:
    drawing = drawn("gradient_over_training", results)
    [image] = panel_of(drawing, "tanh").images
    values = np.asarray(image.get_array())
    start = TWO["tanh"].slope
    slopes = [start - start / 2 * step / FINAL for step in (0, *UPDATES, FINAL)]
    assert values == pytest.approx(np.outer(np.arange(LENGTH), slopes) / math.log(10), abs=1e-9)
    assert image.get_extent() == [0, len(slopes), -0.5, LENGTH - 0.5]
    assert "Of 2 arms, 1 had less than 10⁻⁶ left" in drawing.caption
    assert "Most changed tanh, from 2·10⁻¹¹ to 5·10⁻⁶" in drawing.caption
    assert "within 600 updates" in drawing.caption


def test_heatmap_of_a_gradient_of_zero_is_at_the_end_of_the_scale(store: MemoryStore) -> None:
    def lost(finding: dict[str, Any]) -> None:
        finding["whole"]["mean"][1:] = [None] * (LENGTH - 1)

    drawing = drawn("gradient_over_training", changed(store, "state_gradients", lost))
    [image] = panel_of(drawing, "tanh").images
    values = np.asarray(image.get_array())
    assert (values[0] == 0).all()
    assert (values[1:] == -13).all()
    assert "Training changed it by less than a factor of 3 in every arm." in drawing.caption

    def none(finding: dict[str, Any]) -> None:
        finding["whole"]["mean"] = [None] * LENGTH

    told = draw("gradient_over_training", changed(store, "state_gradients", none))
    assert isinstance(told, Missing)


def test_a_gradient_beyond_every_float_is_drawn_and_told(store: MemoryStore) -> None:
    def explode(finding: dict[str, Any]) -> None:
        for curve in [finding["whole"], *finding["states"].values()]:
            for name, sign in (("mean", 1), ("low", -1), ("high", 1)):
                curve[name] = [sign * 10.0 * lag for lag in range(LENGTH)]

    results = changed(store, "state_gradients", explode, arm="tanh")
    drawing = drawn("gradient_over_training", results)
    [image] = panel_of(drawing, "tanh").images
    assert np.asarray(image.get_array()).max() == 7

    def later(finding: dict[str, Any]) -> None:
        explode(finding)
        if finding["log10_ratio_at_lag"] < -10:  # before training alone
            finding["whole"]["mean"] = [0.0] * LENGTH

    told = drawn("gradient_over_training", changed(store, "state_gradients", later, arm="tanh"))
    assert "Most changed tanh, from 1 to 10⁴⁹⁰" in told.caption
    for name in ("gradient_against_lag", "memory_and_gradient"):
        assert_inside(drawn(name, results).figure)


def test_matrix_has_the_median_half_life_of_all_trials(store: MemoryStore) -> None:
    searched = json.loads(
        next(iter(json.dumps(t) for k, t in store.texts.items() if k[1] == "space.json"))
    )
    assert "clip.name" in searched
    results = read_study(store, "synthetic")
    drawing = drawn("half_life_matrix", results)
    rows = [t.get_text() for t in drawing.figure.axes[0].get_yticklabels()]
    for panel, stage in zip(drawing.figure.axes, ("init", "final"), strict=False):
        columns = [t.get_text() for t in panel.get_xticklabels()]
        assert rows == list(TWO)
        for text in panel.texts:
            column, row = (round(v) for v in text.get_position())
            slopes = [
                run.metrics[f"gradient_flow/{stage}/log_slope_per_step"]
                for run in store.record.runs
                if run.tags["role"] == "trial"
                and run.tags["axis.architecture"] == rows[row]
                and run.params["clip.name"] == columns[column]
            ]
            expected = _number(math.log(2) / -float(np.median(slopes))) if slopes else "–"
            assert text.get_text() == expected
        assert len(panel.texts) == len(rows) * len(columns)
    assert "architecture down and clip.name across" in drawing.caption


def test_matrix_of_nothing_but_one_architecture_is_one_number() -> None:
    store = make(trials=3, architectures=ONE, tasks=ADDING)
    space = {k: json.dumps(json.loads(t) | {"search": {}}) for k, t in store.texts.items()}
    drawing = drawn("half_life_matrix", read_study(replace(store, texts=space), "synthetic"))
    assert [len(panel.texts) for panel in drawing.figure.axes[:2]] == [1, 1]
    assert "Before training lstm has a half-life of 5" in drawing.caption
    assert "(3 trials). After training it is longer." in drawing.caption


def test_what_has_no_room_across_the_matrix_goes_down() -> None:
    kinds = {
        f"{name} · {init} · {phi}": kind
        for name, kind in TWO.items()
        for init in ("identity", "orthogonal", "xavier")
        for phi in ("tanh", "relu")
    }
    store = make(trials=3, confirmations=0, architectures=kinds, tasks=ADDING)
    drawing = drawn("half_life_matrix", read_study(store, "synthetic"))
    panel = drawing.figure.axes[0]
    columns = [t.get_text() for t in panel.get_xticklabels()]
    assert columns == [
        f"{i} · {p}" for i in ("identity", "orthogonal", "xavier") for p in ("tanh", "relu")
    ]
    rows = {t.get_text() for t in panel.get_yticklabels()}
    assert rows == {f"{name} · {clip}" for name in TWO for clip in ("none", "norm")}


@pytest.mark.parametrize(
    ("life", "text"),
    [
        (0.87, "0.87"),
        (12.3, "12"),
        (999.6, "1k"),
        (1320, "1.3k"),
        (3e7, ">1000k"),
        (math.inf, "∞"),
        (math.nan, "–"),
    ],
)
def test_numbers_of_the_matrix_are_short(life: float, text: str) -> None:
    assert _number(life) == text


def test_singular_values_are_those_of_the_file(results: Results) -> None:
    drawing = drawn("singular_values", results)
    panel = panel_of(drawing, "tanh")
    lines = [line for line in panel.lines if len(line.get_xdata()) == 6]
    assert len(lines) == 6
    start = TWO["tanh"].slope
    lags = np.array([1, 2, 4, 8, 16, 32])
    for line, slope, index in zip(
        lines, [start] * 3 + [start / 2] * 3, [0, 2.5, 5] * 2, strict=True
    ):
        assert line.get_ydata() == pytest.approx(lags * (slope - index / 10) / math.log(10))
    assert "furthest in tanh (10⁻⁷ over 32 steps)" in drawing.caption
    assert "closest in tanh, 3.5 decades apart" in drawing.caption


def test_singular_values_that_are_not_resolved_end_the_band(store: MemoryStore) -> None:
    def part(finding: dict[str, Any]) -> None:
        for spectrum in finding["products"]:
            spectrum["mean"][2:] = [None] * 4

    panel = panel_of(drawn("singular_values", changed(store, "jacobians", part)), "tanh")
    lines = [line for line in panel.lines if len(line.get_xdata()) == 6]
    start = TWO["tanh"].slope
    assert lines[2].get_ydata()[-1] == pytest.approx(32 * (start - 0.1) / math.log(10))
    assert np.isnan(np.asarray(lines[1].get_ydata(), dtype=float)).all()  # the median is not known

    def blocks(finding: dict[str, Any]) -> None:
        finding["products"] = None

    both = [drawn("singular_values", r) for r in (changed(store, "jacobians", blocks),)]
    assert len(panel_of(both[0], "lstm").lines) > 6


def test_lyapunov_exponents_have_their_places_and_errors(store: MemoryStore) -> None:
    def lost(finding: dict[str, Any]) -> None:
        finding["exponents"][-1] = finding["standard_errors"][-1] = None

    results = changed(store, "lyapunov", lost)
    drawing = drawn("lyapunov_spectra", results)
    panel = panel_of(drawing, "tanh")
    points = [line for line in panel.lines if line.get_marker() == "o"]
    start = TWO["tanh"].slope
    for line, slope in zip(points, (start, start / 2), strict=True):
        expected = [slope - i / 10 for i in range(7)] + [math.nan]
        assert line.get_ydata() == pytest.approx(expected, nan_ok=True)
    assert points[0].get_markerfacecolor() == "white" != points[1].get_markerfacecolor()
    assert "nearest to 0 in lstm (-0.12)" in drawing.caption
    assert "has no exponent" in drawing.caption
    assert (
        "has no exponent" not in drawn("lyapunov_spectra", read_study(store, "synthetic")).caption
    )


def test_a_single_run_has_its_own_standard_error() -> None:
    store = with_probes(make(trials=1, confirmations=0, architectures=ONE, tasks=ADDING))
    drawing = drawn("lyapunov_spectra", read_study(store, "synthetic"))
    bars = [c for c in drawing.figure.axes[0].collections if len(c.get_paths())]
    first = bars[0].get_segments()[0]  # type: ignore[attr-defined]
    assert first[1][1] - first[0][1] == pytest.approx(0.02)
    assert "Before training λ_1 is -0.12 in lstm; after training λ_1 is -0.06" in drawing.caption


def test_eigenvalues_lie_where_they_were_found(results: Results) -> None:
    drawing = drawn("slow_points", results)
    panel = panel_of(drawing, "lstm")
    size = math.exp(TWO["lstm"].slope / 2)
    fixed, slow = panel.lines
    runs = len(set(drawing.run_ids)) // 2
    expected = np.tile([size, size / 2 * 1j, -size / 2 * 1j], runs)
    assert np.asarray(fixed.get_xdata()) + 1j * np.asarray(fixed.get_ydata()) == pytest.approx(
        expected
    )
    assert np.asarray(slow.get_xdata())[0] == 1
    assert slow.get_markerfacecolor() == "none"
    assert "In 6 runs 6 fixed points (0 unstable) and 6 slow points were found." in drawing.caption
    assert "nothing grows is that of lstm, 16.7 steps" in drawing.caption


def test_eigenvalues_far_out_stay_on_the_page(store: MemoryStore) -> None:
    def far(finding: dict[str, Any]) -> None:
        finding["points"][0]["eigenvalues"][0] = [-300.0, 0.0]
        finding["points"][0]["unstable_directions"] = 1
        finding["stable"], finding["unstable"] = 0, 1

    drawing = drawn("slow_points", changed(store, "fixed_points", far))
    panel = panel_of(drawing, "tanh")
    assert min(float(min(line.get_xdata())) for line in panel.lines) == -1.5
    assert "further out than 1.5" in drawing.caption

    def none(finding: dict[str, Any]) -> None:
        finding["points"] = []

    told = draw("slow_points", changed(store, "fixed_points", none))
    assert isinstance(told, Missing)
    assert "was found in any run" in str(told)


def test_units_stand_at_their_timescales(results: Results) -> None:
    drawing = drawn("gate_timescales", results)
    [panel] = drawing.figure.axes
    finite, endless, median = panel.lines[:3]
    tau = TWO["lstm"].timescale
    assert tau is not None
    times = [tau * 2 ** (2 * i / 6 - 1) for i in range(7)]
    assert sorted(finite.get_xdata()) == pytest.approx(sorted(times * 3))
    assert list(endless.get_xdata()) == [1e4] * 3
    assert median.get_xdata()[0] == pytest.approx((times[3] + times[4]) / 2)
    assert [text.get_text() for text in panel.texts] == ["lag 25", "49"]
    assert "In lstm 12% of the units reach the shortest lag" in drawing.caption
    assert "3 units beyond 10000 steps are drawn there, as triangles." in drawing.caption


def test_clipping_is_drawn_along_the_loss(results: Results) -> None:
    drawing = drawn("clipping_over_time", results)
    loss, share, norms, cosine = drawing.figure.axes
    assert share.lines[0].get_ydata()[0] == pytest.approx(100)
    assert share.lines[0].get_ydata()[-1] == pytest.approx(50)
    assert [line.get_linewidth() for line in norms.lines] == [1.8, 0.9] * 2
    assert norms.lines[0].get_ydata() == pytest.approx(2)
    assert norms.lines[1].get_ydata()[-1] == pytest.approx(1)
    assert loss.get_yscale() == norms.get_yscale() == "log"
    assert cosine.lines[0].get_ydata() == pytest.approx(0.7)
    assert "fell in 2 of 2 arms" in drawing.caption
    assert "In the last quarter more than half are clipped in tanh and lstm." in drawing.caption


def test_memory_stands_above_the_gradient(results: Results) -> None:
    drawing = drawn("memory_and_gradient", results)
    above, _, below, _ = drawing.figure.axes
    slope = TWO["tanh"].slope
    assert above.lines[0].get_ydata() == pytest.approx(np.exp(slope * np.arange(LENGTH - 1) / 2))
    assert below.lines[0].get_ydata() == pytest.approx(slope * np.arange(LENGTH) / math.log(10))
    assert above.get_xlim() == below.get_xlim()
    # exp(-.06 k / 2) and exp(-.06 k) are at least a half up to k = 23 and 11.
    assert (
        "After training lstm remembers longest: half of what can be known for 23 steps"
        in drawing.caption
    )
    assert "left up to lag 11. In 0 of 2 arms" in drawing.caption


def test_bands_are_quartiles_over_sequences(results: Results) -> None:
    drawing = drawn("gradient_against_lag", results)
    panel = drawing.figure.axes[0]
    assert len(panel.collections) == 2
    corners = panel.collections[0].get_paths()[0].vertices
    first = np.asarray(corners)[np.isclose(np.asarray(corners)[:, 0], 0)]
    assert (first[:, 1].min(), first[:, 1].max()) == pytest.approx((0.1, 10))
    assert "the middle half of the sequences" in drawing.caption
    bare = drawn("gradient_against_lag", read_study(make(trials=2, architectures=TWO), "synthetic"))
    assert "bands span all runs" in bare.caption


def test_weights_gradient_is_each_lags_share_of_it(results: Results) -> None:
    drawing = drawn("weight_gradient", results)
    before, after = drawing.figure.axes
    for panel, factor in ((before, 1), (after, 0.5)):
        for line, kind in zip(panel.lines, TWO.values(), strict=False):
            terms = np.exp(factor * kind.slope * np.arange(LENGTH))
            expected = np.maximum(np.log10(terms / terms.sum()), -16)
            assert line.get_ydata() == pytest.approx(expected)
        assert panel.lines[-1].get_xdata()[0] == LENGTH // 2
    tanh = math.exp(TWO["tanh"].slope)
    half = math.ceil(round(math.log(0.5) / math.log(tanh), 9)) - 1  # 1 - tanh^(half + 1) >= 1/2
    assert f"within lag {half} in tanh" in drawing.caption


def test_a_share_of_nothing_is_below_the_panel(store: MemoryStore) -> None:
    def nothing(finding: dict[str, Any]) -> None:
        finding["norm_shares"] = [1.0] + [0.0] * (LENGTH - 1)

    drawing = drawn("weight_gradient", changed(store, "parameter_gradients", nothing))
    panel = drawing.figure.axes[0]
    assert panel.lines[0].get_ydata()[1] < panel.get_ylim()[0]


def test_credit_is_the_cosine_against_the_window(results: Results) -> None:
    drawing = drawn("credit_windows", results)
    before, _ = drawing.figure.axes
    for line, kind in zip(before.lines, TWO.values(), strict=False):
        windows = [1, 2, 4, 8, 16, 32]
        assert list(line.get_xdata()) == [*windows, LENGTH]
        expected = [1 - math.exp(kind.slope * w) for w in windows]
        assert list(line.get_ydata()) == pytest.approx([*expected, 1.0])
    shortest = {}
    for name, kind in TWO.items():
        enough = [w for w in (1, 2, 4, 8, 16, 32) if 1 - math.exp(kind.slope * w) >= 0.9]
        shortest[name] = min([*enough, LENGTH])
    name = min(shortest, key=lambda n: shortest[n])
    assert (
        f"Before training the shortest window that reaches 0.9 is {shortest[name]} in {name}"
        in drawing.caption
    )


@pytest.mark.parametrize(("name", "probe"), FROM_FILES.items(), ids=FROM_FILES)
def test_a_figure_without_its_files_says_which_probe_it_needs(
    store: MemoryStore, name: str, probe: str
) -> None:
    texts = {k: t for k, t in store.texts.items() if k[1] != f"{probe}.json"}
    told = draw(name, read_study(replace(store, texts=texts), "synthetic"))
    assert isinstance(told, Missing)
    assert f"(probe {probe})" in str(told)


def test_arms_without_a_file_have_no_panel(store: MemoryStore) -> None:
    tanh = {run.run_id for run in store.record.runs if run.tags["arm"].startswith("tanh")}
    texts = {k: t for k, t in store.texts.items() if k[0] not in tanh or k[1] == "space.json"}
    results = read_study(replace(store, texts=texts), "synthetic")
    for name in FROM_FILES:
        found = drawn(name, results)
        assert not set(found.run_ids) & tanh
        assert_inside(found.figure)


def test_one_lag_and_one_exponent_are_drawn() -> None:
    store = with_probes(make(trials=1, confirmations=0, architectures=ONE, tasks=ADDING))

    def short(finding: dict[str, Any]) -> None:
        for key, value in finding.items():
            if isinstance(value, list) and key in {
                "lags",
                "chance",
                "exponents",
                "standard_errors",
            }:
                finding[key] = value[:1]
        for curve in [finding.get("whole", {}), *finding.get("states", {}).values()]:
            for key in curve:
                curve[key] = curve[key][:1]
        finding["products"] = finding.get("products", [])[:1]
        for name in ("scores", "product_blocks"):
            finding[name] = {k: v[:1] for k, v in finding.get(name, {}).items()}
        finding["task_lag"] = [0, 0]

    for name in (
        "gradient_over_training",
        "singular_values",
        "lyapunov_spectra",
        "memory_and_gradient",
    ):
        found = drawn(name, changed(store, FROM_FILES[name], short))
        assert overlapping(found.figure) == []
        assert_inside(found.figure)


@pytest.fixture(scope="module")
def many() -> Results:
    kinds = {
        f"{name}, a cell with a long name · {clip}": kind
        for name, kind in ARCHITECTURES.items()
        for clip in ("norm", "value", "none of them at all")
    }
    store = make(trials=2, confirmations=1, architectures=kinds, tasks=ADDING)
    return read_study(with_probes(store, kinds), "synthetic")


@pytest.mark.parametrize("name", CHAPTER)
def test_many_arms_with_long_names_are_legible(many: Results, name: str) -> None:
    found = drawn(name, many)
    assert overlapping(found.figure) == []
    assert_inside(found.figure)


def test_of_more_arms_than_a_page_holds_the_rest_is_counted() -> None:
    kinds = {f"a{i}": Kind(0, -0.1, timescale=5.0) for i in range(MOST + 2)}
    store = with_probes(make(trials=1, confirmations=0, architectures=kinds, tasks=ADDING), kinds)
    drawing = drawn("slow_points", read_study(store, "synthetic"))
    assert len(drawing.figure.axes) == len(drawing.run_ids) == MOST
    assert "The first 40 arms; 2 more have no panel." in drawing.caption

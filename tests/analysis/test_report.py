"""The page from end to end: what it says is what the tables and the store say."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from synthetic import ARCHITECTURES, CARDS, Kind, MemoryStore, make

from analysis.data import wording
from analysis.data.columns import TABLES
from analysis.data.runs import Results, read_study
from analysis.figures import FIGURES, Drawing, FigureEntry
from analysis.findings.pruning import pruning
from analysis.findings.sentences import findings
from analysis.findings.summary import summarize
from analysis.report.page import _range, _ranges, prose, write_report
from analysis.statistics.few_runs import wilson_interval
from study.tracking.run_record import RunRecord

TWO = {name: ARCHITECTURES[name] for name in ("tanh", "lstm")}
ADDING = {"adding-50": ("adding", 50)}


class _Page(HTMLParser):
    """Tags, their nesting and the visible text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words: list[str] = []
        self.sources: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.sources += [value or "" for name, value in attrs if name == "src"]
        if tag not in ("meta", "img", "link", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def read(page: Path) -> _Page:
    return _Page(page.read_text(encoding="utf-8"))


@pytest.fixture(autouse=True, scope="module")
def _coarse_pictures() -> Iterator[None]:
    """What is tested here does not depend on the resolution; time does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("analysis.report.page.DPI", 40)
        yield


def only(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Draw no other figures."""
    monkeypatch.setattr("analysis.report.page.in_order", lambda: [FIGURES[name] for name in names])


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("report") / "new" / "folder"
    page = write_report(make(trials=10, tasks=ADDING), "synthetic", out)
    assert page == out / "index.html"
    return out


def test_files(written: Path) -> None:
    for name in TABLES:
        assert (written / "tables" / f"{name}.csv").stat().st_size > 0
    drawn = {file.stem for file in (written / "figures").glob("*.svg")}
    assert drawn == {file.stem for file in (written / "figures").glob("*.png")}
    assert drawn >= {
        "learning_curves",
        "gradient_against_lag",
        "time_to_solve",
        "outcomes",
        "search",
    }


def test_page_is_self_contained_and_well_formed(written: Path) -> None:
    page = read(written / "index.html")
    assert page.sources
    assert all(source.startswith("data:image/svg+xml;base64,") for source in page.sources)
    ours = Path("analysis/report/report.js").read_text(encoding="utf-8")
    text = (written / "index.html").read_text(encoding="utf-8")
    assert "<script" not in text.replace(f"<script>\n{ours}", "")
    assert not re.search(r"\b(?:src|href)=\"https?://(?!127\.0\.0\.1)", text)
    for file in re.findall(
        r'href="((?:tables|figures)/[^"]+|space\.json)"', (written / "index.html").read_text()
    ):
        assert (written / file).is_file()


def test_numbers_of_the_tables_are_on_the_page(written: Path) -> None:
    text = read(written / "index.html").text
    arms = pd.read_csv(written / "tables" / "arms.csv")
    for row in arms.to_dict("records"):
        assert wording.short(row["test_loss_iqm"]) in text
        assert wording.span(row["test_loss_min"], row["test_loss_max"]) in text
        assert f"{row['confirmed']} of {row['confirmations']}" in text
        for run_id in [
            row["arm_run_id"],
            row["chosen_run_id"],
            *row["confirmation_run_ids"].split(),
        ]:
            assert run_id[:8] in text
    assert "0 of 3 [0, 0.56]" in text
    assert "Which cell carries information across 50 steps?" in text


def test_every_drawn_run_is_in_the_sources(written: Path) -> None:
    sources = pd.read_csv(written / "tables" / "figure_sources.csv")
    curves = pd.read_csv(written / "tables" / "curves.csv")
    confirmed = curves[(curves["role"] == "confirmation") & (curves["key"] == "validation/loss")]
    drawn = sources[sources["figure"] == "learning_curves"]
    assert set(confirmed["run_id"]) == set(drawn["run_id"])
    described = pd.read_csv(written / "tables" / "columns.csv")
    assert described["meaning"].notna().all()


STUDIES = {
    "unconfirmed": lambda: make(trials=3, architectures=TWO, tasks=ADDING).without(
        role="confirmation"
    ),
    "no trials": lambda: (
        make(trials=3, architectures=TWO).without(role="confirmation").without(role="trial")
    ),
    "all diverged": lambda: make(
        trials=3, architectures={"wild": Kind(0, 0.2, diverges=9)}, tasks=ADDING
    ),
    "one trial": lambda: make(trials=1, confirmations=1, architectures=TWO, tasks=ADDING),
    "no curves, no space": lambda: replace(
        make(trials=2, architectures=TWO, tasks=ADDING), points=[], texts={}
    ),
    "no arms": lambda: make(architectures={}),
}
SAID = {
    "unconfirmed": "No confirmation runs yet, so nothing is established",
    "no trials": "No trial has ended yet",
    "all diverged": "3 trials diverged",
    "one trial": "[0.21, 1]",
    "no curves, no space": "what was fixed and searched is unknown",
    "no arms": "The study has no arms yet",
}


@pytest.mark.parametrize("study", STUDIES)
def test_incomplete_studies_are_reported_as_such(study: str, tmp_path: Path) -> None:
    page = read(write_report(STUDIES[study](), "synthetic", tmp_path))
    assert SAID[study] in page.text
    assert not re.search(r"\bnan\b", page.text)


def test_a_running_trial_is_mentioned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, "outcomes")
    store = make(trials=2, architectures=TWO, tasks=ADDING)
    at = next(i for i, run in enumerate(store.record.runs) if run.tags["role"] == "trial")
    run = store.record.runs[at]
    tags = {k: v for k, v in run.tags.items() if k != "outcome"}
    store.record.runs[at] = replace(run, status="RUNNING", tags=tags, metrics={}, end_ms=None)
    assert "1 trial still running" in read(write_report(store, "synthetic", tmp_path)).text


HOSTILE = '<script>alert("1")</script>$\\frac{x$ {{ 7*7 }} & _\u202e'


def test_names_from_the_store_are_escaped(tmp_path: Path) -> None:
    store = make(
        trials=2, architectures={HOSTILE: ARCHITECTURES["lstm"]}, tasks=ADDING, question=HOSTILE
    )
    page = write_report(store, "synthetic", tmp_path)
    ours = Path("analysis/report/report.js").read_text(encoding="utf-8")
    assert "<script" not in page.read_text(encoding="utf-8").replace(f"<script>\n{ours}", "")
    assert "<script" not in page.with_name("index.md").read_text(encoding="utf-8")
    assert '<script>alert("1")</script>' in read(page).text
    assert "49" not in re.findall(r"\{\{ 7\*7 \}\}|\b49\b(?= &)", read(page).text)


def test_writing_again_replaces_what_no_longer_applies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only(monkeypatch, "time_to_solve", "outcomes")
    store = make(trials=4, architectures=TWO, tasks=ADDING)
    write_report(store, "synthetic", tmp_path)
    assert (tmp_path / "figures" / "time_to_solve.png").exists()
    (tmp_path / "notes.txt").write_text("kept")
    first = (tmp_path / "figures" / "outcomes.svg").read_bytes()
    write_report(store.without(role="confirmation"), "synthetic", tmp_path)
    assert not (tmp_path / "figures" / "time_to_solve.png").exists()
    assert (tmp_path / "notes.txt").exists()
    assert (tmp_path / "figures" / "outcomes.svg").read_bytes() == first


def test_sentences_claim_no_more_than_the_intervals() -> None:
    few = make(trials=2, confirmations=3, architectures=TWO, tasks=ADDING, seed=3)
    text = said(_sure(few))
    assert "lstm solved 3 of 3 confirmation runs [0.44, 1]; tanh solved 0 of 3 [0, 0.56]" in text
    assert "Which of two arms did better on the same seeds tells none apart" in text
    assert "exact sign test at 0.05" in text
    assert "No difference found: tanh and lstm (0 : 3; about" in text
    assert "Here so few runs cannot tell any two arms apart." in text
    many = make(trials=2, confirmations=8, architectures=TWO, tasks=ADDING, seed=3)
    text = said(_sure(many))
    told = "lstm above tanh in 8 of 8."
    assert (
        f"Which of two arms solves the task on the same seeds (exact sign test at 0.05): {told}"
        in text
    )
    assert f"Better on the same seeds (1 pair decided; exact sign test at 0.05): {told}" in text


def test_intervals_of_several_searches_hold_the_luck_of_tuning() -> None:
    """Three searches of two runs each: as many solved, but in one all runs and in another none."""
    results = read_study(_sure(make(confirmations=6, architectures=TWO, tasks=ADDING)), "synthetic")
    runs = results.confirmations.copy()
    of_lstm = runs.index[runs["architecture"] == "lstm"]
    runs.loc[of_lstm, "search"] = [1, 1, 2, 2, 3, 3]
    alike, apart = runs.copy(), runs.copy()
    alike.loc[of_lstm, "solved"] = [True, False] * 3
    apart.loc[of_lstm, "solved"] = [True, True, True, False, False, False]
    widths = []
    for table in (alike, apart):
        found = summarize(replace(results, confirmations=table), np.random.default_rng(0))
        (row,) = found[found["architecture"] == "lstm"].to_dict("records")
        assert row["confirmed"] == 3
        widths.append(row["confirmed_high"] - row["confirmed_low"])
    one = wilson_interval(3, 6)
    assert widths[0] == pytest.approx(one.high - one.low)
    assert widths[1] == 1  # nothing is known of a tuned arm's rate


@pytest.mark.parametrize(("searches", "told"), [(1, "was searched once"), (3, "searched 3 times")])
def test_the_report_says_whose_luck_its_intervals_hold(
    searches: int, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("analysis.report.page.in_order", list)  # figures are tested elsewhere
    read_one = read_study

    def read_several(store: MemoryStore, name: str) -> Results:
        results = read_one(store, name)
        return replace(results, arms=results.arms.assign(searches=searches))

    monkeypatch.setattr("analysis.report.page.read_study", read_several)
    store = make(trials=2, confirmations=2, architectures=TWO, tasks=ADDING)
    assert told in read(write_report(store, "synthetic", tmp_path)).text


def said(store: MemoryStore) -> str:
    results = read_study(store, "synthetic")
    found = findings(results, summarize(results, np.random.default_rng(0)))
    return " ".join(sentence for finding in found for sentence in finding.sentences)


def _sure(store: MemoryStore) -> MemoryStore:
    """Every confirmation of the LSTM solves its task."""
    runs = [
        replace(
            run,
            tags=run.tags | {"outcome": "solved"},
            metrics=run.metrics | {"steps_to_solve": 500.0},
        )
        if run.tags["role"] == "confirmation" and run.tags["arm"].startswith("lstm")
        else run
        for run in store.record.runs
    ]
    return replace(store, record=replace(store.record, runs=runs))


def test_solved_by_validation_but_not_on_the_test_set() -> None:
    store = _sure(make(trials=4, architectures=TWO, tasks=ADDING))
    worse = [
        replace(run, metrics=run.metrics | {"test/loss": 0.02})
        if run.tags["role"] == "confirmation"
        else run
        for run in store.record.runs
    ]
    good = [
        replace(run, metrics=run.metrics | {"test/loss": 0.001})
        if run.tags["role"] == "confirmation"
        else run
        for run in store.record.runs
    ]
    text = said(replace(store, record=replace(store.record, runs=worse)))
    assert "0 meet the criterion on the test set as well (lstm: 0 of 3)" in text
    text = said(replace(store, record=replace(store.record, runs=good)))
    assert "On the test set, too, every run that solved it meets the criterion." in text


@pytest.mark.parametrize(
    ("met", "told"),
    [
        (1.0, "On the test set, too, every run that solved it meets the criterion."),
        (0.0, "0 meet the criterion on the test set as well (lstm: 0 of 3)"),
        (None, "meet the criterion on the test set was not recorded"),
    ],
)
def test_the_test_set_is_told_of_whatever_the_criterion_is(met: float | None, told: str) -> None:
    """Of multiplication, say, whose criterion is no level of the loss nor one of the metric."""
    store = _sure(make(trials=4, architectures=TWO, tasks=ADDING))

    def recorded(run: RunRecord) -> RunRecord:
        card = json.dumps({**CARDS["adding"], "solved_loss": None, "solved_metric": None})
        metrics = {"test/loss": 0.02} | ({} if met is None else {"test/criterion_met": met})
        tags = {**run.tags, "task.card": card} if run.tags["role"] == "arm" else run.tags
        confirms = run.tags["role"] == "confirmation"
        return replace(run, tags=tags, metrics=run.metrics | (metrics if confirms else {}))

    runs = [recorded(run) for run in store.record.runs]
    assert told in said(replace(store, record=replace(store.record, runs=runs)))


def test_solved_runs_are_not_ranked_by_their_loss() -> None:
    text = said(_sure(make(trials=4, architectures=TWO, tasks=ADDING)))
    assert "Test loss of tanh, which solved none" in text
    assert "lstm: 500 (all); tanh: never" in text
    assert "Trials of the search that solved it, their settings drawn at random: " in text


def test_what_pruning_spared_and_may_have_cost_is_said(tmp_path: Path) -> None:
    def study(pruner: str, stopped: dict[int, tuple[float, float]]) -> MemoryStore:
        store = make(trials=5, architectures=TWO, tasks=ADDING, pruner=pruner, budget=1000)
        trials = [run for run in store.record.runs if run.tags["role"] == "trial"]
        assert len(trials) == 10
        for number, run in enumerate(trials):
            steps, score = stopped.get(number, (1000.0, 0.5))
            run.tags["outcome"] = "pruned" if number in stopped else "budget"
            run.metrics.update({"steps": steps, "score": score})
        return store

    halted = {1: (250.0, 0.95), 4: (500.0, 0.3), 7: (250.0, 1.0)}
    text = pruning(read_study(study("median", halted), "synthetic"))
    assert "3 of 10 trials stopped early (pruner median), after 25% to 50% of their updates" in text
    assert "2,000 updates at most, 20%" in text
    assert "the chosen trial need not be the best" in text
    assert "2 of them had a loss still near chance" in text
    text = pruning(read_study(study("beaten", halted), "synthetic"))
    assert "none could have been chosen" in text
    assert "near chance" not in text
    assert "no trial was stopped" in pruning(read_study(study("halving", {}), "synthetic"))
    assert pruning(read_study(study("none", {}), "synthetic")) == ""
    page = write_report(study("median", halted), "synthetic", tmp_path).read_text(encoding="utf-8")
    assert "3 of 10 trials stopped early" in page


def test_shares_of_an_even_design_are_said_with_what_their_intervals_assume() -> None:
    text = said(_sure(make(trials=4, architectures=TWO, tasks=ADDING, sampler="sobol")))
    assert (
        "spread evenly over their ranges (the intervals take them for independent draws): " in text
    )
    for changes in ({"sampler": "tpe"}, {"sampler": "sobol", "pruner": "beaten"}):
        text = said(_sure(make(trials=4, architectures=TWO, tasks=ADDING, **changes)))
        assert "over all settings" not in text


def test_a_gradient_that_had_to_vanish_is_said_of_confirmed_arms_alone() -> None:
    """tanh starts with γσ of 0.80 to 0.84 and the LSTM without such a bound."""
    store = make(trials=2, architectures=TWO, tasks=ADDING)
    largest = max(
        run.metrics["init/gradient_bound"]
        for run in store.record.runs
        if run.tags["role"] == "confirmation" and run.tags["arm"].startswith("tanh")
    )
    expected = f"in every confirmation run: tanh (at most {wording.short(largest)})."
    assert expected in said(store)
    assert "had to vanish" not in said(store.without(role="confirmation"))
    at = next(i for i, run in enumerate(store.record.runs) if run.tags["role"] == "confirmation")
    run = store.record.runs[at]
    assert run.tags["arm"].startswith("tanh")
    store.record.runs[at] = replace(run, metrics=run.metrics | {"init/gradient_bound": 1.01})
    assert "had to vanish" not in said(store)
    metrics = {k: v for k, v in run.metrics.items() if k != "init/gradient_bound"}
    store.record.runs[at] = replace(run, metrics=metrics)
    assert "had to vanish" not in said(store)


def test_prose_has_code_and_emphasis_and_nothing_else() -> None:
    text = "*carried*: see `a < b`, 2*3*4 and <script>alert(1)</script>"
    assert prose(text) == (
        "<em>carried</em>: see <code>a &lt; b</code>, 2*3*4 and "
        "&lt;script&gt;alert(1)&lt;/script&gt;"
    )


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"low": 0.1, "high": 1.0, "log": True}, "0.1 to 1.0, uniform in the logarithm"),
        (
            {"low": 0.5, "high": 0.99, "log": False, "log_below_one": True},
            "0.5 to 0.99, uniform in the logarithm of 1 minus it",
        ),
        ({"low": 1, "high": 4, "log": False, "log_below_one": False}, "1 to 4, uniform"),
    ],
)
def test_a_searched_range_says_on_which_scale(spec: dict[str, Any], words: str) -> None:
    assert _range(spec) == words


def test_a_range_of_a_labels_own_is_told_beside_that_of_all() -> None:
    results = read_study(make(trials=2, architectures=TWO), "synthetic")
    own = {"architecture": {"lstm": {"train.lr": {"low": 0.5, "high": 0.75}}}}
    told = _ranges(replace(results, space={**results.space, "ranges": own}))
    assert told["train.lr of lstm"] == "0.5 to 0.75, uniform"
    assert "train.lr" in told


def test_a_name_that_ends_in_a_number_does_not_run_into_its_value() -> None:
    named = {"threshold 0.3": TWO["lstm"], "threshold 1": TWO["tanh"], "threshold 3": TWO["lstm"]}
    store = make(trials=4, architectures=named, tasks=ADDING)
    for text in (said(store), said(store.without(role="confirmation"))):
        assert re.findall(r"threshold [\d.]+ \d", text) == []
    assert re.search(r"threshold 3: [\d,]+ \(", said(store))


def test_a_figure_that_fails_is_told_and_costs_no_other(tmp_path: Path) -> None:
    def broken(results: Results) -> Drawing:
        raise KeyError("train.lr")

    store = make(trials=4, tasks=ADDING)
    entry = FigureEntry("mine", "My own", 1, broken)
    failed: list[str] = []
    FIGURES.add("mine", entry)
    try:
        page = write_report(store, "synthetic", tmp_path, failed=failed)
    finally:
        del FIGURES._things["mine"]
    assert failed == [
        "figure 'mine' could not be drawn: KeyError: 'train.lr' (test_report.py)",
    ]
    text = page.read_text(encoding="utf-8")
    assert "This figure could not be drawn: KeyError" in text
    assert (tmp_path / "figures" / "learning_curves.svg").exists()
    assert not (tmp_path / "figures" / "mine.svg").exists()
    # None of ours does.
    failed.clear()
    write_report(store, "synthetic", tmp_path, failed=failed)
    assert not failed

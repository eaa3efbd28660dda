"""The comparison report of a study: one HTML page, its figures and its tables."""

import base64
import gc
import inspect
import io
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from analysis.data import columns, wording
from analysis.data.runs import Reader, Results, read_study
from analysis.figures import CHAPTERS, FigureEntry, Missing, in_order, style
from analysis.findings import reach
from analysis.findings.decisions import decisions
from analysis.findings.links import links
from analysis.findings.overview import overview
from analysis.findings.pruning import pruning
from analysis.findings.sentences import findings
from analysis.findings.summary import importances, pairs, summarize
from analysis.report import study_claims
from analysis.statistics.few_runs import Interval
from study.tracking import ui_pages

DPI = 200
SEED = 0  # of the bootstrap, so that the same runs give the same report
_UNKNOWN_SPACE = {
    "question": "",
    "notes": "",
    "sampler": "unknown",
    "pruner": "unknown",
    "seed": "unknown",
    "confirmations": "an unknown number of",
    "compare": {},
    "fixed": {},
}
UI = "http://127.0.0.1:5000"  # where `longlag ui` serves by default


@dataclass(frozen=True)
class Shown:
    """A figure as the page needs it: a picture with its caption, or the reason for none."""

    name: str
    title: str
    chapter: str = ""
    caption: str = ""
    source: str = ""
    picture: str = ""
    missing: str = ""


@contextmanager
def _uncollected() -> Iterator[None]:
    """No search for garbage meanwhile: matplotlib's many small objects cost a sixth of the time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def write_report(
    store: Reader,
    study_name: str,
    out: Path,
    ui: str = UI,
    failed: list[str] | None = None,
    refresh: int = 0,
) -> Path:
    """Write index.html, index.md, figures/ and tables/ below ``out``; returns the page's path.

    With ``refresh`` an open page loads itself anew after so many seconds.

    A figure that raises an exception is told on the page, and in a line added to ``failed``. Reads the
    store only. Raises UserError when there is no such study.
    """
    return write_page(read_study(store, study_name), out, ui, failed, refresh=refresh)


@_uncollected()
def write_page(
    results: Results,
    out: Path,
    ui: str = UI,
    failed: list[str] | None = None,
    commands: Sequence[str] = (),
    refresh: int = 0,
) -> Path:
    """As `write_report`, of results that were read already; ``commands`` make them and the page again."""
    out = Path(out)
    for folder in (out, out / "figures", out / "tables"):
        folder.mkdir(parents=True, exist_ok=True)
    summary = summarize(results, np.random.default_rng(SEED))
    sources: list[dict[str, str]] = []
    failed = [] if failed is None else failed
    shown = [_draw(entry, results, out / "figures", sources, failed) for entry in in_order()]
    tables = {
        "arms": summary,
        "trials": results.trials,
        "reruns": results.reruns,
        "confirmations": results.confirmations,
        "curves": results.curves,
        "flows": results.flows,
        "importance": importances(results),
        "pairs": pairs(results),
        "decisions": decisions(results),
        "links": links(results),
        "figure_sources": columns.frame(sources, columns.SOURCES),
    }
    _write_tables(tables, out / "tables")
    (out / "space.json").write_text(_json(results.space), encoding="utf-8")
    claims = study_claims.judged(results)
    for template, name in (("report.html.jinja", "index.html"), ("report.md.jinja", "index.md")):
        text = _render(template, results, summary, tables, shown, claims, ui, commands, refresh)
        (out / name).write_text(text, encoding="utf-8")
    return out / "index.html"


def _draw(
    entry: FigureEntry,
    results: Results,
    folder: Path,
    sources: list[dict[str, str]],
    failed: list[str],
) -> Shown:
    files = {suffix: folder / f"{entry.name}.{suffix}" for suffix in ("svg", "png")}
    try:
        with style.page():
            drawing = entry.draw(results)
            # Laid out once, not once for each file.
            layout = drawing.figure.get_layout_engine()
            assert layout is not None
            layout.execute(drawing.figure)
            drawing.figure.set_layout_engine("none")
            vector, raster = _saved(drawing.figure)
            files["svg"].write_bytes(vector)
            files["png"].write_bytes(raster)
    except Missing as reason:
        for file in files.values():  # of an earlier report, when there was something to draw
            file.unlink(missing_ok=True)
        return Shown(entry.name, entry.title, missing=str(reason))
    except Exception as error:  # a figure of a user's own need not cost the others
        for file in files.values():
            file.unlink(missing_ok=True)
        where = Path(inspect.getsourcefile(entry.draw) or "").name
        told = f"could not be drawn: {type(error).__name__}: {error} ({where})"
        failed.append(f"figure {entry.name!r} {told}")
        return Shown(entry.name, entry.title, missing=f"This figure {told}.")
    sources += [
        {"figure": entry.name, "metric": metric, "run_id": run_id}
        for metric in drawing.metrics
        for run_id in drawing.run_ids
    ]
    runs = wording.counted(len(drawing.run_ids), "run")
    return Shown(
        entry.name,
        entry.title,
        entry.chapter,
        caption=drawing.caption,
        source=f"Reads {wording.listing(drawing.metrics)} of {runs}",
        picture=f"data:image/svg+xml;base64,{base64.b64encode(vector).decode()}",
    )


def _saved(figure: Figure) -> tuple[bytes, bytes]:
    """As SVG and as PNG. Figure.savefig would draw each of them twice, first for the layout alone."""
    vector, raster = io.BytesIO(), io.BytesIO()
    figure.set_dpi(72)
    FigureCanvasSVG(figure).print_svg(vector, metadata={"Date": None})
    figure.set_dpi(DPI)
    FigureCanvasAgg(figure).print_png(raster)
    return vector.getvalue(), raster.getvalue()


def _write_tables(tables: Mapping[str, pd.DataFrame], folder: Path) -> None:
    meanings = []
    for name, table in tables.items():
        table.to_csv(folder / f"{name}.csv", index=False)
        known = columns.TABLES[name]
        meanings += [
            {"table": name, "column": c, "meaning": known.get(c, ("", "searched parameter"))[1]}
            for c in table.columns
        ]
    pd.DataFrame(meanings).to_csv(folder / "columns.csv", index=False)


def _render(
    template: str,
    results: Results,
    summary: pd.DataFrame,
    tables: Mapping[str, pd.DataFrame],
    shown: Sequence[Shown],
    claims: Sequence[study_claims.Judged],
    ui: str,
    commands: Sequence[str],
    refresh: int,
) -> str:
    environment = Environment(
        loader=PackageLoader("analysis.report", "."),
        autoescape=template.endswith(".html.jinja"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "short": wording.short,
        "measured": wording.measured,
        "whole": wording.whole,
        "steps": wording.steps_text,
        "listing": wording.listing,
        "counted": wording.counted,
        "duration": wording.duration,
        "prose": prose,
        "md": markdown,
    }
    css, script = (
        Path(__file__).with_name(name).read_text(encoding="utf-8")
        for name in ("report.css", "report.js")
    )
    looks = style.looks(results.architectures)
    return environment.get_template(template).render(
        # Our own files, with nothing of the store in them.
        css=Markup(css),
        script=Markup(script),
        first=overview(results, summary, tables["decisions"]),
        claims=claims,
        commands=commands,
        refresh=refresh,
        study=results.study,
        space=_UNKNOWN_SPACE | dict(results.space),
        space_json=_json(results.space),
        results=results,
        when=_when(),
        reach=reach.sentences(results, summary),
        findings=findings(results, summary),
        budget=_budget(results),
        pruning=pruning(results),
        reruns=len(results.reruns),
        searches=int(results.arms["searches"].max()) if len(results.arms) else 1,
        ranges=_ranges(results),
        tasks=[_task_tables(results, key, summary) for key in results.tasks],
        colors={name: look.color for name, look in looks.items()},
        pairs=_matrices(tables["pairs"]),
        figures=[figure for figure in shown if figure.picture],
        chapters=CHAPTERS,
        missing=[figure for figure in shown if not figure.picture],
        share=lambda row: wording.share(
            row["confirmed"], row["confirmations"], row["confirmed_low"], row["confirmed_high"]
        ),
        spread=_spread,
        link=lambda run_id: f"{ui}/{ui_pages.run(results.experiment_id, run_id)}",
        outcome=lambda name: style.OUTCOMES[name][2] if name in style.OUTCOMES else name,
        experiment_link=f"{ui}/{ui_pages.runs(results.experiment_id)}",
        unfinished=int(summary["unfinished"].sum()),
        planned=int(summary["planned"].sum()),
        ended=int(summary["trials"].sum()),
    )


def _when() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")


def _json(space: Mapping[str, Any]) -> str:
    return json.dumps(space, indent=2, ensure_ascii=False) + "\n"


def _budget(results: Results) -> dict[str, Any]:
    runs = pd.concat([results.trials, results.confirmations])
    arms = results.arms
    return {
        "arms": len(arms),
        "planned": _one_or_span(arms["planned"]),
        "updates": _one_or_span(arms["budget"]),
        "batch": _one_or_span(arms["batch"]),
        "trials": len(results.trials),
        "confirmations": len(results.confirmations),
        "equal": all(
            own[name].nunique(dropna=False) == 1
            for _, own in arms.groupby("task")
            for name in ("planned", "budget")
        ),
        "all_updates": float(runs["steps"].sum()),
        "seconds": float(runs["wall_seconds"].sum()),
    }


def _one_or_span(values: pd.Series) -> str:
    known = values[values.notna()]
    if known.empty:
        return wording.NOTHING
    low, high = wording.whole(known.min()), wording.whole(known.max())
    return low if low == high else f"{low} to {high}"


def _ranges(results: Results) -> dict[str, str]:
    """What was searched, in words: in every arm, then where a label has a range of its own."""
    found = {name: _range(spec) for name, spec in results.searched.items()}
    for labels in results.space.get("ranges", {}).values():
        for label, own in labels.items():
            found |= {f"{name} of {label}": _range(spec) for name, spec in own.items()}
    return found


def _range(spec: Mapping[str, Any]) -> str:
    """One searched parameter's range in words."""
    if spec.get("values") is not None:
        text = "one of " + ", ".join(str(value) for value in spec["values"])
    else:
        text = f"{spec.get('low')} to {spec.get('high')}"
        scales = {"log": " in the logarithm", "log_below_one": " in the logarithm of 1 minus it"}
        text += ", uniform" + next((words for key, words in scales.items() if spec.get(key)), "")
    conditions = [
        f"{name} is {wording.listing([str(v) for v in allowed], 'or')}"
        for name, allowed in (spec.get("when") or {}).items()
    ]
    return f"{text}; only where {wording.listing(conditions)}" if conditions else text


def _task_tables(results: Results, key: str, summary: pd.DataFrame) -> dict[str, Any]:
    arms = summary[summary["task"] == key].to_dict("records")
    for row in arms:
        runs = results.confirmations[results.confirmations["arm"] == row["arm"]]
        row["runs"] = runs.to_dict("records")
    return {
        "task": results.tasks[key],
        "arms": arms,
        # Of fewer than four values an interquartile mean trims nothing.
        "mean": "IQM" if any(row["confirmations"] > 3 for row in arms) else "mean",
        "spread": "range"
        if all(math.isnan(row["test_loss_low"]) for row in arms)
        else "range or [95 % interval]",
        "metric": any(not math.isnan(row["test_metric_iqm"]) for row in arms),
        "confirmed": any(row["runs"] for row in arms),
    }


def _spread(row: Mapping[str, Any], name: str) -> str:
    """The interval of the IQM where there are runs enough for one, else their range."""
    interval = Interval(row.get(f"{name}_low", math.nan), row.get(f"{name}_high", math.nan))
    if not math.isnan(interval.low):
        return f"[{wording.measured(interval.low)}, {wording.measured(interval.high)}]"
    low, high = row[f"{name}_min"], row[f"{name}_max"]
    return "" if math.isnan(low) else wording.span(low, high)


def _matrices(compared: pd.DataFrame) -> list[dict[str, Any]]:
    """Per task the architectures and P(row does better than column)."""
    found = []
    for task, own in compared.groupby("task", sort=False):
        cells = {(r.architecture, r.other): r.probability for r in own.itertuples()}
        names = list(dict.fromkeys(own["architecture"]))
        found.append({"task": task, "names": names, "cells": cells})
    return found


def markdown(text: str) -> str:
    """A text as Markdown shows it: one line, with nothing in it that means something there."""
    line = " ".join(str(text).split())
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_{}\[\]|#])", r"\\\1", line)


def prose(text: str) -> Markup:
    """Words with what MLflow's page of a study typesets too: `code` and *emphasis*."""
    safe = str(escape(text))
    safe = re.sub(r"`([^`\n]+)`", r"<code>\1</code>", safe)
    return Markup(re.sub(r"(?<!\w)\*([^*\n]+)\*(?!\w)", r"<em>\1</em>", safe))

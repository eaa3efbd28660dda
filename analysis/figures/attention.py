"""Where attention lies while a network writes."""

import pandas as pd

from analysis.data.runs import Results
from analysis.figures import Drawing, Missing, figure, style

DISTANCE, PEAK = "attention_distance", "attention_peak"
WORDS = {
    DISTANCE: "steps between what is looked at\nand what the symbol hangs on",
    PEAK: "heaviest weight of a symbol,\n1: a single step is looked at",
}


@figure("attention", "Where attention lies", order=27)
def attention(results: Results) -> Drawing:
    """A row a task: how far off what is looked at lies, and how decided attention is."""
    runs = pd.concat([results.confirmations, results.trials[results.trials["chosen"]]])
    runs = runs[runs[PEAK].notna()].reset_index(drop=True)
    if runs.empty:
        raise Missing("No confirmation and no chosen trial has attention.")
    looks = style.looks(results.architectures)
    tasks = [task for task in results.tasks if (runs["task"] == task).any()]
    parts = {task: runs[runs["task"] == task] for task in tasks}
    measures = {task: [m for m in WORDS if own[m].notna().any()] for task, own in parts.items()}
    heights = [1.05 + 0.24 * own["architecture"].nunique() for own in parts.values()]
    drawn, axes = style.rows([len(names) for names in measures.values()], heights)
    for task, own in parts.items():
        names = [name for name in results.architectures if (own["architecture"] == name).any()]
        axes[0].set_title(style.plain(task, 44))
        for column, measure in enumerate(measures[task]):
            panel, *axes = axes
            style.named_rows(panel, names, labelled=column == 0)
            for place, name in enumerate(names):
                values = own.loc[own["architecture"] == name, measure]
                style.points(panel, place, values, looks[name])
            high = 1.0 if measure == PEAK else max(own[measure].max(), 1.0)
            panel.set_xlim(-0.04 * high, 1.06 * high)
            panel.set_xlabel(WORDS[measure])
    style.legend_below(drawn, style.points_legend())
    shown = [
        m.replace("_", "/", 1) for m in WORDS if any(m in found for found in measures.values())
    ]
    text = """Means over the symbols of validation sequences, each told the right symbols before it, with
        the parameters kept. Where a task says which step of the input a symbol hangs on, the distance
        is that of the weights to it. A state knows the symbols before it as well, so attention that
        lies a step or two beside, always on the same side, is as good. Each run's attention.png has
        the weights themselves."""
    return Drawing(drawn, text, shown, runs["run_id"])

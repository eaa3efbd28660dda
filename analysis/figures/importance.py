"""Which hyperparameter the score depends on, per arm."""

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from analysis.data.runs import Results
from analysis.data.wording import NOTHING
from analysis.figures import Drawing, Missing, figure, style
from analysis.findings.summary import importances

FEW_TRIALS = 30
SMALL_R2 = 0.1  # below it the forest explains next to nothing, and neither do its fractions


@figure("importance", "Which hyperparameters mattered", order=70)
def importance(results: Results) -> Drawing:
    """A grid of arms by parameters; each cell is a main effect, rows named with the forest's R²."""
    table = importances(results)
    measured = table[table["fraction"].notna()]
    if measured.empty:
        reasons = sorted(set(table["refusal"])) or ["nothing was searched"]
        raise Missing(f"Not for any arm: {'; '.join(reasons)}.")
    parameters = list(dict.fromkeys(measured["parameter"]))
    tasks = list(dict.fromkeys(measured["task"]))
    rows = measured.groupby("task")["arm"].nunique().max()
    drawn, axes = style.panels(len(tasks), columns=1, height=0.75 + 0.3 * rows, extra=0.2)
    for panel, task in zip(axes, tasks, strict=True):
        part = measured[measured["task"] == task]
        arms = list(dict.fromkeys(part["architecture"]))
        names = []
        for row, name in enumerate(arms):
            own = part[part["architecture"] == name].set_index("parameter")
            r2 = float(own["r2"].iloc[0])
            weak = r2 < SMALL_R2
            names.append(f"{style.plain(name, 24)}  (R² {r2:.2f}, n {own['trials'].iloc[0]})")
            for column, parameter in enumerate(parameters):
                _cell(panel, row, column, own["fraction"].get(parameter), weak)
        panel.set_xlim(-0.5, max(len(parameters), 4) - 0.5)
        panel.set_ylim(len(arms) - 0.5, -0.5)
        panel.set_xticks(range(len(parameters)), [style.plain(p, 24) for p in parameters])
        panel.set_yticks(range(len(arms)), names)
        panel.tick_params(length=0)
        panel.grid(visible=False)
        panel.spines[:].set_visible(False)
        panel.set_title(style.plain(task))
    arms_measured = measured["arm"].unique()
    refused = table.loc[table["fraction"].isna(), "refusal"]
    text = f"""Share of the score's variation that each searched hyperparameter explains by itself
        (main effect of a functional analysis of variance; what is missing to 100 % in a row is
        interaction between them). It is read off a random forest fitted to an arm's trials; R² says
        how well the forest predicts trials that it has not seen, n how many trials there were. Rows
        with R² below {SMALL_R2} are grey and in brackets: there the forest has learned nothing and its
        shares mean nothing."""
    if measured["trials"].min() < FEW_TRIALS:
        text += f""" With fewer than {FEW_TRIALS} trials R² itself is uncertain: take the shares as
            hints, beside the trials themselves in the figure before."""
    if (results.trials["outcome"] == "pruned").any():
        text += " Pruned trials count with the score they had when stopped."
    if len(measured) < measured["arm"].nunique() * len(parameters):
        text += f" {NOTHING}: the arm has no such hyperparameter."
    if len(refused):
        text += f" Without a row: {refused.size} arms ({'; '.join(sorted(set(refused)))})."
    if results.space.get("sampler") == "tpe":
        text += (
            " TPE tries good values more often, so shares are over what it tried, not the range."
        )
    used = results.trials[
        results.trials["arm"].isin(arms_measured) & results.trials["score"].notna()
    ]
    return Drawing(
        drawn, text, ["score", *(f"parameter {name}" for name in parameters)], used["run_id"]
    )


def _cell(panel: Axes, row: int, column: int, fraction: float | None, weak: bool) -> None:
    if fraction is None:
        panel.text(column, row, NOTHING, ha="center", va="center", color=style.MUTED)
        return
    # Light to dark blue, readable in grey; a weak row keeps out of it.
    blue = (1 - 0.95 * fraction, 1 - 0.7 * fraction, 1 - 0.5 * fraction)
    panel.add_patch(
        Rectangle(
            (column - 0.48, row - 0.44),
            0.96,
            0.88,
            facecolor="#f2f2f2" if weak else blue,
            edgecolor=style.GRID,
            linewidth=0.8,
        )
    )
    text = f"{fraction:.0%}"
    panel.text(
        column,
        row,
        f"({text})" if weak else text,
        ha="center",
        va="center",
        color=style.MUTED if weak else ("white" if fraction > 0.45 else style.INK),
    )

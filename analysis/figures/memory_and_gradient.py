"""What the state still tells of past inputs, beside what the gradient reaches of them."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from analysis.data.probe_files import Memory, StateGradients
from analysis.data.runs import Results
from analysis.data.wording import counted, whole
from analysis.figures import Drawing, Missing, figure, style
from analysis.figures.before_and_after import WHEN, Lines, lines
from analysis.figures.small_multiples import named

DECADES = 12  # of the gradient, below that at lag 0
HALF = 0.5
MARKED = 32  # a gap of this part of the axis is no curve


@figure("memory_and_gradient", "Memory beside gradient", order=38, chapter="Gradient flow")
def memory_and_gradient(results: Results) -> Drawing:
    """Two rows a task, memory above the gradient, over one axis of lags; before and after training."""
    remembered = results.probed.of(Memory, "init", "best")
    if not remembered:
        raise Missing(
            "No confirmation and no chosen trial was read for what it remembers (probe memory)."
        )
    tasks = [task for task in results.tasks if any(f.task == task for f in remembered)]
    gradients = results.probed.of(StateGradients, "init", "final")
    gradients = [f for f in gradients if f.task in tasks and f.finding.whole.mean[0] is not None]
    memory, gradient = lines(results, remembered, _score), lines(results, gradients, _relative)
    looks = style.looks(results.architectures)
    drawn, axes = style.rows([2, 2] * len(tasks), 1.65)
    for place, task in enumerate(tasks):
        lag = max(f.finding.task_lag[0] for f in remembered if f.task == task)
        for column, (when, words) in enumerate(WHEN.items()):
            above, below = axes[4 * place + column], axes[4 * place + 2 + column]
            _draw(above, memory, task, when, looks)
            _draw(below, gradient, task, when, looks)
            _scales(above, below, _longest([memory, gradient], task), lag)
            above.set_title(style.plain(f"{task}, {words}" if len(tasks) > 1 else words, 36))
            for panel in (above, below):
                panel.tick_params(labelleft=column == 0)
        axes[4 * place].set_ylabel("memory,\nshare above\nchance")
        axes[4 * place + 2].set_ylabel("gradient norm,\nrelative to\nlag 0")
    names = [n for n in results.architectures if any(f.architecture == n for f in remembered)]
    style.legend_below(drawn, [looks[n].line(n) for n in names])
    return Drawing(
        drawn,
        f"""Above: how well a linear readout of the state finds the task's input so many steps before, on
        sequences that it was not fitted to, R² or accuracy over chance, so that 1 is all and 0 what a
        constant knows (Jaeger, 2001); from the state that tells most. Below: the norm of the gradient
        of the last step's loss by all states so many steps before it, relative to lag 0. Medians over an
        arm's runs; dotted is the task's shortest lag. Memory is what the network carries forward, the
        gradient what training can carry back: an input may be remembered that training hardly
        reaches, and reached without being kept. {_shown(results, memory, gradient)}""",
        ["file memory.json", "file state_gradients.json"],
        [f.run_id for f in remembered] + [f.run_id for f in gradients],
    )


def _score(finding: Memory) -> pd.Series:
    """At each lag (score - chance)/(1 - chance) of the state that tells most, 0 where it tells nothing."""
    chance = np.array(finding.chance)
    scores = np.array(list(finding.scores.values()))
    above = (scores - chance) / (1 - chance)
    return pd.Series(above.max(axis=0).clip(0, 1), finding.lags)


def _relative(finding: StateGradients) -> pd.Series:
    """log₁₀ of the norm over that at lag 0; -inf where it is zero."""
    logs = pd.Series(finding.whole.mean, finding.lags, dtype=float).fillna(-np.inf)
    return logs - logs.iloc[0]


def _draw(
    panel: Axes, curves: Lines, task: str, when: str, looks: Mapping[str, style.Look]
) -> None:
    for (arm, at), line in curves.items():
        if arm[0] == task and at == when:
            look = looks[arm[1]]
            shown = line.clip(lower=-2.0 * DECADES)
            panel.plot(
                shown.index,
                shown,
                color=look.color,
                linestyle=look.dashes,
                linewidth=1.8,
                marker=".",
                markevery=_apart(shown),
            )


def _apart(line: pd.Series) -> list[int]:
    """Which points to mark: those that a long straight line leads to, and one alone."""
    lags = line.index.to_numpy()
    far = max(1.0, lags[-1] / MARKED)
    gaps = np.diff(lags, prepend=0)
    return [place for place, gap in enumerate(gaps) if gap > far or len(line) == 1]


def _longest(both: Sequence[Lines], task: str) -> float:
    lags = [
        line.index.max() for curves in both for (arm, _), line in curves.items() if arm[0] == task
    ]
    return float(max([1, *lags]))


def _scales(above: Axes, below: Axes, longest: float, lag: int) -> None:
    above.set_ylim(-0.04, 1.04)
    high = max([1.0, *(float(np.max(line.get_ydata())) for line in below.lines)])
    below.set_ylim(-DECADES - 0.5, min(high, DECADES) + 0.5)
    style.decades(below.yaxis)
    for panel in (above, below):
        panel.set_xlim(-0.02 * longest, 1.02 * longest)
        panel.axvline(lag, color=style.MUTED, linewidth=1.0, linestyle=":", zorder=1)
        style.whole_numbers(panel)
    above.tick_params(labelbottom=False)
    below.set_xlabel("steps back")


def _shown(results: Results, memory: Lines, gradient: Lines) -> str:
    """After training, how far back half is remembered, and half of the gradient is left."""
    reach = {
        arm: (_reach(line, HALF), _reach(gradient[arm, when], np.log10(HALF)))
        for (arm, when), line in memory.items()
        if when == "after" and (arm, when) in gradient
    }
    if not reach:
        return "No arm has both after training."
    further = sum(back > kept for kept, back in reach.values())
    arm = max(reach, key=lambda a: reach[a][0])
    kept, back = reach[arm]
    how = "longest" if len(reach) > 1 else "its input"
    text = f"""After training {named(results, arm)} remembers {how}: half of what can be known for
        {counted(kept, "step")}, and at least half of the gradient is left up to lag {whole(back)}."""
    if len(reach) > 1:
        text += f""" In {further} of {len(reach)} arms the gradient keeps its half for longer than the
            memory does."""
    return text


def _reach(line: pd.Series, level: float) -> int:
    """The longest lag up to which the line is at the level or above; 0 where none is."""
    below = np.flatnonzero(line.to_numpy() < level)
    last = len(line) - 1 if not len(below) else below[0] - 1
    return int(line.index[last]) if last >= 0 else 0

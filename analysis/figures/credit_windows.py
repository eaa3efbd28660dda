"""How long a window truncated backpropagation needs to point where the full gradient points."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes

from analysis.data.probe_files import CreditAssignment
from analysis.data.runs import Results
from analysis.data.wording import listing, whole
from analysis.figures import Drawing, Missing, figure, style
from analysis.figures.before_and_after import Lines, drawn, lines
from analysis.figures.small_multiples import Arm, named

ALIKE = 0.9


@figure(
    "credit_windows", "Truncated gradients beside the full one", order=39, chapter="Gradient flow"
)
def credit_windows(results: Results) -> Drawing:
    """A row a task, before and after training: cosine against window, a line an arm."""
    found = results.probed.of(CreditAssignment, "init", "best")
    if not found:
        raise Missing(
            "No confirmation and no chosen trial has its gradients cut short (probe "
            "credit_assignment)."
        )
    curves = lines(results, found, _cosines)

    def finish(panel: Axes, task: str) -> None:
        low = min(
            [0.0, *(float(line.min()) for (arm, _), line in curves.items() if arm[0] == task)]
        )
        panel.set_ylim(low - 0.05, 1.05)
        panel.axhline(ALIKE, color=style.MUTED, linewidth=1.0, linestyle=":", zorder=1)
        windows = sorted({x for (arm, _), c in curves.items() if arm[0] == task for x in c.index})
        panel.set_xscale("log", base=2)
        shown = windows[:: max(1, -(-len(windows) // 5))]
        panel.set_xticks(shown, [whole(x) for x in shown])
        panel.minorticks_off()

    return Drawing(
        drawn(results, curves, "window, steps back", "cosine with the\nfull gradient", finish),
        f"""The cosine of the angle between the gradient of the recurrent weights that is cut off so many
        steps before the last, and the full one, on the same sequences. At 1 they point the same way;
        below the dotted line, {ALIKE}, training with so short a window goes another way than the loss
        falls. Medians over an arm's runs. {_shown(results, curves)}""",
        ["file credit_assignment.json"],
        [f.run_id for f in found],
    )


def _cosines(finding: CreditAssignment) -> pd.Series:
    found = {e.steps: e.cosine for e in finding.aligned}
    return pd.Series(found, dtype=float)


def _shown(results: Results, curves: Lines) -> str:
    parts = []
    for when, words in (("before", "before training"), ("after", "after training")):
        needed: Mapping[Arm, float] = {
            arm: float(line.index[line >= ALIKE].min())
            for (arm, at), line in curves.items()
            if at == when and (line >= ALIKE).any()
        }
        if not needed:
            continue
        short, long = min(needed.values()), max(needed.values())
        ends = [(short, [a for a in needed if needed[a] == short])]
        if long > short:
            ends.append((long, [a for a in needed if needed[a] == long]))
        told = [
            f"{whole(steps)} in {listing([named(results, a) for a in arms[:3]])}"
            + (f" and {len(arms) - 3} more" if len(arms) > 3 else "")
            for steps, arms in ends
        ]
        parts.append(f"{words} the shortest window that reaches {ALIKE} is {' and '.join(told)}")
    text = "; ".join(parts)
    return f"{text[:1].upper()}{text[1:]}." if text else f"No window reaches {ALIKE}."

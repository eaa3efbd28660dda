"""What MLflow shows in words: the description of a study's experiment and of an arm's run."""

import itertools
import re
from collections.abc import Collection

from study.spaces.plan import Plan
from study.spaces.space import Arm, Space
from study.tracking.views import children_url, views

_MOST_LINKS = 12
_MOST_LABELS = 12  # of an axis; MLflow's table of the arms has them all


def experiment_note(space: Space, experiment_id: str) -> str:
    """The experiment's description in MLflow, which shows its first line: the question, the views."""
    shown = views(space)[:_MOST_LINKS]
    links = " · ".join(f"[{view.title}]({view.url(experiment_id)})" for view in shown)
    axes = "\n".join(f"- **{axis}**: {_named(labels)}" for axis, labels in space.compare.items())
    note = f"""**{" ".join(space.question.split()) or space.name}** {links}

{space.notes.strip()}

Compared:
{axes or "- one arm"}

{_protocol(space)}

- The views above are in the menu "Views" too; for those with curves, choose the chart view there.
- Filters: `tags.role = 'arm'`, and `'trial'`, `'rerun'`, `'confirmation'` in its place.
- One arm's trials: `tags.arm = '…'`, or open the parent and see its children.
- Curves against **updates**: `train/…`, `validation/…`. Curves against **lag**: `gradient_flow/…`.
- `confirmation/met`: whether the criterion, met on the validation set, held on other sequences too;
  `test/criterion_met`: whether on the test set.
- Before the first update: `init/…`, the worst over the recurrent matrices (each: `audit.json`), and
  the timescales 1 + e^b of the forget gate's biases.
- `state_gradients/…`: how much of the gradient reaches the task's lag (log₁₀ of its norm there over that
  at the end), the share of lags at which a millionth is left, and a verdict: -1 vanishing, 0 kept, 1
  exploding. At the start, within training, and at the end; each lag: `state_gradients.json`.
- `conditioning/init/…`: the leading Lyapunov exponent λ₁ of the untrained network, and how unequally a
  step stretches its state, ln(σ₁/σ_N). Of confirmations also `jacobians/…`, `lyapunov/…`,
  `fixed_points/…`, `memory/…` and `gates/…`. The view "Gradient flow" sorts by them; an arm has medians.
- A confirmation's files have its parameters: `longlag probe RUN` measures that network again.
- In a run's files, where a task has something written: `written.txt`, `attention.png`, `drawn.png`.
- `score`, which the search minimized: steps/budget - 1 when the task was solved (below 0, sooner is
  lower), else the best validation loss over the loss of chance; 10 when it diverged.

`longlag report {space.name}` writes all of this as one page.
"""
    return re.sub(r"(?<!\n)\n *(?=[^\s-])", " ", note)  # MLflow would keep the breaks of paragraphs


def _protocol(space: Space) -> str:
    plan = Plan.of(space)
    repeated = f"; it was searched {space.searches} times, each a parent run of its own"
    told = f"""Each **arm** (a combination of these) is a parent run, with the same budget of {plan.trials}
trials{repeated if space.searches > 1 else ""}; each **trial** is a child run. """
    if plan.selects:
        told += f"""The {min(plan.finalists, plan.trials)} trials of the lowest scores were run again on
{plan.reruns} fresh seeds, each a **rerun**, and the one that solved its task most often was run on
{plan.confirmations} more, its **confirmations**; only those read the test set."""
    else:
        told += f"""The arm's best trial, chosen on the validation set, was run again on {plan.confirmations}
fresh seeds, its **confirmations**; only those read the test set."""
    return told


def _named(labels: Collection[str]) -> str:
    told = ", ".join(itertools.islice(labels, _MOST_LABELS))
    return told if len(labels) <= _MOST_LABELS else f"{told}, … ({len(labels)} in all)"


def arm_note(arm: Arm, experiment_id: str, run_id: str) -> str:
    labels = "\n".join(f"- **{axis}**: {label}" for axis, label in arm.labels.items())
    children = children_url(experiment_id, run_id)
    return f"""An arm of the comparison: [its trials and confirmations]({children}).

{labels}
"""

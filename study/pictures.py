"""The pictures that go with a run. They draw what was measured and measure nothing."""

from collections.abc import Mapping
from io import BytesIO

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from study.probes.gradient_flow import GradientFlow

# Okabe & Ito's colours, told apart by the colour-blind too.
_STAGES = {
    "init": ("at initialization", "#0072B2", "-"),
    "final": ("after training", "#D55E00", "--"),
}


def gradient_flow_picture(title: str, flows: Mapping[str, GradientFlow | None]) -> bytes:
    """A PNG: ‖∂L/∂s_t‖ against lag on a log scale, one panel a state, one line a stage."""
    states = list(dict.fromkeys(s for flow in flows.values() if flow for s in flow.norms)) or ["h"]
    figure = Figure(figsize=(4.6 * len(states) + 0.4, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(states), squeeze=False, sharey=True)[0]
    for axes, state in zip(panels, states, strict=True):
        for stage, (label, colour, dashes) in _STAGES.items():
            flow = flows.get(stage)
            if flow is None or state not in flow.norms:
                continue
            norms = [value if value > 0 else float("nan") for value in flow.norms[state]]
            life = flow.half_life_steps
            half = f"half-life {life:.3g} steps" if life is not None else "no decay"
            text = f"{label}, {half}" if state == states[0] else label
            axes.plot(norms, dashes, color=colour, label=text, linewidth=1.8)
        axes.set_yscale("log")
        axes.set_xlabel("lag before the last step (steps)")
        axes.set_title(f"state {state}", fontsize=10, loc="left")
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        if axes.has_data():
            axes.legend(fontsize=8.5, frameon=False)
        else:
            axes.text(0.5, 0.5, "not finite", ha="center", transform=axes.transAxes)
    panels[0].set_ylabel("‖∂L/∂state‖, mean of sequences")
    figure.suptitle(title, fontsize=11)
    buffer = BytesIO()
    figure.savefig(buffer, dpi=130)
    return buffer.getvalue()

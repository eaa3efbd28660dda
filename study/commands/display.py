"""A sweep on the terminal: a line an arm, and how long it will still take."""

from collections.abc import Iterable, Sequence

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from study.sweep.driver import SweepStatus
from study.sweep.progress import ArmProgress

_COLOURS = {"solved": "green", "pruned": "cyan", "diverged": "red", "failed": "red"}
_BAR = 10
_FRAME = 7  # lines taken by the heading, the totals and warnings


def watch(statuses: Iterable[SweepStatus], title: str, console: Console) -> SweepStatus | None:
    """Show each status until the sweep ends; returns the last.

    On a terminal a table that renews itself; elsewhere a line whenever an arm is done.
    """
    last: SweepStatus | None = None
    if not console.is_terminal:
        done: set[str] = set()
        for last in statuses:
            for arm in last.arms:
                if arm.left == 0 and arm.title not in done:
                    done.add(arm.title)
                    console.print(_line(arm), highlight=False, soft_wrap=True)
        return last
    with Live(console=console, refresh_per_second=4, transient=False) as live:
        for last in statuses:
            live.update(table(last, title, console.height))
        if last is not None:
            live.update(table(last, title, height=10**6))
    return last


def table(status: SweepStatus, title: str, height: int) -> RenderableType:
    """The table; where it would not fit in ``height`` lines, the arms that move come first."""
    grid = Table(title=title, title_justify="left", title_style="bold", expand=False, box=None)
    grid.add_column("arm", no_wrap=True)
    grid.add_column("", width=_BAR)
    # 80 columns must do: an outcome that no trial has had gets no column.
    outcomes = [o for o in _COLOURS if o == "solved" or any(arm.count(o) for arm in status.arms)]
    for name in ("trials", *outcomes, "best's loss", "confirmed"):
        grid.add_column(name, justify="right", no_wrap=True)
    room = max(height - _FRAME, 3)
    arms = status.arms
    if len(arms) > room:
        arms = sorted(arms, key=lambda a: (not a.running, a.left == 0))[:room]
    for arm in arms:
        grid.add_row(*_row(arm, outcomes))
    parts: list[RenderableType] = [grid]
    if hidden := len(status.arms) - len(arms):
        parts.append(Text(f"… and {hidden} more arms", style="dim"))
    parts.append(Text(_totals(status), style="dim"))
    parts += [Text(warning, style="yellow") for warning in status.warnings[-3:]]
    return Group(*parts)


def _row(arm: ArmProgress, outcomes: Sequence[str]) -> list[RenderableType]:
    ended, best = len(arm.trials), arm.chosen or arm.best
    style = "bold" if arm.running else ""
    bar = ProgressBar(
        total=arm.whole,
        completed=len(arm.counted),
        width=_BAR,
    )

    def count(outcome: str) -> Text:
        number = arm.count(outcome)
        return Text(str(number), style=_COLOURS[outcome] if number else "dim")

    solved = f"solved {arm.confirmed_solved}/{len(arm.confirmations)}" if arm.confirmations else ""
    return [
        Text(arm.title, style=style),
        bar,
        Text(f"{ended}/{arm.planned.trials}", style=style),
        *(count(outcome) for outcome in outcomes),
        Text("" if best is None or best.best_loss is None else f"{best.best_loss:.3g}"),
        Text(solved, style="green" if arm.confirmed_solved else ""),
    ]


def best_in_words(arm: ArmProgress) -> str:
    """The validation loss of the trial that is chosen, or has the best score by now; it need not be the
    lowest loss."""
    best = arm.chosen or arm.best
    if best is None or best.best_loss is None:
        return ""
    return f"loss {best.best_loss:.3g}{' (solved)' if best.outcome == 'solved' else ''}"


def _confirmations(arm: ArmProgress) -> str:
    number = len(arm.confirmations)
    return f"{number} confirmation{'s' * (number != 1)}"


def _line(arm: ArmProgress) -> str:
    parts = [f"{arm.title}: {len(arm.trials)}/{arm.planned.trials} trials"]
    parts += [
        f"{arm.count(o)} {o}" for o in ("solved", "pruned", "diverged", "failed") if arm.count(o)
    ]
    if best := best_in_words(arm):
        parts.append(f"best trial's {best}")
    if arm.confirmations:
        parts.append(f"solved {arm.confirmed_solved} of {_confirmations(arm)}")
    return ", ".join(parts)


def _totals(status: SweepStatus) -> str:
    running = sum(arm.running for arm in status.arms)
    parts = [
        f"{running} running on {status.workers} workers",
        f"{duration(status.elapsed_seconds)} so far",
    ]
    if status.left:
        left = status.seconds_left
        parts.append(
            f"{status.left} runs left" + (f", about {duration(left)}" if left is not None else "")
        )
    else:
        parts.append("complete")
    return " · ".join(parts)


def duration(seconds: float) -> str:
    """ "42 s", "3 min 05 s", "2 h 10 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"

"""The page of a search space in the terminal."""

from rich.console import Group, RenderableType
from rich.text import Text

from study.base.errors import MissingFiles
from study.commands.layout import fact_table
from study.spaces.plan import Plan
from study.spaces.space import PROBES_SETTING, Searched, Space, check_files, planned_trials
from study.trial.config import TrialConfig

_PRUNERS = {
    "none": "",
    "beaten": ": stops what has used as many updates as its arm's best trial needed to solve the task",
    "halving": ": stops the worse half, and with it what would leave a plateau later",
    "median": ": stops what is behind the median, and with it what would leave a plateau later",
}


def describe_space(space: Space, path: str) -> RenderableType:
    """The question, the arms, what is fixed, compared and searched."""
    arms = space.arms()
    trials = planned_trials(space)
    total = len(arms) * trials
    facts = fact_table()
    facts.add_row("file", path)
    named = ", ".join(arm.title for arm in arms[:12]) + (" …" if len(arms) > 12 else "")
    facts.add_row("arms", f"{len(arms)}: {named}")
    seeds = f"{space.confirmations} fresh seed{'s' * (space.confirmations != 1)}"
    often = f", searched {space.searches} times" if space.searches > 1 else ""
    facts.add_row(
        "budget",
        f"{trials} trials an arm{often}, {total * space.searches} in all, then {seeds} for the one chosen",
    )
    if Plan.of(space).selects:
        again = f"the best {min(space.finalists, trials)} trials"
        facts.add_row(
            "choice",
            f"{again} run on {space.reruns} further seeds; who solves most often is chosen",
        )
    facts.add_row("sampler", f"{space.sampler}, seed {space.seed}")
    facts.add_row("pruner", f"{space.pruner}{_PRUNERS[space.pruner]}")
    if space.probes is not None:
        facts.add_row("probes", space.probes)
    for axis, labels in space.compare.items():
        for label, settings in labels.items():
            own = space.ranges.get(axis, {}).get(label, {})
            parts = [f"{k} = {v}" for k, v in settings.items()]
            parts += [f"{k} searched from {searched_in_words(s)}" for k, s in own.items()]
            told = ", ".join(parts)
            facts.add_row(f"compare {axis}", f"{label}: {told}")
    for name, searched in space.search.items():
        facts.add_row("search", f"{name} {searched_in_words(searched)}")
    for baseline in space.baselines:
        told = ", ".join(f"{k} = {v}" for k, v in baseline.settings.items())
        who = " ".join(baseline.where.values()) or "every arm"
        facts.add_row("baseline", f"{who}: {told} ({baseline.source})")
    for name, value in space.fixed.items():
        facts.add_row("fixed", f"{name} = {value}")
    try:
        check_files(space)
    except MissingFiles as error:
        facts.add_row("missing", str(error))
    given = {*space.fixed, *space.search, *([] if space.probes is None else [PROBES_SETTING])}
    default = {
        k: v for k, v in TrialConfig().flat().items() if k.startswith("train.") and k not in given
    }
    facts.add_row("default", ", ".join(f"{k} = {v}" for k, v in default.items()) or "-")
    paragraphs = [space.question, *space.notes.strip().split("\n\n")]
    texts = [part for text in paragraphs if text for part in (" ".join(text.split()), "")]
    return Group(Text(space.name, style="bold"), *texts, facts)


def searched_in_words(searched: Searched) -> str:
    """ "0.001 to 0.1, log scale, when model.cell is lstm"."""
    if searched.values is not None:
        text = "one of " + ", ".join(str(v) for v in searched.values)
    else:
        low, high = searched.range
        text = f"{low:g} to {high:g}" + (", log scale" if searched.log else "")
        text += ", log scale of the distance to 1" if searched.log_below_one else ""
    for name, values in searched.when.items():
        text += f", when {name} is {' or '.join(str(v) for v in values)}"
    return text

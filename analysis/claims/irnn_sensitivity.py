"""Claim 9: the IRNN is more sensitive to its settings than the LSTM."""

from analysis.claims.claim import Answer, Claim, NotTested, Studies, define, percent
from analysis.statistics.sign_test import Split, sign_test

STUDY = "claim-sensitivity"


def judge(studies: Studies) -> list[Answer]:
    trials = studies[STUDY].trials
    settings = sorted(name for name in trials if name.startswith("param."))
    ended = trials[trials["outcome"].isin(("solved", "budget", "diverged"))]
    table = ended.pivot_table(
        index=settings, columns="architecture", values="solved", aggfunc="first"
    )
    if not {"irnn", "lstm"} <= set(table):
        raise NotTested(f"{STUDY} lacks an arm.")
    both = table.dropna().astype(bool)
    if len(both) < 24:
        raise NotTested(f"{STUDY} has {len(both)} settings that both arms have tried, too few.")
    lstm, irnn = both["lstm"], both["irnn"]
    split = Split(int((lstm & ~irnn).sum()), int((irnn & ~lstm).sum()), int((lstm == irnn).sum()))
    p = sign_test(split)
    sentence = (
        f"of the same {len(both)} settings the LSTM solves with {int(lstm.sum())}, the IRNN with "
        f"{int(irnn.sum())} (exact McNemar test, {percent(p)})"
    )
    ahead = split.better > split.worse
    return [Answer(sentence, p if ahead else 1.0, 1.0 if ahead else p)]


define(
    Claim(
        number=9,
        name="irnn-sensitivity",
        text=(
            "The IRNN is more sensitive to the learning rate and the clipping threshold than the "
            "LSTM."
        ),
        source=(
            "Le, Jaitly & Hinton (2015), A simple way to initialize recurrent networks of "
            "rectified linear units"
        ),
        studies=(STUDY,),
        supports=(
            "Of the same settings, drawn over three powers of ten of rate and threshold, the LSTM "
            "solves the adding problem of 50 steps with more."
        ),
        contradicts="The IRNN solves it with more.",
        left_out="Each setting is tried with one seed.",
        judge=judge,
        measure="trials",
    )
)

"""Claim 21: clockwork networks generate waveforms better."""

from analysis.claims.claim import Answer, Claim, Studies, define
from analysis.claims.questions import better

STUDY = "claim-clockwork"
WAVEFORMS = ("1", "2", "3")


def judge(studies: Studies) -> list[Answer]:
    return [
        better(studies, STUDY, "clockwork", other, waveform)
        for waveform in WAVEFORMS
        for other in ("elman", "lstm")
    ]


define(
    Claim(
        number=21,
        name="clockwork",
        text=(
            "A clockwork network generates waveforms better than Elman and LSTM of the same "
            "number of parameters."
        ),
        source="Koutník, Greff, Gomez & Schmidhuber (2014), A clockwork RNN",
        studies=(STUDY,),
        supports=(
            "On each of three waveforms it ends with a lower error than both, with about 800 "
            "parameters each."
        ),
        contradicts="One of the two ends with a lower error on a waveform.",
        left_out="Made waveforms in place of recorded ones, Adam in place of SGD with momentum.",
        judge=judge,
        measure="test_loss",
    )
)

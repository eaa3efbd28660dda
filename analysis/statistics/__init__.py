"""Statistics: pure functions on arrays, randomness passed in."""

from typing import TYPE_CHECKING

from study.base.faces import handed_on

if TYPE_CHECKING:
    from analysis.statistics.few_runs import Interval as Interval
    from analysis.statistics.few_runs import iqm as iqm
    from analysis.statistics.few_runs import wilson_interval as wilson_interval
    from analysis.statistics.importance import Importance as Importance
    from analysis.statistics.rank_correlation import RankCorrelation as RankCorrelation
    from analysis.statistics.rank_correlation import spearman as spearman
    from analysis.statistics.rank_correlation import spearman_within as spearman_within
    from analysis.statistics.survival import kaplan_meier as kaplan_meier

__getattr__ = handed_on(
    __name__,
    {
        "Interval": "few_runs",
        "iqm": "few_runs",
        "kaplan_meier": "survival",
        "wilson_interval": "few_runs",
        "Importance": "importance",
        "RankCorrelation": "rank_correlation",
        "spearman": "rank_correlation",
        "spearman_within": "rank_correlation",
    },
)

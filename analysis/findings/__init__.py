"""What came out of a study: an arm's runs in one row, and sentences that claim no more than that."""

from typing import TYPE_CHECKING

from study.base.faces import handed_on

if TYPE_CHECKING:
    from analysis.findings.sentences import Finding as Finding
    from analysis.findings.sentences import findings as findings
    from analysis.findings.summary import summarize as summarize

__getattr__ = handed_on(
    __name__, {"Finding": "sentences", "findings": "sentences", "summarize": "summary"}
)

"""What ``vantage train`` says at its end: did training help, and does seeing more mean knowing more?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vantage.cli.common import err, out
from vantage.errors import DataError

if TYPE_CHECKING:
    from vantage.runs import Run

_MOMENTS = ("before", "after")


def show(run: Run) -> list[str]:
    """Print what the run's evaluations say; the moments of which there is one."""
    moments = [moment for moment in _MOMENTS if run.evaluation(moment).exists()]
    try:
        if moments and run.reasoners(moments[0]).exists():
            _reasoned(run, moments)
        elif moments:
            _answered(run, moments)
    except DataError as error:  # the run is whole, and only some of its files were taken away
        err.print(str(error), style="yellow", soft_wrap=True)
    return moments


def _answered(run: Run, moments: list[str]) -> None:
    from vantage.evaluation import kept
    from vantage.evaluation.outcome_table import outcome_table, seeing, uncertain
    from vantage.evaluation.paired import Comparison
    from vantage.evaluation.paired_table import TRAINING, paired_table

    found = {moment: kept.load(run.evaluation(moment)) for moment in moments}
    last = found[moments[-1]]
    if not run.change.exists():
        out.print(outcome_table(last))
    else:
        out.print(paired_table(Comparison.load(run.change), TRAINING))
        for moment, one in found.items():
            for line in uncertain(one):
                out.print(f"{moment}: {line}")
        if (answer := seeing(last)) is not None:
            out.print(answer)
    out.print()


def _reasoned(run: Run, moments: list[str]) -> None:
    from vantage.evaluation import comparison, kept, paired
    from vantage.evaluation.comparison_table import comparison_table
    from vantage.evaluation.paired_table import TRAINING, verdict

    found = [comparison.load(run.reasoners(moment)) for moment in moments]
    out.print(comparison_table(*found))
    if len(found) == 1:
        return
    for name in [one.reasoner for one in found[-1]]:
        both = [kept.load(run.reasoners(moment), name) for moment in moments]
        out.print(f"{name}: {verdict(paired.compare(both[:1], both[1:]), TRAINING)}")

"""How good a model is: from all its sources, from each source alone, with intervals."""

from vantage.evaluation.evaluate import evaluate, write_rows
from vantage.evaluation.results import Evaluation, Figures, Proportion, figures

__all__ = ["Evaluation", "Figures", "Proportion", "evaluate", "figures", "write_rows"]

"""Captions for a reasoner that sees no pictures: how both are asked, and the reward of a caption (RACRO)."""

from vantage.captions.prompts import Prompts
from vantage.captions.reading import answer_from_caption, final_answer
from vantage.captions.reward import CaptionReward
from vantage.captions.trl import as_trl

__all__ = ["CaptionReward", "Prompts", "answer_from_caption", "as_trl", "final_answer"]

"""What stands in the place of a single-source answer, in the controls of anchor transfer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vantage.errors import EngineError
from vantage.groups import Member
from vantage.rewards import extract
from vantage.samples import Sample
from vantage.worlds import answer_text, gold

if TYPE_CHECKING:
    from vantage.engines.trl.trainer import VantageTrainer


def text(placed: str, sample: Sample, rollout: Member) -> str:
    """A completion that is right, written from the truth, or as a rollout whose answer alone is exchanged.

    Args:
        placed: ``truth`` or ``relabelled``.
        sample: whose truth it is.
        rollout: the rollout whose thought is kept.

    Raises:
        ConfigError: ``truth`` of a sample that is not drawn, so that its reasoning is not known.
    """
    if placed == "truth":
        return gold(sample)
    thought = extract.block(rollout.text, extract.THINK) or ""
    open_, close = f"<{extract.THINK}>", f"</{extract.THINK}>"
    return f"{open_} {thought.strip()} {close} <{extract.ANSWER}> {answer_text(sample.truth)} </{extract.ANSWER}>"


def tokens(written: str, trainer: VantageTrainer) -> list[int]:
    """A completion in the policy's tokens, with its end.

    Raises:
        EngineError: it is longer than a completion may be.
    """
    tokenizer = trainer._tokenizer
    ids = [*tokenizer.encode(written, add_special_tokens=False), tokenizer.eos_token_id]
    if len(ids) > trainer.max_completion_length:
        raise EngineError(f"{written!r} has {len(ids)} tokens, more than max_completion_length")
    return ids

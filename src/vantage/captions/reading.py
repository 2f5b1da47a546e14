r"""The reasoner's final answer, the last ``\boxed{}`` or the one answer block, and how a reward is handed it."""

from __future__ import annotations

from typing import Literal

from vantage.captions.prompts import Prompts
from vantage.endpoints import Endpoint
from vantage.rewards import Reward, extract

AnswerIn = Literal["auto", "box", "tags", "text"]


def final_answer(text: str) -> str | None:
    r"""The content of a reasoner's last ``\boxed{}``, else of its one ``<answer>`` block; ``None`` without either.

    Both count behind the thought only, where there is one; see ``vantage.rewards.extract``.
    """
    box = extract.boxed(extract.after_thought(text))
    return extract.answer(text) if box is None else box


def handed(text: str, answer_in: AnswerIn) -> str:
    """A reasoner's text as a reward reads it: its final answer in a box or in tags, empty where there is none."""
    if answer_in == "text":
        return text
    answer = final_answer(text)
    if answer is None:
        return ""
    if answer_in == "tags":
        return f"<{extract.ANSWER}>{answer}</{extract.ANSWER}>"
    box = f"\\boxed{{{answer}}}"
    # A brace too many in an answer block would close the box before the answer's end.
    return box if extract.boxed(box) == answer else ""


def reads_boxes_only(reward: Reward) -> bool:
    """Whether a reward, or a term of a weighted sum, reads nothing but a box."""
    return "racro-boxed" in getattr(reward, "terms", {reward.name})


def answer_from_caption(
    endpoint: Endpoint, question: str, caption: str, tentative: str | None = None, prompts: Prompts | None = None
) -> str | None:
    """Ask a reasoner one question; its final answer, ``None`` where it gives none.

    Args:
        endpoint: the reasoner.
        question: what is asked.
        caption: all that it is told of the pictures.
        tentative: the extractor's own answer, which it may ignore.
        prompts: how it is asked.

    Raises:
        EndpointError: there is no reply.
        BudgetError: what may be spent is spent.
    """
    messages = (prompts or Prompts()).messages(question, caption, tentative)
    return final_answer(endpoint.ask_sync(messages).text)

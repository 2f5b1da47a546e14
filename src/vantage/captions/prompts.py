"""What the extractor and the reasoner are told (RACRO, arXiv 2506.04559), in words of our own.

The *extractor*, a vision-language model, describes the pictures for a question; the *reasoner*, a text model that never
sees them, answers from the description.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from vantage.errors import ConfigError
from vantage.samples import PromptStyle

# The final command is LaTeX; a template's own fields are {caption}, {question} and {answer}.
_TENTATIVE = r"Think step by step, then put the final answer in \boxed{}."
_REASONER = """Detailed description of the pictures:
{caption}

Question: {question}

Reason step by step, then put the final answer in \\boxed{}."""
_REASONER_TENTATIVE = """Detailed description of the pictures:
{caption}

Question: {question}

A proposed answer, which may be wrong:
{answer}

Reason step by step from the description. Where the proposed answer looks wrong, ignore it. Put the final answer in \
\\boxed{}."""

_FIELD = re.compile(r"(?<![A-Za-z\\])\{([A-Za-z_]\w{0,40})\}")
"""A brace after a letter belongs to a command of LaTeX, as in ``\\boxed{answer}``."""

_MARK = re.compile(
    r"<[|\uff5c][^<>|\uff5c\[\]\s]{1,40}[|\uff5c]>"
    r"|</?(?:image|images|img|picture|video|audio)(?:[ _-]?(?:\d{1,4}|[a-z]{1,12}(?:_[a-z]{1,12})?))? ?/?>"
    r"|<(?:start|end)_of_(?:image|turn)>|\[/?(?:img|image)(?:_(?:break|end))?\]|<img_context>"
    r"|\[/?(?:inst|system_prompt|available_tools|tool_calls|tool_results)\]|<</?sys>>|</?s>|<(?:bos|eos|pad|unk)>",
    re.IGNORECASE,
)
"""Marks that stand for pictures in prompts, and those of control in chats, which no model's text may bring along.

The wide bar is DeepSeek's, in ``<\uff5cAssistant\uff5c>``."""

_GAP = "  "
"""In a mark's place; with two blanks, what stood around it does not make another mark."""

Part = Literal["caption", "tentative"]
"""What the extractor is asked for."""


class Prompts(BaseModel):
    r"""Instructions of both models. Braces that hold no field, as in ``\boxed{}``, stand for themselves."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    extractor: str = (
        "You see one or several pictures and read a question about them. Describe in detail what the pictures show, "
        "above all whatever the question depends on: things, how many, where, what is written, which values. Someone "
        "who cannot see the pictures will answer from your description alone. Do not answer the question yourself."
    )
    """System message of the policy while it writes captions; none where empty."""
    caption: str = ""
    """Text after the question while it writes captions."""
    tentative: str = _TENTATIVE
    """Text after the question while it answers tentatively."""
    tentative_system: str = ""
    """System message of the policy while it answers tentatively; none where empty."""
    reasoner_system: str = ""
    """System message of the reasoner; none where empty."""
    reasoner: str = _REASONER
    """What the reasoner reads: ``{caption}`` and ``{question}``."""
    reasoner_tentative: str = _REASONER_TENTATIVE
    """What it reads where there is a tentative answer: ``{caption}``, ``{question}`` and ``{answer}``."""

    @field_validator("reasoner")
    @classmethod
    def _two_fields(cls, template: str) -> str:
        return _checked(template, ("caption", "question"))

    @field_validator("reasoner_tentative")
    @classmethod
    def _three_fields(cls, template: str) -> str:
        return _checked(template, ("caption", "question", "answer"))

    @classmethod
    def checked(cls, values: Mapping[str, Any]) -> Prompts:
        """From plain values.

        Raises:
            ConfigError: an unknown prompt, or a template whose fields are wrong; names it.
        """
        try:
            return cls.model_validate({**values})
        except ValidationError as error:
            faults = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
            raise ConfigError("prompts: " + "; ".join(faults)) from None

    def style(self, part: Part = "caption", *, label_sources: bool = False) -> PromptStyle:
        """How a sample becomes the extractor's chat messages."""
        if part == "caption":
            return PromptStyle(self.extractor, label_sources, self.caption)
        return PromptStyle(self.tentative_system, label_sources, self.tentative)

    def messages(self, question: str, caption: str, answer: str | None = None) -> list[dict[str, Any]]:
        """What the reasoner is asked: plain text, without any mark of a picture.

        Args:
            question: the sample's.
            caption: what the extractor wrote; braces in it are left alone.
            answer: its tentative answer; ``None`` for none.
        """
        values = {"question": question, "caption": caption, "answer": answer or ""}
        cleaned = {name: unmarked(value) for name, value in values.items()}
        template = self.reasoner if answer is None else self.reasoner_tentative
        # In one pass, so that nothing that a model wrote is taken for a field.
        text = _FIELD.sub(lambda field: cleaned.get(field.group(1), field.group()), template)
        system = [{"role": "system", "content": self.reasoner_system}] if self.reasoner_system else []
        return [*system, {"role": "user", "content": text}]


def unmarked(text: str) -> str:
    """A text as it may stand in a prompt: no marks of pictures or chats, no NUL, nothing that UTF-8 cannot write."""
    text = _MARK.sub(_GAP, text.replace("\0", " "))
    return text.encode("utf-8", "replace").decode("utf-8").strip()


def _checked(template: str, fields: tuple[str, ...]) -> str:
    found = _FIELD.findall(template)
    wanted = ", ".join(f"{{{name}}}" for name in fields)
    for name in found:
        if name not in fields:
            near = get_close_matches(name, fields, n=1)
            hint = f" (did you mean {{{near[0]}}}?)" if near else ""
            raise ValueError(f"unknown field {{{name}}}{hint}; the fields are {wanted}")
    missing = [f"{{{name}}}" for name in fields if name not in found]
    if missing:
        raise ValueError(f"{' and '.join(missing)} missing; the fields are {wanted}")
    return template

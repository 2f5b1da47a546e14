"""From a guest's text to tokens of the policy, or to the reason why it cannot be one of the policy's answers.

What goes into the update must be what the policy itself could have said: a text that stands for a control token or a
picture would break the prompt's pairing with its pictures, or teach the policy to speak for somebody else.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Collection
from typing import Any
from weakref import WeakKeyDictionary

from vantage.errors import ConfigError
from vantage.guests.base import Refusal, Utterance

_NO_TEXT = "\ufffd"
"""What half of a character decodes to."""

_ROUNDING = 1e-6
_EXCHANGE = (("user", "question"), ("assistant", "answer"))

_known: WeakKeyDictionary[Any, tuple[frozenset[int], int]] = WeakKeyDictionary()


def represent(text: str, tokenizer: Any, banned_ids: Collection[int], limit: int, end_id: int) -> list[int] | Refusal:
    """The tokens that stand for a text as an answer of the policy, the one that ends it last.

    Args:
        text: what a guest said.
        tokenizer: the policy's.
        banned_ids: further tokens that must not come, such as those of ``vantage.models.placeholder_ids``; special
            tokens never may.
        limit: the most tokens, the last one included.
        end_id: the token that ends an answer; see ``end_of_turn``.

    Returns:
        The tokens, or a ``Refusal``: ``empty``, ``long``, ``control`` (a special or banned token, also where it was
        written out as text), ``lossy`` (words that the policy's vocabulary does not have, or tokens that stand for
        another text; white space aside, which some tokenizers do not keep).
    """
    if not text.strip():
        return Refusal("empty")
    special, longest = _facts(tokenizer)
    if len(text) > limit * longest:  # before anything reads all of it
        return Refusal(f"long: {len(text)} characters, more than {limit} tokens of at most {longest}")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        return Refusal(f"lossy: {error.reason} at character {error.start}")
    ids = [int(token) for token in tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]]
    unknown = tokenizer.unk_token_id if tokenizer.unk_token and tokenizer.unk_token not in text else None
    found = next((token for token in ids if token != unknown and (token in special or token in banned_ids)), None)
    if found is not None:
        return Refusal(f"control: it holds {tokenizer.convert_ids_to_tokens(found)!r}")
    if unknown is not None and unknown in ids:
        return Refusal("lossy: it holds words or characters that the policy's vocabulary does not have")
    if not ids:
        return Refusal("empty")
    if len(ids) + 1 > limit:
        return Refusal(f"long: {len(ids)} tokens and the last, more than {limit}")
    if _bare(tokenizer.decode(ids, clean_up_tokenization_spaces=False)) != _bare(text):
        return Refusal("lossy: its tokens stand for another text")
    return [*ids, end_id]


def end_of_turn(processor: Any, ends: Collection[int]) -> int:
    """The token with which the policy ends an answer: what its chat template writes behind one.

    It need not be the tokenizer's end-of-sequence token. Where the template ends answers with nothing that ends a
    generation, or knows no answers, it is that token after all.

    Args:
        processor: the policy's.
        ends: tokens at which its generation ends.

    Raises:
        ConfigError: no token ends anything.
    """
    tokenizer = getattr(processor, "tokenizer", processor)
    turns = [{"role": role, "content": [{"type": "text", "text": said}]} for role, said in _EXCHANGE]
    try:
        _, found, rest = processor.apply_chat_template(turns, tokenize=False).rpartition(_EXCHANGE[-1][1])
    except Exception:  # noqa: BLE001 - a template is code of the model's, which raises what it likes
        found = rest = ""
    behind = tokenizer(rest, add_special_tokens=False)["input_ids"] if found else []
    known = [int(token) for token in (tokenizer.eos_token_id, *sorted(ends)) if token is not None]
    if not known:
        raise ConfigError(
            f"{type(tokenizer).__name__} has no end-of-sequence token and the model's generation ends at none, so that "
            "no answer would have an end; set tokenizer.eos_token"
        )
    return next(int(token) for token in (*behind, *known) if token in known)


def aligned_logprobs(utterance: Utterance, ids: list[int], tokenizer: Any) -> list[float] | None:
    """A guest's log-probabilities of the policy's tokens, the one that ends the answer last.

    They can be had only where the guest's tokens are the policy's own, one by one, its end included.

    Args:
        utterance: what it said.
        ids: what ``represent`` made of it.
        tokenizer: the policy's.

    Returns:
        One for each token; ``None`` where the guest gave none, where a token's text differs or holds half of a
        character (which does not say which half), and where a value is no log-probability.
    """
    if utterance.logprobs is None or len(utterance.logprobs) != len(ids):
        return None
    for (text, value), token in zip(utterance.logprobs, ids, strict=True):
        own = tokenizer.decode([token], clean_up_tokenization_spaces=False)
        if text != own or _NO_TEXT in own or not (math.isfinite(value) and value <= _ROUNDING):
            return None
    return [min(value, 0.0) for _, value in utterance.logprobs]


def _facts(tokenizer: Any) -> tuple[frozenset[int], int]:
    """Every special token, and the most characters of one token; a byte-level one has a character for each byte."""
    if tokenizer not in _known:
        marked = (number for number, token in tokenizer.added_tokens_decoder.items() if token.special)
        special = frozenset({*tokenizer.all_special_ids, *marked})
        _known[tokenizer] = special, max(map(len, tokenizer.get_vocab()))
    return _known[tokenizer]


def _bare(text: str) -> str:
    # Many tokenizers compose accents first (NFC); the text stays the same to every reader.
    return "".join(unicodedata.normalize("NFC", text).split())

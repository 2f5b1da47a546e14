"""From what an OpenAI-compatible server sends to a reply, or to words that say what came instead."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeGuard

from vantage.endpoints.messages import sound
from vantage.endpoints.replies import Refusal, Reply
from vantage.errors import EndpointError
from vantage.printing import printable

_SHOWN = 240
_SECRET = 16
"""Characters of a key, at least, that a reply does not hold by chance."""
_CUT = ("length", "max_tokens")
_KEY = re.compile(r"\b(?:(?:sk|pk|rk|hf|gsk|xai|key)[-_][\w*.\-]{6,}|AIza[\w\-]{6,}|[Bb]earer +[^\s\"',}]+)")


def clean(text: str, key: str | None) -> str:
    """A text that came from a server on one line, without the key or what looks like one, shortened and printable."""
    if key:
        for form in (key, json.dumps(key)[1:-1]):
            text = text.replace(form, "***")
    came, text = len(text), " ".join(text.split())
    # What is shown begins so far before this cut that a key which it halves is not shown.
    text = sound(_KEY.sub("***", text[: 20 * _SHOWN]))
    return printable(text) if len(text) <= _SHOWN else printable(text[:_SHOWN]) + f"... ({came} characters)"


def plain(reply: Reply, key: str | None) -> Reply:
    """A reply whose texts can be written as UTF-8 and do not hold the key; a server may put anything into them."""
    wipe = Wipe(key)
    logprobs = reply.logprobs
    if logprobs is not None:
        if wipe.key is not None and wipe.key in "".join(text for text, _ in logprobs):
            logprobs = None
        else:
            logprobs = tuple((sound(text), value) for text, value in logprobs)
    return replace(reply, text=wipe.whole(reply.text), model=wipe.whole(reply.model), logprobs=logprobs)


class Wipe:
    """Takes the key, and halves of characters, out of a text that comes whole or in pieces.

    Args:
        key: of fewer than ``_SECRET`` characters, it is one such as ``EMPTY``, and a reply may well say that.
    """

    def __init__(self, key: str | None) -> None:
        self.key = key if key is not None and len(key) >= _SECRET else None
        self._held = ""

    def whole(self, text: str) -> str:
        """All of a text."""
        return sound(text if self.key is None else text.replace(self.key, "***"))

    def piece(self, text: str) -> str:
        """As much of a text as later pieces cannot change."""
        text = self._held + text
        if self.key is not None:
            text = text.replace(self.key, "***")
        end = len(text) - self._begun(text)
        self._held = text[end:]
        return sound(text[:end])

    def rest(self) -> str:
        """What was held back, at the end."""
        held, self._held = self._held, ""
        return sound(held)

    def _begun(self, text: str) -> int:
        """Characters at the end with which a key, or a character of two halves, may begin."""
        if "\ud800" <= text[-1:] <= "\udbff":
            return 1
        key = self.key or ""
        return next((n for n in range(min(len(key) - 1, len(text)), 0, -1) if text.endswith(key[:n])), 0)


def decode(body: bytes, kind: str) -> Mapping[str, Any]:
    """The JSON object in a body.

    Args:
        body: as it came.
        kind: its content type.

    Raises:
        EndpointError: it is something else; shows it, and is cleaned by whoever shows the error.
    """
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        shown = body.decode("utf-8", "replace")
        what = "an empty body" if not body.strip() else f"{kind or 'no content type'}: {shown}"
        raise EndpointError(f"no JSON came ({type(error).__name__}), but {what}") from None
    if not isinstance(found, dict):
        raise EndpointError(f"a JSON object was expected, and {shape(found)} came")
    return found


def shape(value: object) -> str:
    """A JSON value as a text; not shortened, since a part of a key would not be found any more."""
    try:
        return json.dumps(value)
    except (ValueError, TypeError, RecursionError):
        return type(value).__name__


def message(body: object) -> str:
    """What a server's error body says: its message, else the body as it is."""
    error = body.get("error", body) if isinstance(body, dict) else body
    if isinstance(error, dict):
        for name in ("message", "detail"):
            if isinstance(error.get(name), str):
                return str(error[name])
    return error if isinstance(error, str) else shape(error)


def read(found: Mapping[str, Any]) -> Reply:
    """The reply in a chat completion.

    Raises:
        Refusal: the server holds the reply back.
        EndpointError: there is none.
    """
    if found.get("error"):
        raise EndpointError(f"an error came with status 200: {message(dict(found))}")
    choices = found.get("choices")
    if not isinstance(choices, list) or not choices:
        raise EndpointError(f"no reply: 'choices' is {shape(choices)}")
    choice = choices[0]
    content = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(content, dict):
        raise EndpointError(f"no reply: the first choice is {shape(choice)}")
    reason = choice.get("finish_reason")
    reply = finish(found, content.get("content"), reason, content.get("refusal"))
    return replace(reply, logprobs=_logprobs(choice.get("logprobs")))


def finish(found: Mapping[str, Any], content: object, reason: object, refused: object = None) -> Reply:
    """A reply from its parts; raises as ``read``."""
    if reason == "content_filter" or (isinstance(refused, str) and refused and not content):
        refusal = Refusal(f"the server holds the reply back: {refused or reason}")
        refusal.charged = True
        raise refusal
    if isinstance(content, list):
        content = "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    if content is None and reason in _CUT:
        content = ""  # a model that reasons aside was cut before it said anything
    if not isinstance(content, str):
        raise EndpointError(f"no reply: 'content' is {shape(content)} (finish_reason {shape(reason)})")
    usage = found.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    return Reply(
        text=content,
        finished=reason not in _CUT,
        prompt_tokens=_count(usage.get("prompt_tokens")),
        completion_tokens=_count(usage.get("completion_tokens")),
        model=str(found.get("model") or ""),
    )


def same_model(asked: str, came: str) -> bool:
    """Whether a server's name for a model is a name for the one asked for: servers add versions and paths."""
    asked, came = asked.lower(), came.lower()
    last = asked.rstrip("/").rsplit("/", 1)[-1]
    return not came or came.startswith((asked, last)) or came.endswith("/" + last) or f"/{last}@" in came


def _logprobs(found: object) -> tuple[tuple[str, float], ...] | None:
    """Those of a choice; ``None`` where they are not whole, since the reply is good without them."""
    content = found.get("content") if isinstance(found, dict) else None
    if not isinstance(content, list):
        return None
    pairs: list[tuple[str, float]] = []
    for entry in content:
        token, value = (entry.get("token"), entry.get("logprob")) if isinstance(entry, dict) else (None, None)
        if not isinstance(token, str) or not _finite(value):
            return None
        pairs.append((token, float(value)))
    return tuple(pairs)


def _finite(value: Any) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 2**53


def _count(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53 else 0

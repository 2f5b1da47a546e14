"""Chat messages as they are sent, and what of them makes a request the same."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from PIL import Image, UnidentifiedImageError

from vantage.errors import DataError, PictureError
from vantage.pictures import Source

Message = dict[str, Any]

_ROLES = ("system", "developer", "user", "assistant", "tool")
_AS_THEY_ARE = {"JPEG": "image/jpeg", "PNG": "image/png"}
_EIGHT_BIT = {"1", "L", "LA", "P", "RGB", "RGBA"}
_ORIENTATION = 0x0112
_MOST_TOKENS_A_PICTURE = 16_384
_MARKUP = 16
"""Tokens that a chat template may add around a message, at most."""


def prepare(messages: Sequence[Mapping[str, Any]]) -> list[Message]:
    """Messages as a server takes them: plain text or text parts, and pictures as data URLs.

    A part ``{"type": "image", "image": ...}`` holds a path, bytes, a PIL picture or a ``Source``. Upright 8-bit JPEG
    and PNG files are sent as they are, others as PNG. Half surrogate pairs, which no server can be sent, become U+FFFD.

    Raises:
        DataError: no messages, or one of another form; says which.
        PictureError: a picture that cannot be read.
    """
    if isinstance(messages, (str, bytes)) or not isinstance(messages, Sequence) or not messages:
        raise DataError(f"a conversation is a list of messages with 'role' and 'content', not {_short(messages)}")
    return [_message(number, message) for number, message in enumerate(messages)]


def has_pictures(messages: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a message holds anything but text."""
    contents = [message.get("content") for message in messages if isinstance(message, Mapping)]
    return any(
        isinstance(part, Mapping) and part.get("type") != "text"
        for content in contents
        if isinstance(content, Sequence) and not isinstance(content, (str, bytes))
        for part in content
    )


def identity(messages: Sequence[Message]) -> list[Any]:
    """What of prepared messages enters a key: pictures by the hash of their bytes, so that keys stay small."""
    return [
        {**message, "content": [_part_identity(part) for part in message["content"]]}
        if isinstance(message.get("content"), list)
        else message
        for message in messages
    ]


def most_tokens(messages: Sequence[Message]) -> int:
    """More tokens than prepared messages can be: no tokenizer makes more than one of a byte of UTF-8."""
    total = _MARKUP
    for message in messages:
        total += _MARKUP
        for key, value in message.items():
            parts = value if isinstance(value, list) and key == "content" else [value]
            for part in parts:
                picture = isinstance(part, dict) and part.get("type") == "image_url"
                total += _MOST_TOKENS_A_PICTURE if picture else len(str(part).encode("utf-8"))
    return total


def sound(text: str) -> str:
    """A text that can be written as UTF-8: halves of a surrogate pair are joined, and one alone becomes U+FFFD."""
    try:
        text.encode("utf-8")
        return text
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def texts(messages: Sequence[Message]) -> Iterator[tuple[str, str]]:
    """Role and text of each message.

    Raises:
        DataError: a message holds a picture.
    """
    if has_pictures(messages):
        raise DataError("this model reads text only, and a message holds a picture")
    for message in messages:
        content = message["content"]
        yield message["role"], content if isinstance(content, str) else "".join(part["text"] for part in content)


def _message(number: int, message: Mapping[str, Any]) -> Message:
    where = f"message {number}"
    if not isinstance(message, Mapping) or "content" not in message:
        raise DataError(f"{where}: a message has 'role' and 'content', got {_short(message)}")
    if message.get("role") not in _ROLES:
        raise DataError(f"{where}: role {_short(message.get('role'))}, expected one of {', '.join(_ROLES)}")
    content = message["content"]
    if isinstance(content, str):
        return {**message, "content": sound(content)}
    if isinstance(content, Sequence) and not isinstance(content, bytes):
        return {**message, "content": [_part(where, part) for part in content]}
    raise DataError(f"{where}: content is text or a list of parts, not {_short(content)}")


def _part(where: str, part: Any) -> Message:
    kind = part.get("type") if isinstance(part, Mapping) else None
    if kind == "text" and isinstance(part.get("text"), str):
        return {"type": "text", "text": sound(part["text"])}
    if kind == "image" and "image" in part:
        return {"type": "image_url", "image_url": {"url": _data_url(part["image"])}}
    if kind == "image_url":
        return dict(part)
    raise DataError(
        f"{where}: a part is {{'type': 'text', 'text': ...}} or {{'type': 'image', 'image': ...}}, got {_short(part)}"
    )


def _data_url(image: Any) -> str:
    source = image if isinstance(image, Source) else Source(image)
    content = source.content()
    mime = _mime(content, source.ref) if not source.mapping else None
    if mime is None:
        buffer = io.BytesIO()
        source.load().save(buffer, "PNG")
        content, mime = buffer.getvalue(), "image/png"
    return f"data:{mime};base64,{base64.b64encode(content).decode('ascii')}"


def _mime(content: bytes, ref: str) -> str | None:
    """The type of a file that can be sent as it is; ``None`` where it must be made anew."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            upright = image.getexif().get(_ORIENTATION, 1) == 1
            return _AS_THEY_ARE.get(image.format or "") if upright and image.mode in _EIGHT_BIT else None
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise PictureError(f"{ref}: not a readable picture ({error})") from error


def _part_identity(part: Message) -> Message:
    url = part["image_url"].get("url", "") if isinstance(part.get("image_url"), dict) else ""
    if not url.startswith("data:") or ";base64," not in url:
        return part
    mime, _, content = url.partition(";base64,")
    kept = {key: value for key, value in part["image_url"].items() if key != "url"}
    return {
        "type": "image",
        "mime": mime,
        "sha256": hashlib.sha256(content.encode("ascii", "replace")).hexdigest(),
        **kept,
    }


def _short(value: object) -> str:
    text = repr(value) if isinstance(value, (str, int, float, type(None))) else type(value).__name__
    return text if len(text) <= 80 else text[:77] + "..."

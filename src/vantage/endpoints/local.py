"""Hugging Face text models on this machine, behind the face of a server."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from vantage.endpoints import messages as chat
from vantage.endpoints.base import Endpoint
from vantage.endpoints.decoding import PieceStreamer, SeededSampling
from vantage.endpoints.replies import Emit, Refusal, Reply, Request
from vantage.endpoints.settings import EndpointSettings
from vantage.errors import ConfigError, EndpointError

_LOAD_ERRORS = (OSError, ValueError, KeyError, ImportError, TypeError, AttributeError, RuntimeError, SafetensorError)
_GATHERING = 0.002
"""Seconds in which questions that come together find into one batch."""
_HASHED_BYTES = 64 * 2**20
"""Weights of more bytes are told apart by name, size and time instead of content."""


@dataclass
class _Row:
    """A question that waits for its batch."""

    ids: list[int]
    limit: int
    seed: int
    reply: asyncio.Future[Reply]
    emit: Emit | None = None


class LocalEndpoint(Endpoint):
    """A text model with a chat template, loaded at once and run in a thread of its own.

    Questions that wait together are answered as a batch, padded on the left. Sampled replies draw random numbers of
    their own, so that neither batches nor the order of questions change what is drawn.

    Args:
        settings: ``model`` is a folder or a name on the hub; ``device`` where it runs.
        folder: where the model lies, if not where its name says.

    Raises:
        ConfigError: it does not load, lacks weights or a chat template, or settings that only servers know.
    """

    def __init__(self, settings: EndpointSettings, folder: str | None = None) -> None:
        super().__init__(str(settings.model), settings)
        if unknown := sorted(set(settings.extra) - {"chat_template_kwargs"}):
            raise ConfigError(f"{self.name}: extra.{unknown[0]}: a local model knows extra.chat_template_kwargs only")
        self._path = folder or str(settings.model)
        self._tokenizer, self._model = _load(self._path, settings)
        self._sum = _fingerprint(self._path, self._model)
        self._window = _positive(getattr(self._model.config.get_text_config(), "max_position_embeddings", None))
        self._longest = _positive(self._model.generation_config.max_new_tokens)
        self._ends = _ends(self._model, self._tokenizer)
        self._pad = (
            self._tokenizer.pad_token_id if self._tokenizer.pad_token_id is not None else min(self._ends, default=0)
        )
        self._waiting: list[_Row] = []
        self._working: asyncio.Task[None] | None = None
        self._stop = threading.Event()

    def _identity(self) -> dict[str, Any]:
        # The name of a folder stays when a new model is saved to it.
        return {"model": self.settings.model, "weights": self._sum}

    def _width(self) -> int:
        return max(self.settings.concurrency, 2 * self.settings.batch_size)

    async def _call(self, request: Request, emit: Emit | None) -> Reply:
        here = asyncio.get_running_loop()
        ids = self._ids(request)
        limits = [self.settings.max_tokens, self._longest, self._window and self._window - len(ids)]
        limit = min(value for value in limits if value is not None)
        if limit < 1:
            raise Refusal(f"{self.name}: the question has {len(ids)} tokens, and the model's window {self._window}")
        seed = request.seed if request.seed is not None else int(request.key[:8], 16)
        row = _Row(ids, limit, seed, here.create_future(), emit)
        self._waiting.append(row)
        if self._working is None or self._working.done() or self._working.get_loop() is not here:
            self._working = here.create_task(self._work())
        return await row.reply

    async def _close(self) -> None:
        self._stop.set()  # what is being generated ends after its next token
        if self._working is not None and not self._working.done():
            await asyncio.wait([self._working])
        self._stop.clear()
        await super()._close()

    def _ids(self, request: Request) -> list[int]:
        turns = [{"role": role, "content": text} for role, text in chat.texts(request.messages)]
        options = self.settings.extra.get("chat_template_kwargs", {})
        try:
            text = self._tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False, **options)
        except Exception as error:  # a template is code of the model's, which raises what it likes
            raise Refusal(f"{self.name}: the chat template refuses these messages ({error})") from error
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    async def _work(self) -> None:
        """Answer batch after batch while questions wait."""
        here = asyncio.get_running_loop()
        await asyncio.sleep(_GATHERING)
        while self._waiting:
            batch = self._next()
            try:
                replies = await here.run_in_executor(self._here().thread, self._generate, batch)
            except Exception as error:  # noqa: BLE001 - told to everyone in the batch
                fault = f"{self.name}: generation failed ({type(error).__name__}: {str(error)[:200]})"
                for row in batch:
                    if not row.reply.done():
                        row.reply.set_exception(EndpointError(fault))
            else:
                for row, reply in zip(batch, replies, strict=True):
                    if not row.reply.done():
                        row.reply.set_result(reply)
            await asyncio.sleep(0)  # whoever got a reply may ask the next question

    def _next(self) -> list[_Row]:
        """Questions in the order they came that may be answered together."""
        self._waiting = [row for row in self._waiting if not row.reply.done()]  # callers may have left
        if not self._waiting:
            return []
        first = self._waiting[0]
        alone = first.emit is not None
        fits = [row for row in self._waiting if row.limit == first.limit and row.emit is None]
        batch = [first] if alone else fits[: self.settings.batch_size]
        taken = set(map(id, batch))
        self._waiting = [row for row in self._waiting if id(row) not in taken]
        return batch

    def _generate(self, batch: list[_Row]) -> list[Reply]:
        """Answer a batch, in the worker's thread."""
        if not batch:
            return []
        try:
            return self._run(batch)
        except torch.OutOfMemoryError:
            if len(batch) == 1:
                raise
        half = len(batch) // 2
        return self._generate(batch[:half]) + self._generate(batch[half:])

    def _run(self, batch: list[_Row]) -> list[Reply]:
        settings = self.settings
        length = max(len(row.ids) for row in batch)
        ids_B_T = torch.tensor([[self._pad] * (length - len(row.ids)) + row.ids for row in batch])
        mask_B_T = torch.tensor([[0] * (length - len(row.ids)) + [1] * len(row.ids) for row in batch])
        sampling = []
        if settings.temperature > 0:
            sampling = [SeededSampling([row.seed for row in batch], settings.temperature, settings.top_p)]
        streamer = None if batch[0].emit is None else PieceStreamer(self._text, _while_read(batch[0]))
        with torch.inference_mode():
            out_B_T = self._model.generate(
                input_ids=ids_B_T.to(self._model.device),
                attention_mask=mask_B_T.to(self._model.device),
                generation_config=GenerationConfig(
                    do_sample=False,
                    max_new_tokens=batch[0].limit,
                    eos_token_id=self._ends or None,
                    pad_token_id=self._pad,
                    bos_token_id=self._model.generation_config.bos_token_id,
                    suppress_tokens=self._model.generation_config.suppress_tokens,
                ),
                logits_processor=sampling,
                stopping_criteria=[self._stopped],
                streamer=streamer,
            )
        if self._stop.is_set():
            raise EndpointError("closed while the reply was being written")
        new = out_B_T[:, length:].tolist()
        return [self._reply(row, ids) for row, ids in zip(batch, new, strict=True)]

    def _reply(self, row: _Row, ids: list[int]) -> Reply:
        end = next((place for place, token in enumerate(ids) if token in self._ends), None)
        own = ids if end is None else ids[: end + 1]
        return Reply(self._text(own), end is not None, len(row.ids), len(own), self.name)

    def _text(self, ids: list[int]) -> str:
        return str(self._tokenizer.decode(ids, skip_special_tokens=True))

    def _stopped(self, input_ids: torch.Tensor, scores: object, **_: object) -> torch.Tensor:
        return torch.full((input_ids.shape[0],), self._stop.is_set(), device=input_ids.device)


def _while_read(row: _Row) -> Emit:
    """Hands pieces over, and ends the generation once nobody waits for them."""

    def tell(text: str) -> None:
        if row.emit is None or row.reply.cancelled():
            raise EndpointError("nobody reads the reply")
        row.emit(text)

    return tell


def _load(path: str, settings: EndpointSettings) -> tuple[Any, Any]:
    folder = Path(path).expanduser()
    local = folder.is_dir()
    if not local and (path.startswith(("/", ".", "~")) or path.count("/") > 1):
        raise ConfigError(
            f"{path!r}: no such folder; a model is a local folder or a name on the Hub such as 'org/name'"
        )
    name = str(folder) if local else path
    options: dict[str, Any] = {"trust_remote_code": settings.trust_remote_code, "local_files_only": local}
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, **options)
        model, info = AutoModelForCausalLM.from_pretrained(name, dtype="auto", output_loading_info=True, **options)
        device = settings.device or torch.accelerator.current_accelerator() or "cpu"
        model = model.to(device).eval()
    except _LOAD_ERRORS as error:
        raise ConfigError(f"{path}: the text model cannot be loaded ({' '.join(str(error).split())[:300]})") from error
    if missing := sorted(info.get("missing_keys", ())):
        raise ConfigError(f"{path}: the checkpoint lacks {len(missing)} weights, the first is {missing[0]!r}")
    if not tokenizer.chat_template:
        raise ConfigError(f"{path}: the tokenizer has no chat template; an endpoint is asked in chat messages")
    return tokenizer, model


def _fingerprint(path: str, model: Any) -> str:
    """What tells these weights from others of the same name."""
    found = hashlib.sha256()
    folder = Path(path).expanduser()
    files = sorted(folder.glob("*.safetensors")) if folder.is_dir() else []
    if not files:
        return str(getattr(model.config, "_commit_hash", None) or "")
    small = sum(file.stat().st_size for file in files) <= _HASHED_BYTES
    for file in files:
        if small:
            found.update(file.read_bytes())
        else:
            found.update(f"{file.name} {file.stat().st_size} {file.stat().st_mtime_ns}\n".encode())
    return found.hexdigest()


def _ends(model: Any, tokenizer: Any) -> list[int]:
    """Ids of the tokens that end a reply."""
    named = model.generation_config.eos_token_id
    if named is None:
        named = tokenizer.eos_token_id
    return [] if named is None else sorted(named) if isinstance(named, list) else [int(named)]


def _positive(value: object) -> int | None:
    return value if isinstance(value, int) and value > 0 else None

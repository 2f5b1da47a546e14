"""Models and processors of Hugging Face checkpoints, and what must be known of them before training.

A processor turns chat messages into token ids and picture tensors. Families differ in how they resize a picture and how
many tokens it becomes, so both are asked of the processor itself and never computed beside it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import torch
import transformers
from PIL import Image
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor
from transformers.utils import cached_file

from vantage.errors import ConfigError, DataError
from vantage.rewards.frames import Size, image_size
from vantage.samples import MappedSamples, Sample

IMAGE_ONLY = ("Qwen2VLProcessor", "Qwen2_5_VLProcessor", "Qwen3VLProcessor")
"""Processors whose video part needs torchvision, and which work for pictures without it."""

_PLACEHOLDER_KEYS = re.compile(r"^(image|video|audio|vision|boi|eoi|boa|eoa|img)[a-z_]*_token_(id|index)$")
_PLACEHOLDER_TOKEN = re.compile(r"^[<\[].*(image|img|video|audio|vision).*[>\]]$", re.IGNORECASE)
_LOAD_ERRORS = (OSError, ValueError, KeyError, ImportError, TypeError, AttributeError, RuntimeError, SafetensorError)


def load_processor(path: str | Path, *, trust_remote_code: bool = False, **kwargs: Any) -> Any:
    """The processor of a checkpoint, padding on the left, as generation needs it.

    Qwen-VL processors contain a video part, which needs torchvision. Where that part alone cannot be built, the same
    processor is built without it: pictures only, resized by Pillow. It saves and loads like the full one; a file that
    configures the missing part is kept and saved again.

    Args:
        path: a local folder, from which nothing else is fetched, or a name on the Hugging Face Hub.
        trust_remote_code: run code that the checkpoint brings along; nobody is asked.
        **kwargs: passed on.

    Raises:
        ConfigError: no such folder, or nothing there that loads.
    """
    name, options = _locate(path, trust_remote_code, kwargs)
    options |= kwargs
    try:
        processor = AutoProcessor.from_pretrained(name, **options)
    except _LOAD_ERRORS as error:
        class_name = _processor_class(name, options)
        if class_name not in IMAGE_ONLY or not re.search("torchvision|video", str(error), re.IGNORECASE):
            raise ConfigError(f"{name}: the processor cannot be loaded ({_brief(error)})") from error
        try:
            processor = image_only_processor(class_name).from_pretrained(name, **options)
        except _LOAD_ERRORS as second:
            raise ConfigError(f"{name}: the processor cannot be loaded ({_brief(second)})") from second
        file = _file(name, "video_preprocessor_config.json", options)
        processor.kept_files = {file.name: file.read_text(encoding="utf-8")} if file else {}
    if getattr(processor, "image_processor", None) is None or getattr(processor, "tokenizer", None) is None:
        raise ConfigError(
            f"{name}: {type(processor).__name__} has no image processor; a vision-language model needs one"
        )
    processor.tokenizer.padding_side = "left"
    return processor


@cache
def image_only_processor(class_name: str) -> type[Any]:
    """A processor class of ``transformers`` without its video part, under the same name.

    The name is kept so that what it saves is read by the full class where torchvision is present.
    """
    base = getattr(transformers, class_name)

    class ImageOnly(base):  # type: ignore[misc, valid-type]
        kept_files: Mapping[str, str] = {}

        # The parameters name the parts that are loaded and saved; the video part is not among them.
        def __init__(self, image_processor: Any = None, tokenizer: Any = None, chat_template: Any = None, **_: Any):
            super().__init__(image_processor, tokenizer, None, chat_template=chat_template)

        def save_pretrained(self, save_directory: str | Path, *args: Any, **kwargs: Any) -> Any:
            saved = super().save_pretrained(save_directory, *args, **kwargs)
            for name, text in self.kept_files.items():
                (Path(save_directory) / name).write_text(text, encoding="utf-8")
            return saved

    ImageOnly.__name__ = ImageOnly.__qualname__ = class_name
    return ImageOnly


def __getattr__(name: str) -> Any:
    # Worker processes look a processor's class up by module and name.
    if name in IMAGE_ONLY:
        return image_only_processor(name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def load_model(
    path: str | Path,
    dtype: str | torch.dtype = "auto",
    attn_implementation: str | None = None,
    device_map: Any = None,
    *,
    trust_remote_code: bool = False,
    **kwargs: Any,
) -> Any:
    """The vision-language model of a checkpoint, in evaluation mode.

    A checkpoint that holds a LoRA adapter alone is loaded onto the model that it was trained from.

    Args:
        path: a local folder, from which nothing else is fetched, or a name on the Hugging Face Hub.
        dtype: of the weights; ``auto`` keeps the checkpoint's.
        attn_implementation: for example ``sdpa`` or ``flash_attention_2``; the library's choice where ``None``.
        device_map: passed on where given.
        trust_remote_code: run code that the checkpoint brings along; nobody is asked.
        **kwargs: passed on.

    Raises:
        ConfigError: no such folder, nothing there that loads, or weights that the checkpoint lacks: they would be
            drawn at random.
    """
    name, options = _locate(path, trust_remote_code, kwargs)
    given = {"attn_implementation": attn_implementation, "device_map": device_map}
    options |= {key: value for key, value in given.items() if value is not None} | kwargs
    try:
        model, info = AutoModelForImageTextToText.from_pretrained(
            name, dtype=dtype, output_loading_info=True, **options
        )
    except _LOAD_ERRORS as error:
        raise ConfigError(f"{name}: the model cannot be loaded{_adapter_of(name)} ({_brief(error)})") from error
    if missing := sorted(info.get("missing_keys", ())):
        raise ConfigError(f"{name}: the checkpoint lacks {len(missing)} weights, the first is {missing[0]!r}")
    return model.eval()


def load_config(path: str | Path, *, trust_remote_code: bool = False) -> Any:
    """The configuration of a checkpoint, without its weights.

    Raises:
        ConfigError: no such folder, or nothing there that loads.
    """
    name, options = _locate(path, trust_remote_code, {})
    try:
        return AutoConfig.from_pretrained(name, **options)
    except _LOAD_ERRORS as error:
        raise ConfigError(f"{name}: the configuration cannot be loaded ({_brief(error)})") from error


def placeholder_ids(config: Any, tokenizer: Any) -> list[int]:
    """Ids of every token that stands for, or frames, a picture, a video or a sound; sorted.

    A policy that samples one breaks the pairing of placeholders and pictures, so they are never to be sampled. They are
    found in the model's configuration and among the tokenizer's added tokens (``<image>``, ``<|image_pad|>``,
    ``<|vision_start|>`` and the like).
    """
    found: set[int] = set()
    for level in (config, getattr(config, "text_config", None)):
        values = level.to_dict() if level is not None else {}
        found |= {
            value
            for key, value in values.items()
            if _PLACEHOLDER_KEYS.match(key) and isinstance(value, int) and not isinstance(value, bool) and value >= 0
        }
    found |= {i for i, token in tokenizer.added_tokens_decoder.items() if _PLACEHOLDER_TOKEN.match(str(token))}
    return sorted(found)


def context_window(config: Any) -> int | None:
    """The most tokens, prompt and completion together, that the model was made for; ``None`` where it does not say."""
    value = getattr(config.get_text_config(), "max_position_embeddings", None)
    return value if isinstance(value, int) and value > 0 else None


_resized: WeakKeyDictionary[Any, dict[Size, Size]] = WeakKeyDictionary()


def resized_size(processor: Any, size: Size) -> Size:
    """Width and height of a picture of that (width, height) as the model sees it; measured once per size.

    The image processor is run on a blank picture. For processors that cut pictures to a fixed size it is that size.

    Raises:
        ConfigError: the processor does not accept the size, or gives pictures in a layout that hides their size
            (tiles, for example).
    """
    pictures = processor.image_processor
    known = _resized.setdefault(pictures, {})
    if size not in known:
        try:
            out = pictures(images=[Image.new("RGB", size)], return_tensors="np")
        except (ValueError, TypeError, OSError) as error:
            raise ConfigError(f"{type(pictures).__name__} refuses a {size[0]}x{size[1]} picture: {error}") from error
        known[size] = _shown_size(pictures, out)
    return known[size]


def _shown_size(pictures: Any, out: Mapping[str, Any]) -> Size:
    if "image_grid_thw" in out:
        _, rows, columns = (int(x) for x in out["image_grid_thw"][0])
        return columns * int(pictures.patch_size), rows * int(pictures.patch_size)
    shape: tuple[int, ...] = tuple(getattr(out.get("pixel_values"), "shape", ()))
    if len(shape) == 4 and shape[:2] == (1, 3):
        return int(shape[3]), int(shape[2])
    raise ConfigError(
        f"{type(pictures).__name__} gives pixel values of shape {shape}, from which the size of the resized "
        "picture cannot be told; use the frame 'pixel' or 'relative'"
    )


def with_resized_size(samples: Sequence[Sample], processor: Any) -> Sequence[Sample]:
    """A view of the samples in which rows with the frame ``resized`` know their size before and after resizing.

    Such rows gain ``image_size`` and ``resized_size`` in their metadata, both (width, height) as lists, when they are
    taken from the view; other rows pass as they are.

    Raises (when a row is taken):
        ConfigError: as ``resized_size``.
        DataError: the processor crops the row's picture, so that boxes in the crop say nothing of the whole.
    """
    return MappedSamples(samples, lambda sample: measure_resized(sample, processor))


def measure_resized(sample: Sample, processor: Any) -> Sample:
    """One sample as ``with_resized_size`` shows it; raises what that does."""
    if "resized" not in (sample.metadata.get("frame"), sample.metadata.get("truth_frame")):
        return sample
    before = image_size(sample)
    after = resized_size(processor, before)
    # Resizing to whole patches bends a picture by a patch at most; a crop bends it by what it cuts off.
    if getattr(processor.image_processor, "do_center_crop", False) and before[0] * after[1] != before[1] * after[0]:
        raise DataError(
            f"row {sample.id!r}: {type(processor.image_processor).__name__} crops its {before[0]}x{before[1]} "
            f"picture to {after[0]}x{after[1]}, so the frame 'resized' does not cover the whole picture; "
            "use 'pixel' or 'relative'"
        )
    return replace(sample, metadata={**sample.metadata, "image_size": list(before), "resized_size": list(after)})


def prompt_length(processor: Any, messages: Sequence[Mapping[str, Any]]) -> int:
    """Tokens of a prompt as the model gets it: text, markup and pictures, by running the processor on it."""
    encoded = processor.apply_chat_template(
        [list(messages)], add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
    )
    return int(encoded["input_ids"].shape[-1])


class PromptMeter:
    """Lengths of many prompts, without processing every picture.

    What a tuple of pictures adds to a text depends on their sizes alone, so it is measured by running the processor on
    blank pictures, once per tuple of sizes. Where the processor has a counter of its own, and the counter has agreed
    with the first measurements, it stands in for the rest.
    """

    _TRUST_AFTER = 3

    def __init__(self, processor: Any) -> None:
        self.processor = processor
        self._added: dict[tuple[Size, ...], int] = {}
        self._differences: list[int] = []

    def length(self, messages: Sequence[Mapping[str, Any]], sizes: Sequence[Size]) -> int:
        """Tokens of a prompt, as ``prompt_length`` counts them.

        Args:
            messages: chat messages whose pictures may be of any size, 1x1 for example; they are not looked at.
            sizes: (width, height) of the real pictures, in the order of the messages.
        """
        text = self.processor.apply_chat_template([list(messages)], add_generation_prompt=True, tokenize=False)[0]
        own = len(self.processor.tokenizer(text, add_special_tokens=False)["input_ids"])
        key = tuple(sizes)
        if key not in self._added:
            counted = self._counted(key)
            if counted is not None and self._trusted():
                self._added[key] = counted + self._differences[0]
            else:
                self._added[key] = prompt_length(self.processor, _blank(messages, key)) - own
                if counted is not None:
                    self._differences.append(self._added[key] - counted)
        return own + self._added[key]

    def _trusted(self) -> bool:
        return len(self._differences) >= self._TRUST_AFTER and len(set(self._differences)) == 1

    def _counted(self, sizes: tuple[Size, ...]) -> int | None:
        counter = getattr(self.processor, "_get_num_multimodal_tokens", None)
        if counter is None:
            return None
        tokens = counter(image_sizes=[(height, width) for width, height in sizes])["num_image_tokens"]
        # A picture's one placeholder in the text is part of its tokens.
        return sum(tokens) - len(sizes)


def _blank(messages: Sequence[Mapping[str, Any]], sizes: Sequence[Size]) -> list[dict[str, Any]]:
    """The messages with blank pictures of those sizes in their picture parts."""
    left = iter(sizes)

    def part(item: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"type": "image", "image": Image.new("RGB", next(left))} if item["type"] == "image" else item

    return [
        {**m, "content": m["content"] if isinstance(m["content"], str) else [part(item) for item in m["content"]]}
        for m in messages
    ]


def _locate(path: str | Path, trust_remote_code: bool, kwargs: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The name to load, and the options that keep a local folder from the network and the library from asking."""
    # Where it is not given, the library asks on the terminal whether to trust, and waits.
    options = {"trust_remote_code": trust_remote_code}
    folder = Path(path).expanduser()
    if str(path).strip() and folder.is_dir():
        return str(folder), options | {"local_files_only": True}
    text = str(path)
    if isinstance(path, Path) or text.startswith(("/", ".", "~")) or text.count("/") > 1 or not text.strip():
        raise ConfigError(
            f"{text!r}: no such folder; a model is a local folder or a name on the Hub such as 'org/name'"
        )
    try:
        # One question before many: without a network every file would be asked for again and again.
        AutoConfig.from_pretrained(text, **options, **_hub(kwargs))
    except OSError as error:
        raise ConfigError(
            f"{text!r}: neither a local folder nor a model that can be fetched ({_brief(error)})"
        ) from error
    except _LOAD_ERRORS:
        pass  # what else may be wrong with it is said by who loads it
    return text, options


def device() -> torch.device:
    """Where to run a model that is not being trained: the first accelerator, else the processor."""
    return torch.accelerator.current_accelerator() or torch.device("cpu")


def _file(name: str, file: str, options: Mapping[str, Any]) -> Path | None:
    found = cached_file(
        name,
        file,
        _raise_exceptions_for_gated_repo=False,
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_connection_errors=False,
        **_hub(options),
    )
    return Path(found) if found else None


def _hub(options: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the options that say where and how files are fetched."""
    return {key: options[key] for key in ("cache_dir", "revision", "token", "local_files_only") if key in options}


def _processor_class(name: str, options: Mapping[str, Any]) -> str:
    """The processor's class as the checkpoint names it, else as its model type implies; empty where unknown."""
    for file in ("processor_config.json", "preprocessor_config.json", "tokenizer_config.json"):
        found = _file(name, file, options)
        if found is not None:
            value = json.loads(found.read_text(encoding="utf-8")).get("processor_class")
            if value:
                return str(value)
    try:
        config = AutoConfig.from_pretrained(name, **options)
    except _LOAD_ERRORS:
        return ""
    by_type = {"qwen2_vl": IMAGE_ONLY[0], "qwen2_5_vl": IMAGE_ONLY[1], "qwen3_vl": IMAGE_ONLY[2]}
    return by_type.get(config.model_type.removesuffix("_moe"), "")


def _adapter_of(name: str) -> str:
    """Which model a local folder's adapter needs; empty where the folder holds no adapter."""
    file = Path(name) / "adapter_config.json"
    if not file.is_file():
        return ""
    return f"; it is an adapter of {json.loads(file.read_text(encoding='utf-8')).get('base_model_name_or_path')!r}"


def _brief(error: BaseException) -> str:
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0][:300]}"

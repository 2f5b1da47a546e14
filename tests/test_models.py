import json
import pickle
import shutil
from dataclasses import replace

import pytest
import torch
from peft import LoraConfig, get_peft_model
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import LlavaProcessor
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from rows import row
from tiny_qwen import SPECIAL, build_tiny_qwen, byte_tokenizer
from vantage import models
from vantage.errors import ConfigError, DataError
from vantage.samples import PromptStyle

torch.set_num_threads(1)

FAMILIES = {"qwen2_5_vl": (1288, 1036, 1702), "qwen3_vl": (1280, 1024, 1280)}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("qwen")
    return {family: build_tiny_qwen(folder / family, family) for family in FAMILIES}


@pytest.fixture(scope="module", params=FAMILIES)
def family(request):
    return request.param


@pytest.fixture(scope="module")
def folder(folders, family):
    return folders[family]


@pytest.fixture(scope="module")
def processor(folder):
    return models.load_processor(folder)


@pytest.fixture(scope="module")
def clip():
    tokenizer = byte_tokenizer()
    tokenizer.add_tokens(["<image>"], special_tokens=True)
    pictures = CLIPImageProcessorPil(size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28})
    template = (
        "{% for m in messages %}{% for c in m.content %}"
        "{% if c.type == 'image' %}<image>{% else %}{{ c.text }}{% endif %}{% endfor %}{% endfor %}"
    )
    return LlavaProcessor(
        pictures, tokenizer, patch_size=14, vision_feature_select_strategy="default", num_additional_image_tokens=1,
        chat_template=template,
    )  # fmt: skip


def messages(text, *sizes):
    pictures = [{"type": "image", "image": Image.effect_noise(size, 60).convert("RGB")} for size in sizes]
    return [{"role": "user", "content": [*pictures, {"type": "text", "text": text}]}]


def encode(processor, *conversations):
    return processor.apply_chat_template(
        list(conversations), add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt",
        processor_kwargs={"padding": True},
    )  # fmt: skip


def test_a_processor_loads_saves_and_loads_again(processor, tmp_path):
    assert processor.tokenizer.padding_side == "left"
    processor.save_pretrained(tmp_path)
    again = models.load_processor(tmp_path)
    talk = messages('[{"bbox_2d": [1, 2]}]', (100, 80), (60, 60))
    first, second = (encode(p, talk) for p in (processor, again))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert json.loads((tmp_path / "processor_config.json").read_text())["processor_class"] == type(processor).__name__


def test_a_processor_reaches_worker_processes(processor):
    again = pickle.loads(pickle.dumps(processor))  # noqa: S301  our own, for a worker of ours
    assert type(again) is type(processor)
    assert models.prompt_length(again, messages("hi", (64, 64))) == models.prompt_length(
        processor, messages("hi", (64, 64))
    )


def test_the_files_of_a_published_checkpoint_load(folders, tmp_path):
    """Published Qwen2.5-VL folders keep their parts in separate files and know of a video part."""
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "config.json"):
        shutil.copy(folders["qwen2_5_vl"] / name, tmp_path)
    pictures = {
        "min_pixels": 3136, "max_pixels": 12845056, "patch_size": 14, "temporal_patch_size": 2, "merge_size": 2,
        "image_mean": [0.48145466, 0.4578275, 0.40821073], "image_std": [0.26862954, 0.26130258, 0.27577711],
        "image_processor_type": "Qwen2VLImageProcessor", "processor_class": "Qwen2_5_VLProcessor",
    }  # fmt: skip
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(pictures))
    (tmp_path / "video_preprocessor_config.json").write_text(
        json.dumps({"video_processor_type": "Qwen2VLVideoProcessor"})
    )
    processor = models.load_processor(tmp_path)
    assert models.resized_size(processor, (1280, 1024)) == (1288, 1036)
    processor.save_pretrained(tmp_path / "saved")
    kept = json.loads((tmp_path / "saved" / "video_preprocessor_config.json").read_text())
    assert kept["video_processor_type"] == "Qwen2VLVideoProcessor"


def test_what_does_not_load_says_so(tmp_path, folders):
    for load in (models.load_processor, models.load_model):
        for path in (tmp_path / "gone", str(tmp_path / "gone"), "./gone", ""):
            with pytest.raises(ConfigError, match="no such folder"):
                load(path)
        with pytest.raises(ConfigError, match="cannot be loaded"):
            load(tmp_path)
        with pytest.raises(ConfigError, match="nobody/nothing"):
            load("nobody/nothing")
    shutil.copytree(folders["qwen3_vl"], tmp_path / "cut")
    weights = tmp_path / "cut" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ConfigError, match="cannot be loaded"):
        models.load_model(tmp_path / "cut")


def test_weights_that_would_be_drawn_at_random_are_an_error(folders, tmp_path):
    shutil.copytree(folders["qwen3_vl"], tmp_path / "deeper")
    file = tmp_path / "deeper" / "config.json"
    config = json.loads(file.read_text())
    config["text_config"]["num_hidden_layers"] = 3
    config["text_config"].pop("layer_types", None)
    file.write_text(json.dumps(config))
    with pytest.raises(ConfigError, match=r"lacks \d+ weights, the first is .*layers\.2"):
        models.load_model(tmp_path / "deeper")


@pytest.fixture
def adapter(folder, tmp_path):
    """A LoRA adapter that changes the model, in memory and as a folder."""
    lora = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    model = get_peft_model(models.load_model(folder), lora).eval()
    model.save_pretrained(tmp_path / "adapter")
    return model, tmp_path / "adapter"


def test_an_adapter_is_loaded_onto_its_model(adapter, folder, processor):
    trained, saved = adapter
    assert not (saved / "config.json").exists(), "the adapter alone"
    batch = encode(processor, messages("hi", (64, 64), (60, 40)))
    again = models.load_model(saved)
    assert not again.training
    with torch.no_grad():
        logits = again(**batch).logits
        assert torch.equal(logits, trained(**batch).logits)
        assert (logits - models.load_model(folder)(**batch).logits).abs().max() > 1e-3
    assert models.context_window(again.config) == 8192


def test_an_adapter_that_is_not_whole_is_an_error(adapter):
    _, saved = adapter
    file = saved / "adapter_model.safetensors"
    weights = load_file(file)
    weights.pop(min(weights))
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(ConfigError, match=r"lacks 1 weights, the first is .*q_proj\.lora_A"):
        models.load_model(saved)
    settings = json.loads((saved / "adapter_config.json").read_text())
    (saved / "adapter_config.json").write_text(json.dumps({**settings, "base_model_name_or_path": "gone/base"}))
    with pytest.raises(ConfigError, match="adapter of 'gone/base'"):
        models.load_model(saved)


@pytest.fixture
def foreign(folders, tmp_path):
    """A checkpoint of an architecture that only its own code knows; the code leaves a trace when it runs."""
    shutil.copytree(folders["qwen3_vl"], tmp_path / "foreign")
    changes = {
        "config.json": {"model_type": "foreign", "auto_map": {"AutoConfig": "code.Foreign"}},
        "processor_config.json": {"processor_class": None, "auto_map": {"AutoProcessor": "code.Foreign"}},
        "tokenizer_config.json": {"processor_class": None},
    }
    for name, change in changes.items():
        file = tmp_path / "foreign" / name
        file.write_text(json.dumps(json.loads(file.read_text()) | change))
    (tmp_path / "foreign" / "code.py").write_text(
        f"from pathlib import Path\nPath({str(tmp_path / 'ran')!r}).touch()\n"
        "from transformers import PreTrainedConfig\n"
        "class Foreign(PreTrainedConfig):\n    model_type = 'foreign'\n"
    )
    return tmp_path / "foreign"


@pytest.mark.parametrize("load", [models.load_processor, models.load_model])
def test_code_of_a_checkpoint_runs_when_asked_for_and_nobody_is_asked(load, foreign, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr("builtins.input", lambda *question: asked.append(question) or "y")
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    for options in ({}, {"trust_remote_code": False}):
        with pytest.raises(ConfigError, match=r"foreign: .*cannot be loaded"):
            load(foreign, **options)
        assert not (tmp_path / "ran").exists() and not asked
    with pytest.raises(ConfigError):
        load(foreign, trust_remote_code=True)  # runs, and brings a configuration but no model
    assert (tmp_path / "ran").exists() and not asked


@pytest.mark.parametrize("load", [models.load_processor, models.load_model])
@pytest.mark.parametrize("trust", [False, True])
def test_a_name_on_the_hub_is_located_with_the_callers_trust(load, trust, monkeypatch):
    seen = []

    def from_pretrained(name, **options):
        seen.append((name, options))
        raise OSError("no network")

    monkeypatch.setattr(models.AutoConfig, "from_pretrained", from_pretrained)
    with pytest.raises(ConfigError, match="neither a local folder"):
        load("nobody/nothing", revision="v1", **({"trust_remote_code": True} if trust else {}))
    assert seen == [("nobody/nothing", {"trust_remote_code": trust, "revision": "v1"})]


def test_a_model_reads_several_pictures_and_writes(folder, processor):
    model = models.load_model(folder, attn_implementation="sdpa")
    assert not model.training
    batch = encode(processor, messages("hi", (64, 64), (60, 40)), messages("hello", (64, 64), (64, 64)))
    out = model.generate(**batch, max_new_tokens=3, do_sample=True, top_k=0, num_return_sequences=2)
    assert out.shape[0] == 4
    assert 0 < out.shape[1] - batch["input_ids"].shape[1] <= 3
    other = encode(processor, messages("hi", (64, 64), (60, 40)), messages("hello", (64, 64), (64, 64)))
    with torch.no_grad():
        difference = (model(**batch).logits - model(**other).logits).abs().max()
    # Other pictures, same text: a model that did not look at them would not notice.
    assert difference > 1e-6


def test_any_text_can_be_written(processor):
    text = '```json\n[{"bbox_2d": [1, 2]}]\n``` é 深 \t'
    assert processor.tokenizer.decode(processor.tokenizer(text)["input_ids"]) == text


def test_placeholders_are_found_in_configuration_and_tokenizer(folder, processor, clip):
    model = models.load_model(folder)
    names = processor.tokenizer.convert_ids_to_tokens(models.placeholder_ids(model.config, processor.tokenizer))
    assert set(names) == {token for token in SPECIAL if "vision" in token or "image" in token or "video" in token}

    class Config:
        text_config = None

        def to_dict(self):
            return {"image_token_index": 7, "boi_token_index": 8, "eos_token_id": 3, "video_token_id": None}

    image = clip.tokenizer.convert_tokens_to_ids("<image>")
    assert {7, 8, image} <= set(models.placeholder_ids(Config(), clip.tokenizer))
    assert 3 not in models.placeholder_ids(Config(), clip.tokenizer)


def test_sizes_and_lengths_are_those_of_the_family(family, folder, processor):
    width, height, tokens = FAMILIES[family]
    assert models.resized_size(processor, (1280, 1024)) == (width, height)
    talk = messages("hi", (1280, 1024))
    ids = encode(processor, talk)["input_ids"][0]
    assert int((ids == processor.image_token_id).sum()) == tokens
    assert models.prompt_length(processor, talk) == len(ids)
    assert models.context_window(models.load_model(folder).config) == 8192


def test_a_size_is_measured_once(processor, monkeypatch):
    models.resized_size(processor, (333, 222))
    monkeypatch.setattr(Image, "new", None)
    assert models.resized_size(processor, (333, 222)) == models.resized_size(processor, (333, 222))


def test_a_size_that_cannot_be_told():
    class Tiles:
        def __call__(self, **_):
            return {"pixel_values": torch.zeros(1, 5, 3, 8, 8)}

    holder = type("Holder", (), {"image_processor": Tiles()})
    with pytest.raises(ConfigError, match=r"Tiles gives pixel values of shape \(1, 5, 3, 8, 8\)"):
        models.resized_size(holder, (8, 8))


def test_a_shape_that_is_refused(processor):
    with pytest.raises(ConfigError, match="refuses a 3000x10 picture"):
        models.resized_size(processor, (3000, 10))


def test_rows_learn_their_sizes(processor, family):
    plain, resized = row("a", size=(1280, 1024), frame="pixel"), row("a", size=(1280, 1024), frame="resized")
    view = models.with_resized_size([plain, resized], processor)
    assert view[0] is plain
    width, height, _ = FAMILIES[family]
    assert view[1].metadata == {"frame": "resized", "image_size": [1280, 1024], "resized_size": [width, height]}
    assert [s.id for s in view[1:]] == ["r1"]
    assert len(view) == 2
    assert json.dumps(dict(view[-1].metadata))


def test_a_cropped_picture_has_no_resized_frame(clip):
    assert models.resized_size(clip, (64, 48)) == (28, 28)
    square, wide = row("a", size=(64, 64), frame="resized"), row("a", size=(64, 48), frame="resized")
    view = models.with_resized_size([square, wide], clip)
    assert view[0].metadata["resized_size"] == [28, 28]
    with pytest.raises(DataError, match=r"'r1': .*crops its 64x48 picture to 28x28"):
        view[1]


@pytest.mark.parametrize("which", ["qwen", "clip", "no counter", "wrong counter"])
def test_the_meter_counts_what_the_processor_counts(which, processor, clip, monkeypatch):
    chosen = clip if which == "clip" else processor
    if which == "no counter":
        monkeypatch.setattr(type(processor), "_get_num_multimodal_tokens", None)
    if which == "wrong counter":
        right = type(processor)._get_num_multimodal_tokens
        monkeypatch.setattr(
            type(processor),
            "_get_num_multimodal_tokens",
            lambda self, image_sizes: {"num_image_tokens": [h for h, _ in image_sizes] if right else []},
        )
    meter = models.PromptMeter(chosen)
    style = PromptStyle(system="Look.", label_sources=True, instruction="Answer é.")
    for i, size in enumerate([(64, 48), (640, 480), (100, 300), (64, 48), (333, 77), (28, 28), (900, 31)]):
        sample = replace(row("a", size=size), question="what " * i)
        assert meter.length(style.messages(sample), [size, size]) == models.prompt_length(
            chosen, style.messages(sample)
        )

"""Evaluation of a real, untrained model against a loop that does one thing at a time, and of scripted answers."""

import json
from dataclasses import replace

import pytest
import torch
from PIL import Image

from scripted import Script, picture, sample, say
from tiny_qwen import build_tiny_qwen
from vantage import worlds
from vantage.errors import ConfigError, DataError
from vantage.evaluation import evaluate, write_rows
from vantage.groups import FUSED, Origin, mono
from vantage.models import load_model, load_processor, placeholder_ids
from vantage.pictures import Source
from vantage.samples import PromptStyle, Sample

STYLE = PromptStyle()


def one_at_a_time(model, processor, item: Sample, origin, view: str, limit: int) -> str:
    """Greedy decoding with neither batch, padding nor cache: the whole prompt anew for every token."""
    inputs = processor.apply_chat_template(
        [STYLE.messages(item, origin, view)],
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
    )
    ids = inputs["input_ids"]
    pictures = {name: inputs[name] for name in ("pixel_values", "image_grid_thw") if name in inputs}
    banned = placeholder_ids(model.config, processor.tokenizer)
    said: list[int] = []
    with torch.no_grad():
        while len(said) < limit and (not said or said[-1] != processor.tokenizer.eos_token_id):
            # Families that place tokens in two dimensions read from these which tokens are patches.
            kinds = {"mm_token_type_ids": (ids == model.config.image_token_id).int()} if len(pictures) > 1 else {}
            logits = model(input_ids=ids, **pictures, **kinds, use_cache=False).logits[0, -1]
            logits[banned] = -torch.inf
            said.append(int(logits.argmax()))
            ids = torch.cat([ids, torch.tensor([[said[-1]]])], dim=1)
    return processor.tokenizer.decode(said, skip_special_tokens=True)


@pytest.mark.parametrize("view", ["fill", "drop"])
def test_batches_say_what_one_at_a_time_says(model, processor, view: str):
    samples = [sample("a", "rgb", "infrared"), sample("bb", "page"), sample("ccc", "rgb", "depth", "infrared")]
    _, rows = evaluate(model, processor, samples, style=STYLE, mono=view, max_new_tokens=6, batch_size=4)
    for item in samples:
        for origin in (FUSED, *(mono(name) for name in item.sources)):
            (row,) = (row for row in rows if row["id"] == item.id and row["origin"] == str(origin))
            assert row["text"] == one_at_a_time(model, processor, item, origin, view, 6)


@pytest.mark.parametrize("family", ["qwen2_5_vl", "qwen3_vl"])
def test_families_with_another_picture_layout(tmp_path, family: str):
    folder = build_tiny_qwen(tmp_path / "qwen", family)
    model, processor = load_model(folder), load_processor(folder)
    samples = [sample("a", "rgb", "infrared"), sample("bb", "page")]
    samples.append(replace(samples[1], id="wide", sources={"page": Source(Image.new("RGB", (140, 56), (9, 90, 200)))}))
    _, rows = evaluate(model, processor, samples, style=STYLE, mono="drop", max_new_tokens=5, batch_size=3)
    for row in rows:
        (item,) = (item for item in samples if item.id == row["id"])
        assert row["text"] == one_at_a_time(model, processor, item, Origin.parse(row["origin"]), "drop", 5)


def test_the_size_of_a_batch_changes_nothing(model, processor):
    samples = list(worlds.get("night").dataset(split="test", n=3))
    results = [
        evaluate(model, processor, samples, style=STYLE, max_new_tokens=5, batch_size=size)[1] for size in (1, 4, 64)
    ]
    assert results[0] == results[1] == results[2]
    assert len({row["text"] for row in results[0]}) > 1, "the untrained model should not say the same of everything"


def test_counts_of_scripted_answers(model, processor, monkeypatch):
    script = Script(processor, say("yes"), say("no"), say("yes"), say("no"), say("yes"), "yes yes", "yes yes")
    monkeypatch.setattr(model, "generate", script)
    samples = [
        sample("a", "rgb", "infrared", task="ask"),
        sample("b", "rgb", "infrared", task="ask"),
        sample("c", "rgb", task="look"),
    ]
    seen: list[tuple[int, int]] = []
    found, rows = evaluate(
        model,
        processor,
        samples,
        style=STYLE,
        max_new_tokens=16,
        batch_size=3,
        model_name="m",
        data_name="d",
        progress=lambda done, total: seen.append((done, total)),
    )
    assert (found.model, found.data, found.n) == ("m", "d", 3)
    assert found.fused.value == pytest.approx(1 / 3)
    assert found.sources["rgb"].value == pytest.approx(1 / 3)  # no, yes, unreadable
    assert found.sources["rgb"].n == 3
    assert found.sources["infrared"].value == 0.5  # yes, unreadable
    assert found.either.value == pytest.approx(2 / 3)
    assert found.best_source == "infrared"
    assert list(found.tasks) == ["ask", "look"]
    assert found.tasks["ask"].fused.value == 0.5
    assert found.tasks["look"].fused.value == 0.0
    assert found.format.value == pytest.approx(2 / 3)
    assert seen == [(3, 7), (6, 7), (7, 7)]
    assert [row["origin"] for row in rows[:3]] == ["fused", "mono:rgb", "mono:infrared"]
    assert [(row["id"], row["origin"]) for row in rows[-2:]] == [("c", "fused"), ("c", "mono:rgb")]
    assert rows[-1]["text"] == rows[-2]["text"] == "yes yes"
    assert all(row["finished"] and row["tokens"] >= 3 for row in rows)


def test_decoding_is_greedy_whatever_the_model_prefers(model, processor, monkeypatch):
    model.generation_config.update(do_sample=True, temperature=0.1, top_p=0.5, repetition_penalty=1.5)
    samples = [sample("a", "rgb", "infrared")]
    first = evaluate(model, processor, samples, style=STYLE, max_new_tokens=6)[1]
    assert first[0]["text"] == one_at_a_time(model, processor, samples[0], FUSED, "fill", 6)
    script = Script(processor, say("yes"), say("yes"), say("yes"))
    monkeypatch.setattr(model, "generate", script)
    evaluate(model, processor, samples, style=STYLE, max_new_tokens=6)
    (call,) = script.calls
    assert call["do_sample"] is False
    assert model.config.image_token_id in call["suppress_tokens"]


def test_an_answer_cut_off_is_told(model, processor):
    found, rows = evaluate(model, processor, [sample("a", "rgb", "infrared")], style=STYLE, max_new_tokens=1)
    assert all(row["tokens"] == 1 for row in rows)
    assert found.unfinished == sum(not row["finished"] for row in rows if row["origin"] == "fused")


def test_everything_is_left_as_it_was(model, processor):
    model.train()
    model.model.vision_tower.eval()
    processor.tokenizer.padding_side = "right"
    modes = [module.training for module in model.modules()]
    torch.manual_seed(11)
    state = torch.random.get_rng_state()
    evaluate(model, processor, [sample("a", "rgb", "infrared")], style=STYLE, max_new_tokens=2)
    assert [module.training for module in model.modules()] == modes
    assert processor.tokenizer.padding_side == "right"
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_everything_is_left_as_it_was_after_an_error(model, processor, monkeypatch):
    model.train()
    processor.tokenizer.padding_side = "right"
    monkeypatch.setattr(model, "generate", lambda **_: (_ for _ in ()).throw(RuntimeError("out of memory")))
    with pytest.raises(RuntimeError, match="out of memory"):
        evaluate(model, processor, [sample("a", "rgb", "infrared")], style=STYLE, max_new_tokens=2)
    assert model.training
    assert processor.tokenizer.padding_side == "right"


def test_each_picture_is_decoded_once(model, processor, monkeypatch, tmp_path):
    picture(10).save(tmp_path / "rgb.png")
    picture(90).save(tmp_path / "infrared.png")
    files = {name: tmp_path / f"{name}.png" for name in ("rgb", "infrared")}
    item = Sample("a", "is there a red ball ?", files, "yes", "answer")
    opened: list[str] = []
    original = Image.open
    monkeypatch.setattr(Image, "open", lambda file, **rest: opened.append(str(file)) or original(file, **rest))
    evaluate(model, processor, [item], style=STYLE, max_new_tokens=1, batch_size=1)
    assert sorted(opened) == sorted(map(str, files.values()))


@pytest.mark.parametrize(
    ("samples", "settings", "error", "message"),
    [
        ([], {}, DataError, "no samples"),
        ([sample("a", "rgb"), sample("a", "rgb")], {}, DataError, "'a' comes twice"),
        ([sample("a", "rgb")], {"batch_size": 0}, ConfigError, "at least 1, not 0"),
        ([sample("a", "rgb")], {"max_new_tokens": 0}, ConfigError, "and 0"),
    ],
)
def test_what_cannot_be_evaluated(model, processor, samples, settings, error, message):
    with pytest.raises(error, match=message):
        evaluate(model, processor, samples, style=STYLE, **settings)


def test_a_tokenizer_that_cannot_pad_is_an_error(model, processor):
    processor.tokenizer.pad_token = None
    with pytest.raises(ConfigError, match="padding token"):
        evaluate(model, processor, [sample("a", "rgb")], style=STYLE)


def test_rows_are_written_one_a_line(tmp_path):
    rows = [{"id": "a", "text": "größer\nals"}, {"id": "b", "text": "half \ud83d"}]
    write_rows(tmp_path / "deep" / "rows.jsonl", iter(rows))
    lines = (tmp_path / "deep" / "rows.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == rows

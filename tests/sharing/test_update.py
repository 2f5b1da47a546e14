"""Log-probs and gradients with shared prompts are those of the repeated batch, in every family, on every path."""

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers.models.llama.modeling_llama import LlamaRMSNorm

from sharing import small
from vantage import sharing
from vantage.errors import ConfigError, DataError
from vantage.sharing import families, packing

CAUSAL = [family for family in small.FAMILIES if family != "gemma3"]
PATHS = [(family, "portable") for family in small.FAMILIES] + [(family, "fast") for family in CAUSAL]
GROUP = 3


def case(family, dtype=torch.float32):
    many = small.prompts(family, pictures=(2, 1, 3), words=(5, 11, 3), dtype=dtype)
    return many, *small.completions(len(many) * GROUP, 7)


def gradient(model):
    found = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    return found


def difference(mine, theirs):
    """Of two sets of gradients, relative to their norm."""
    assert mine.keys() == theirs.keys()
    squares = sum((mine[name] - theirs[name]).double().square().sum() for name in mine)
    return (squares / sum(theirs[name].double().square().sum() for name in theirs)).sqrt().item()


@pytest.mark.parametrize(("family", "path"), PATHS)
def test_log_probs_and_gradients_are_those_of_the_repeated_batch(family, path):
    model = small.model(family)
    many, ids, mask = case(family)
    weight = torch.randn(ids.shape, generator=torch.Generator().manual_seed(2))
    expected = small.repeated(model, family, many, ids, mask)
    (expected * weight).sum().backward()
    theirs = gradient(model)
    found = sharing.log_probs(model, small.collate(family, many), ids, mask, path=path)
    (found.values * weight).sum().backward()
    assert (found.values - expected).abs().max() < 2e-6
    assert difference(gradient(model), theirs) < 2e-6


@pytest.mark.parametrize("path", ["portable", "fast"])
def test_in_double_precision_nothing_is_left_but_rounding(path, monkeypatch):
    def norm(self, x):  # the library's own goes through single precision
        return self.weight * x * (x.square().mean(-1, keepdim=True) + self.variance_epsilon).rsqrt()

    monkeypatch.setattr(LlamaRMSNorm, "forward", norm)
    model = small.model("llava", torch.float64)
    # Of equal lengths: behind padding the library counts positions from the padding, and rotates in single precision.
    many = small.prompts("llava", pictures=(2, 2), words=(5, 5), dtype=torch.float64)
    ids, mask = small.completions(len(many) * GROUP, 7)
    expected = small.repeated(model, "llava", many, ids, mask)
    expected.sum().backward()
    theirs = gradient(model)
    found = sharing.log_probs(model, small.collate("llava", many), ids, mask, path=path).values
    found.sum().backward()
    assert (found - expected).abs().max() < 1e-12 and difference(gradient(model), theirs) < 1e-12


def swapped(family, many):
    """The same prompts, the pictures of the first two exchanged."""
    one, two, *rest = many
    return [
        {**one, "pixels": two["pixels"], "grid": two["grid"]},
        {**two, "pixels": one["pixels"], "grid": one["grid"]},
        *rest,
    ]


@pytest.mark.parametrize(("family", "path"), PATHS)
def test_another_picture_is_another_answer(family, path):
    """A negative control: had pictures no say here, the tests above would say nothing of them."""
    model = small.model(family)
    many = small.prompts(family, pictures=(2, 2), words=(5, 9))
    ids, mask = small.completions(2 * GROUP, 7)
    with torch.no_grad():
        expected = small.repeated(model, family, many, ids, mask)
        other = sharing.log_probs(model, small.collate(family, swapped(family, many)), ids, mask, path=path).values
    assert (expected - other).abs().max() > 1e-3


def test_a_mask_that_leaks_between_completions_is_seen(monkeypatch):
    """A negative control of the portable path."""
    model = small.model("llava")
    many, ids, mask = case("llava")
    whole = sharing.packed_mask
    monkeypatch.setattr(families, "packed_mask", lambda valid, segments, *a: whole(valid, segments.clamp(max=0), *a))
    with torch.no_grad():
        expected = small.repeated(model, "llava", many, ids, mask)
        found = sharing.log_probs(model, small.collate("llava", many), ids, mask, path="portable").values
    assert (found - expected)[1:].abs().max() > 1e-3


def test_completions_that_are_read_as_one_are_seen(monkeypatch):
    """A negative control of the fast path."""
    model = small.model("llava")
    many, ids, mask = case("llava")
    of = sharing.Layout.of
    monkeypatch.setattr(sharing.Layout, "of", lambda valid, group, dtype: of(valid, 1, dtype))
    with torch.no_grad():
        expected = small.repeated(model, "llava", many, ids, mask)
        found = sharing.log_probs(model, small.collate("llava", many), ids, mask, path="fast").values
    apart = (found - expected).abs().unflatten(0, (len(many), GROUP)).amax((0, 2))
    assert apart[0] < 2e-6 and (apart[1:] > 1e-3).all()


def test_positions_that_count_tokens_are_seen(monkeypatch):
    """A negative control: Qwen's pictures advance positions by less than their tokens."""
    model = small.model("qwen2_5_vl")
    many, ids, mask = case("qwen2_5_vl")
    known = packing.prompt_positions
    monkeypatch.setattr(packing, "prompt_positions", lambda m, p: (known(m, p)[0], p["attention_mask"].sum(-1)))
    with torch.no_grad():
        expected = small.repeated(model, "qwen2_5_vl", many, ids, mask)
        found = sharing.log_probs(model, small.collate("qwen2_5_vl", many), ids, mask).values
    assert (found - expected).abs().max() > 1e-3


@pytest.mark.parametrize(("family", "path"), PATHS)
@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpointing_changes_nothing(family, path, reentrant):
    model = small.model(family).train()
    many, ids, mask = case(family)
    batch = small.collate(family, many)
    sharing.log_probs(model, batch, ids, mask, path=path).values.sum().backward()
    plain = gradient(model)
    model.gradient_checkpointing_enable({"use_reentrant": reentrant})
    if reentrant:
        model.enable_input_require_grads()
    sharing.log_probs(model, batch, ids, mask, path=path).values.sum().backward()
    assert difference(gradient(model), plain) < 2e-6


@pytest.mark.parametrize(("family", "path"), PATHS)
def test_an_adapter_learns_what_it_would(family, path):
    model = small.model(family)
    adapted = get_peft_model(model, LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False))
    many, ids, mask = case(family)
    expected = small.repeated(adapted, family, many, ids, mask)
    expected.sum().backward()
    theirs = gradient(adapted)
    found = sharing.log_probs(adapted, small.collate(family, many), ids, mask, path=path).values
    found.sum().backward()
    assert theirs and all("lora" in name for name in theirs)
    assert (found - expected).abs().max() < 2e-6 and difference(gradient(adapted), theirs) < 2e-6


def test_entropy_and_temperature(monkeypatch):
    model = small.model("llava")
    many, ids, mask = case("llava")
    batch = small.collate("llava", many)
    with torch.no_grad():
        found = sharing.log_probs(model, batch, ids, mask, temperature=0.7)
        monkeypatch.setattr(model.lm_head, "weight", torch.nn.Parameter(model.lm_head.weight / 0.7))
        scaled = sharing.log_probs(model, batch, ids, mask)
    torch.testing.assert_close(found.values, scaled.values, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found.entropy, scaled.entropy, rtol=1e-5, atol=1e-5)
    assert (found.entropy[mask] > 0).all() and (found.entropy[mask] < np.log(small.WORDS)).all()
    assert not found.values[~mask].any() and not found.entropy[~mask].any()


@pytest.mark.parametrize("adapted", [False, True])
def test_a_head_gets_the_places_of_completions_and_no_others(adapted):
    """Also of a model inside an adapter; afterwards, and after an error, the model is as it was."""
    bare = model = small.model("llava")
    if adapted:
        model = get_peft_model(model, LoraConfig(r=2, target_modules=["q_proj"]))
    many, ids, mask = case("llava")
    packed = sharing.pack(model, small.collate("llava", many), ids, mask)
    told = sharing.inputs(packed, sharing.family_of(model), "fast", model)
    scored = []
    watch = bare.lm_head.register_forward_pre_hook(lambda _, given: scored.append(given[0].detach()))
    with torch.no_grad():
        whole = model(**told).logits
        with sharing.completions_alone(model, packed):
            own = model(**told).logits
        with pytest.raises(ZeroDivisionError), sharing.completions_alone(model, packed):
            1 / 0  # noqa: B018
        again = model(**told).logits
    watch.remove()
    assert [states.shape[1] for states in scored] == [packed.input_ids.shape[1], GROUP * ids.shape[1], whole.shape[1]]
    assert torch.equal(own, whole[:, packed.prompt :]) and torch.equal(again, whole)
    assert packed.labels.shape == own.shape[:2]
    picked = own.log_softmax(-1).gather(-1, packed.labels.clamp(min=0).unsqueeze(-1)).squeeze(-1)
    expected = small.repeated(bare, "llava", many, ids, mask).detach()
    assert (packed.rows(picked)[mask.bool()] - expected[mask.bool()]).abs().max() < 2e-6


def test_our_attention_is_the_plain_one_where_nothing_is_shared():
    model = small.model("qwen2_5_vl")
    many, ids, mask = case("qwen2_5_vl")
    with torch.no_grad():
        before = small.repeated(model, "qwen2_5_vl", many, ids, mask)
        assert sharing.install(model) == "sdpa" and sharing.install(model) == "vantage_shared"
        inside = small.repeated(model, "qwen2_5_vl", many, ids, mask)
        sharing.set_attention(model, "sdpa")
        after = small.repeated(model, "qwen2_5_vl", many, ids, mask)
    assert torch.equal(before, after) and torch.equal(before, inside)
    assert model.config.vision_config._attn_implementation == "sdpa"


def test_what_cannot_be_shared_is_refused():
    model = small.model("gemma3")
    many, ids, mask = case("gemma3")
    with pytest.raises(ConfigError, match="gemma3 has no fast path"):
        sharing.log_probs(model, small.collate("gemma3", many), ids, mask, path="fast")
    with pytest.raises(DataError, match="8 completions cannot be shared out among 3 prompts"):
        sharing.log_probs(model, small.collate("gemma3", many), ids[:8], mask[:8])
    model.config.model_type = "brandnew"
    with pytest.raises(ConfigError, match=r"'brandnew' is not known \(known: qwen2_5_vl, "):
        sharing.log_probs(model, small.collate("gemma3", many), ids, mask)


TEXTS = [(family.name, text) for family in sharing.FAMILIES.values() for text in family.texts if len(family.texts) > 1]


@pytest.mark.parametrize(("family", "text"), TEXTS)
@pytest.mark.parametrize("path", ["portable", "fast"])
def test_every_language_model_of_a_family(family, text, path):
    model = small.model(family, model_type=text, sliding_window=None)
    assert model.config.get_text_config().model_type == text
    many, ids, mask = case(family)
    with torch.no_grad():
        expected = small.repeated(model, family, many, ids, mask)
        found = sharing.log_probs(model, small.collate(family, many), ids, mask, path=path).values
    assert (found - expected).abs().max() < 2e-6


@pytest.mark.parametrize(
    ("family", "text", "why"),
    [
        ("llava", {"model_type": "mistral", "sliding_window": 24}, "layers of this 'mistral' see only 24 tokens back"),
        (
            "qwen2_5_vl",
            {"use_sliding_window": True, "sliding_window": 20, "max_window_layers": 1},
            "layers of this 'qwen2_5_vl_text' see only 20 tokens back",
        ),
        ("llava", {"model_type": "olmo2"}, "llava is known with .*llama.*, not with 'olmo2'"),
    ],
    ids=str,
)
def test_a_text_that_sees_otherwise_is_refused(family, text, why):
    model = small.model(family, **text)
    many, ids, mask = case(family)
    batch = small.collate(family, many)
    with pytest.raises(ConfigError, match=why):
        sharing.log_probs(model, batch, ids, mask)
    with pytest.raises(ConfigError, match=why):
        sharing.generate(model, batch, [1] * len(many), max_new_tokens=1, ends=())


@pytest.mark.parametrize(("family", "path"), PATHS)
def test_a_model_that_was_loaded_with_another_attention(family, path):
    """Eager attention would add a mask of truth values as 0 and 1."""
    model = small.model(family, attention="eager")
    many, ids, mask = case(family)
    with torch.no_grad():
        expected = small.repeated(model, family, many, ids, mask)
        found = sharing.log_probs(model, small.collate(family, many), ids, mask, path=path).values
    assert (found - expected).abs().max() < 5e-6


def test_scores_that_are_changed_on_the_way_are_refused():
    many, _, _ = case("llava")
    model, batch = small.model("llava"), small.collate("llava", many)
    sharing.install(model)
    with pytest.raises(ConfigError, match="not shared for attention with softcap"):
        model(**batch, softcap=30.0)


def test_prompts_of_one_token_or_padded_on_the_right_are_refused():
    model = small.model("llava")
    many, ids, mask = case("llava")
    batch = small.collate("llava", many)
    flipped = {**batch, "attention_mask": batch["attention_mask"].flip(1), "input_ids": batch["input_ids"].flip(1)}
    one = {
        "input_ids": torch.tensor([[0, 0, 21], [20, 21, 22]]),
        "attention_mask": torch.tensor([[0, 0, 1], [1, 1, 1]]),
    }
    for prompts, why in ((flipped, "one of these ends in padding"), (one, "at least two tokens")):
        with pytest.raises(DataError, match=why):
            sharing.log_probs(
                model, prompts, ids[: 2 * len(prompts["input_ids"])], mask[: 2 * len(prompts["input_ids"])]
            )
        with pytest.raises(DataError, match=why):
            sharing.generate(model, prompts, [1] * len(prompts["input_ids"]), max_new_tokens=1, ends=())

"""Rollouts behind shared prompts are those of `generate`, and their log-probs those of an update."""

import pytest
import torch
from scipy.stats import chisquare

from sharing import small
from vantage import sharing
from vantage.errors import ConfigError, DataError
from vantage.sharing import decoding, kernels


def expected(model, family, many, groups, length, ends):
    """Greedy completions of `generate`, every row with its own prompt."""
    found = []
    for one, group in zip(many, groups, strict=True):
        sharing.plain(model).base_model.rope_deltas = None
        out = model.generate(
            **small.collate(family, [one] * group), do_sample=False, max_new_tokens=length, eos_token_id=list(ends),
            pad_token_id=small.PAD,
        )  # fmt: skip
        for row in out[:, len(one["ids"]) :].tolist():
            end = next((place for place, token in enumerate(row) if token in ends), len(row) - 1)
            found.append(row[: end + 1])
    return found


@pytest.mark.parametrize("family", small.FAMILIES)
def test_greedy_rows_say_what_generate_says(family):
    model = small.model(family)
    many, groups = small.prompts(family, pictures=(2, 1, 3), words=(5, 11, 3)), (2, 2, 1)
    plain = expected(model, family, many, groups, 12, {small.END})
    ends = {small.END, plain[0][4], plain[2][7]}  # so that rows end at different times
    told = expected(model, family, many, groups, 12, ends)
    assert len({len(row) for row in told}) > 1
    batch = small.collate(family, many)
    found = sharing.generate(model, batch, groups, max_new_tokens=12, ends=ends, greedy=[True] * 3)
    assert found.ids == told


@pytest.mark.parametrize("family", small.FAMILIES)
def test_log_probs_are_those_of_an_update(family):
    model = small.model(family)
    many = small.prompts(family, pictures=(2, 1), words=(5, 11))
    batch = small.collate(family, many)
    torch.manual_seed(0)
    how = sharing.Sampling(temperature=0.8, top_k=40, top_p=0.95)
    found = sharing.generate(model, batch, (3, 3), max_new_tokens=9, ends={small.END, *range(20, 40)}, sampling=how)
    assert len({len(row) for row in found.ids}) > 1 and len({tuple(row) for row in found.ids[:3]}) > 1
    ids = torch.tensor([row + [small.PAD] * (9 - len(row)) for row in found.ids])
    mask = torch.tensor([[1] * len(row) + [0] * (9 - len(row)) for row in found.ids]).bool()
    with torch.no_grad():
        update = sharing.log_probs(model, batch, ids, mask, temperature=0.8).values
    for row, said in zip(update, found.logprobs, strict=True):
        assert said == pytest.approx(row[: len(said)].tolist(), abs=5e-6)


def test_tokens_are_drawn_from_the_model_s_distribution():
    model = small.model("llava")
    (one,) = small.prompts("llava", pictures=(1,), words=(4,))
    batch = small.collate("llava", [one])
    torch.manual_seed(0)
    how = sharing.Sampling(top_k=4, suppressed={30})
    found = sharing.generate(model, batch, [4000], max_new_tokens=1, ends={small.END}, sampling=how)
    with torch.no_grad():
        logits = model(**batch).logits[0, -1]
    logits[30] = -torch.inf
    best = logits.topk(4)
    shares = torch.tensor([[row[0] for row in found.ids].count(int(token)) / 4000 for token in best.indices])
    assert shares.sum() == 1
    torch.testing.assert_close(shares, best.values.softmax(-1), atol=0.03, rtol=0)


def test_of_many_words_each_is_drawn_as_often_as_its_probability_says():
    """One number a row, in place of one for every word; words of no probability, the last ones too, are never said."""
    words, rows, rounds = decoding.MANY + 3, 500, 40
    chance = torch.Generator().manual_seed(0)
    weight = torch.rand(words, generator=chance) * (torch.rand(words, generator=chance) < 0.01)
    weight[:2], weight[-5:] = torch.tensor([0.0, weight.sum()]), 0.0
    probabilities = (weight / weight.sum()).expand(rows, -1)
    torch.manual_seed(0)
    drawn = torch.cat([decoding._draw(probabilities) for _ in range(rounds)])
    counts = drawn.bincount(minlength=words)
    possible = weight > 0
    assert not counts[~possible].any() and 20 < possible.sum() < 80
    assert (
        chisquare(counts[possible], probabilities[0, possible].double() * rows * rounds, sum_check=False).pvalue > 1e-3
    )


@pytest.mark.parametrize("number", [0.0, 1 - 2**-53])
def test_the_first_and_the_last_possible_word_are_those_of_the_ends(number, monkeypatch):
    probabilities = torch.zeros(1, decoding.MANY)
    probabilities[0, [7, 100, 4000]] = torch.tensor([0.1, 0.2, 0.7])
    monkeypatch.setattr(torch, "rand_like", lambda x: torch.full_like(x, number))
    assert decoding._draw(probabilities).tolist() == [4000 if number else 7]


def test_two_parts_are_mixed_to_attention_over_both():
    chance = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(2, 3, 5, 8, generator=chance, dtype=torch.float64) for _ in range(3))
    one, two = (kernels.plain_attention(q, k[:, :, some], v[:, :, some], None, 3.0) for some in (slice(4), slice(4, 5)))
    expected = torch.nn.functional.scaled_dot_product_attention(q, k, v, scale=3.0)
    torch.testing.assert_close(kernels.mix(one, two), expected, rtol=0, atol=1e-14)
    torch.testing.assert_close(kernels.merge(one, two).out, expected, rtol=0, atol=1e-14)


def test_some_prompts_greedily_and_others_drawn():
    model = small.model("qwen2_5_vl")
    many = small.prompts("qwen2_5_vl", pictures=(2, 1), words=(5, 11))
    told = expected(model, "qwen2_5_vl", many[1:], (2,), 6, {small.END})
    torch.manual_seed(0)
    found = sharing.generate(
        model, small.collate("qwen2_5_vl", many), (4, 2), max_new_tokens=6, ends={small.END}, greedy=(False, True)
    )
    assert found.ids[4:] == told and len({tuple(row) for row in found.ids[:4]}) > 1


def test_what_cannot_be_is_refused():
    model = small.model("llava")
    batch = small.collate("llava", small.prompts("llava", pictures=(1, 1), words=(4, 4)))
    with pytest.raises(DataError, match="2 prompts take one number of rows each"):
        sharing.generate(model, batch, (1,), max_new_tokens=2, ends={1})
    with pytest.raises(DataError, match=r"at least 1, not \[1, 0\]"):
        sharing.generate(model, batch, (1, 0), max_new_tokens=2, ends={1})
    with pytest.raises(ConfigError, match="max_new_tokens is at least 1"):
        sharing.generate(model, batch, (1, 1), max_new_tokens=0, ends={1})
    with pytest.raises(ConfigError, match="temperature is above 0"):
        sharing.Sampling(temperature=0)

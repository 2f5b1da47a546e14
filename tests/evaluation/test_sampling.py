"""Drawing answers: by the model's own probabilities, the same in any batch, and counted as they were scripted."""

import json

import numpy as np
import pytest
import torch

from scripted import Script, sample, say
from tiny_qwen import build_tiny_qwen
from vantage import worlds
from vantage.errors import ConfigError, DataError
from vantage.evaluation.drawing import Draw
from vantage.evaluation.sampling import sample_many
from vantage.models import load_model, load_processor, placeholder_ids
from vantage.samples import PromptStyle

STYLE = PromptStyle()
NIGHT = list(worlds.get("night").dataset(split="test", n=3))


def drawn(names: list[str], logits: list[list[float]], **settings) -> list[int]:
    """The tokens that are drawn from these logits."""
    plain = {"temperature": 1.0, "top_p": 1.0, "top_k": 0, **settings}
    scores = Draw(names, **plain)(torch.zeros(len(names), 1, dtype=torch.long), torch.tensor(logits))
    assert (torch.isfinite(scores).sum(dim=-1) == 1).all()
    return scores.argmax(dim=-1).tolist()


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, [0.5, 0.3, 0.0, 0.2]),
        ({"temperature": 0.5}, [25 / 38, 9 / 38, 0.0, 4 / 38]),  # squares
        ({"top_k": 2}, [5 / 8, 3 / 8, 0.0, 0.0]),
        ({"top_p": 0.6}, [5 / 8, 3 / 8, 0.0, 0.0]),
        ({"top_p": 0.1}, [1.0, 0.0, 0.0, 0.0]),
    ],
)
def test_tokens_come_by_their_probabilities(settings: dict, expected: list[float]):
    logits = torch.tensor([0.5, 0.3, 0.0, 0.2]).log().tolist()
    found = np.bincount(drawn([str(i) for i in range(4000)], [logits] * 4000, **settings), minlength=4) / 4000
    assert found == pytest.approx(expected, abs=5 * 0.5 / 4000**0.5)
    assert (found[np.array(expected) == 0] == 0).all()


def test_the_first_and_the_last_token_may_be_impossible():
    logits = [-torch.inf, 0.0, -torch.inf]
    assert set(drawn([str(i) for i in range(500)], [logits] * 500)) == {1}


def test_each_row_has_dice_of_its_own():
    logits = torch.randn(6, 50, generator=torch.Generator().manual_seed(0)).tolist()
    names = list("abcdef")
    together = drawn(names, logits)
    assert together == [drawn([name], [row])[0] for name, row in zip(names, logits, strict=True)]
    assert len(set(drawn(names, [logits[0]] * 6))) > 1


def texts(model, processor, samples, k: int, **settings) -> dict[tuple[str, int], str]:
    _, rows = sample_many(model, processor, samples, k, style=STYLE, max_new_tokens=5, **settings)
    return {(row["id"], row["draw"]): row["text"] for row in rows}


def test_neither_batches_nor_neighbours_change_what_is_said(model, processor):
    whole = texts(model, processor, NIGHT, 4)
    assert len(whole) == 12 and len(set(whole.values())) > 6
    for size in (1, 5, 64):
        assert texts(model, processor, NIGHT, 4, batch_size=size) == whole
    apart = texts(model, processor, NIGHT[2:], 4) | texts(model, processor, NIGHT[:2], 4)  # as two processes would
    assert apart == whole
    assert texts(model, processor, NIGHT, 2) == {key: text for key, text in whole.items() if key[1] < 2}


def test_another_seed_draws_others_and_torch_has_no_say(model, processor):
    torch.manual_seed(1)
    first = texts(model, processor, NIGHT, 4)
    torch.manual_seed(2)
    assert texts(model, processor, NIGHT, 4) == first
    assert texts(model, processor, NIGHT, 4, seed=1) != first


def test_cold_draws_are_greedy(model, processor):
    from vantage.evaluation import evaluate

    _, rows = evaluate(model, processor, NIGHT, style=STYLE, max_new_tokens=5)
    greedy = {row["id"]: row["text"] for row in rows if row["origin"] == "fused"}
    for settings in ({"temperature": 1e-4}, {"top_k": 1}):
        cold = texts(model, processor, NIGHT, 2, **settings)
        assert cold == {(name, draw): text for name, text in greedy.items() for draw in (0, 1)}


def test_several_pictures_stay_with_their_question(tmp_path):
    """Families that lay pictures out as one long row of patches, several answers a batch."""
    folder = build_tiny_qwen(tmp_path / "qwen", "qwen2_5_vl")
    model, processor = load_model(folder), load_processor(folder)
    samples = [sample("a", "rgb", "infrared"), sample("bb", "page")]
    assert texts(model, processor, samples, 3) == texts(model, processor, samples, 3, batch_size=1)


def test_counts_of_scripted_answers(model, processor, monkeypatch):
    yes, no = say("yes"), say("no")
    script = Script(processor, yes, no, no, no, yes, yes)
    monkeypatch.setattr(model, "generate", script)
    seen: list[tuple[int, int]] = []
    found, rows = sample_many(
        model,
        processor,
        [sample("a", "rgb", "infrared", task="ask"), sample("b", "rgb", task="look")],
        3,
        style=STYLE,
        max_new_tokens=16,
        batch_size=4,
        model_name="m",
        data_name="d",
        progress=lambda done, total: seen.append((done, total)),
    )
    assert (found.model, found.data, found.n, found.k) == ("m", "d", 2, 3)
    assert [(row["id"], row["draw"], row["correct"]) for row in rows] == [
        ("a", 0, True), ("a", 1, False), ("a", 2, False), ("b", 0, False), ("b", 1, True), ("b", 2, True),
    ]  # fmt: skip
    assert {row["origin"] for row in rows} == {"fused"}
    assert [question.votes for question in found.questions] == [[(2, 0), (1, 1)], [(2, 2), (1, 0)]]
    assert found.pass_at[0].value == 0.5  # three of six
    assert found.pass_at[1].value == pytest.approx((2 / 3 + 1) / 2)
    assert found.all_at[2].value == 0.0
    assert found.majority_at[2].value == 0.5
    assert found.tasks["look"].majority_at[2].value == 1.0
    assert seen == [(4, 6), (6, 6)]
    assert (found.settings["temperature"], found.settings["seed"]) == (1.0, 0)
    json.dumps(rows)


def test_placeholders_are_never_drawn(model, processor):
    banned = placeholder_ids(model.config, processor.tokenizer)
    assert banned
    with torch.no_grad():
        model.get_output_embeddings().weight[sorted(banned)] *= 1000.0
    said = "".join(texts(model, processor, NIGHT, 4, temperature=5.0).values())
    assert not any(processor.tokenizer.decode([token]) in said for token in banned)


def test_everything_is_left_as_it_was(model, processor):
    model.train()
    processor.tokenizer.padding_side = "right"
    torch.manual_seed(11)
    state = torch.random.get_rng_state()
    texts(model, processor, NIGHT[:1], 2)
    assert model.training
    assert processor.tokenizer.padding_side == "right"
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize(
    ("samples", "settings", "error", "message"),
    [
        ([], {}, DataError, "no samples"),
        ([NIGHT[0], NIGHT[0]], {}, DataError, "comes twice"),
        (NIGHT, {"k": 0}, ConfigError, "got k 0"),
        (NIGHT, {"batch_size": 0}, ConfigError, "batch_size 0"),
        (NIGHT, {"top_k": -1}, ConfigError, "top_k -1"),
        (NIGHT, {"temperature": 0.0}, ConfigError, "got 0.0 and 1.0"),
        (NIGHT, {"temperature": float("nan")}, ConfigError, "got nan and 1.0"),
        (NIGHT, {"top_p": 1.5}, ConfigError, "got 1.0 and 1.5"),
    ],
)
def test_what_cannot_be_drawn(model, processor, samples, settings, error, message):
    with pytest.raises(error, match=message):
        sample_many(model, processor, samples, settings.pop("k", 2), style=STYLE, **settings)

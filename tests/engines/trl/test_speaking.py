"""Rollouts behind shared prompts, against the stock trainer's own."""

import copy

import pytest
import torch

from tiny_qwen import build_tiny_qwen
from vantage.engines.trl import VantageTrainer
from vantage.engines.trl.speaking import Ask
from vantage.methods import Dapo, Ekipl, Grpo, Mars
from vantage.models import load_model, load_processor
from vantage.samples import PromptStyle


@pytest.fixture(scope="module")
def folders(tmp_path_factory, tiny_folder):
    made = {name: build_tiny_qwen(tmp_path_factory.mktemp(name), name) for name in ("qwen2_5_vl", "qwen3_vl")}
    return {**made, "tiny": tiny_folder}


@pytest.fixture
def made(folders, night, config):
    def make(sharing="auto", method=None, family="tiny", samples=None, **settings):
        folder = folders[family]
        torch.manual_seed(0)
        return VantageTrainer(
            load_model(folder, dtype="float32"),
            method or Grpo(),
            config(**{"max_completion_length": 8, **settings}),
            train_dataset=samples or [night[i] for i in range(8)],
            processing_class=load_processor(folder),
            sharing=sharing,
            parity="skip",
        )

    return make


def larger(sample, scale):
    """The sample with pictures of another size."""
    pictures = {name: copy.copy(sample.picture(name)).resize((28 * scale, 56)) for name in sample.sources}
    return PromptStyle().messages(sample, pictures=pictures)


@pytest.mark.parametrize("family", ["tiny", "qwen2_5_vl", "qwen3_vl"])
def test_greedy_answers_are_those_of_the_stock_rollout(family, made, night):
    prompts = [larger(night[i], scale) for i, scale in enumerate((2, 3, 5))]
    asks = [Ask(prompts[0], 3, greedy=True), Ask(prompts[1], 3, greedy=True), Ask(prompts[2], 1, greedy=True)]
    told, end = {}, None
    for sharing in ("off", "auto"):
        trainer = made(sharing, family=family)
        with torch.no_grad():  # a random model says one token again and again; this one does not
            torch.manual_seed(3)
            for parameter in trainer.model.parameters():
                parameter.add_(torch.randn_like(parameter), alpha=0.3 if parameter.ndim > 1 else 0)
        if end is None:
            said = trainer.speaking.speak(asks).ids
            end = next(token for token in said[0][0][1:] if token not in {said[1][0][0], said[2][0][0]})
        trainer.eos_token_ids = [end]  # so that answers are of unlike lengths
        trainer.generation_config.eos_token_id = [end]
        assert trainer.speaking.together == (sharing == "auto")
        told[sharing] = trainer.speaking.speak(asks)
    assert told["auto"].ids == told["off"].ids
    assert [len(lines) for lines in told["auto"].ids] == [3, 3, 1]
    assert told["auto"].prompt_ids == told["off"].prompt_ids
    assert len({len(line) for lines in told["auto"].ids for line in lines}) > 1


def test_drawn_answers_are_drawn_by_the_settings_of_the_run(made, night):
    """Of many answers' first tokens, as many of each as their probability says, cut at top-k."""
    trainer = made(top_k=3, temperature=0.7, max_completion_length=1)
    prompt = PromptStyle().messages(night[0])
    spoken = trainer.speaking.speak([Ask(prompt, 4000)])
    first = torch.tensor([line[0] for line in spoken.ids[0]])
    inputs = trainer.processing_class.apply_chat_template(
        [prompt], add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
    )
    with torch.no_grad():
        logits = trainer.model(**inputs).logits[0, -1] / 0.7
    logits[trainer.generation_config.suppress_tokens] = -torch.inf
    best = logits.topk(3)
    assert set(first.tolist()) == set(best.indices.tolist())
    shares = torch.stack([(first == token).float().mean() for token in best.indices])
    torch.testing.assert_close(shares, best.values.softmax(0), atol=0.03, rtol=0)
    # What is told of a token is its probability in the whole distribution, which the update computes too.
    whole = dict(zip(best.indices.tolist(), logits.log_softmax(0)[best.indices].tolist(), strict=True))
    assert spoken.logprobs[0][0] == pytest.approx([whole[first[0].item()]], abs=0.05)


@pytest.mark.parametrize("family", ["tiny", "qwen2_5_vl"])
@pytest.mark.parametrize("sharing", ["auto", "off"])
def test_a_picture_is_processed_once_for_its_group(sharing, family, made, monkeypatch):
    trainer = made(sharing, Mars(), family, per_device_train_batch_size=8, num_generations=4, max_steps=1)
    counted = []
    images = type(trainer.processing_class.image_processor)
    original = images.preprocess

    def counting(self, images, *args, **kwargs):
        counted.append(sum(len(one) if isinstance(one, list | tuple) else 1 for one in images))
        return original(self, images, *args, **kwargs)

    monkeypatch.setattr(images, "preprocess", counting)
    trainer.train()
    assert type(trainer.processing_class.image_processor) is images
    # Two groups of two pictures. The stock way repeats them for rows, for two anchors each, and for the update.
    assert sum(counted) == (2 * 2 if sharing == "auto" else 8 * 2 + 4 * 2 + 8 * 2)


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"repetition_penalty": 1.1}, "have no repetition_penalty = 1.1"),
        ({"generation_kwargs": {"num_beams": 2}}, "have no num_beams = 2"),
        ({"cache_implementation": "static"}, "have no cache_implementation = 'static'"),
    ],
    ids=str,
)
def test_what_shared_rollouts_cannot_do_is_done_by_repetition_and_said(settings, why, made):
    trainer = made(max_steps=1, **settings)
    assert trainer.shares and not trainer.speaking.together
    (line,) = trainer.not_shared
    assert line.startswith("prompts are shared in the update, and repeated in rollouts") and why in line
    if "cache_implementation" not in settings:
        trainer.train()


@pytest.mark.parametrize("method", [Mars(), Dapo(max_generation_batches=2)], ids=lambda m: m.name)
@pytest.mark.parametrize("settings", [{}, {"steps_per_generation": 2, "num_iterations": 2}, {"beta": 0.1}], ids=str)
def test_methods_train_on_shared_rollouts_of_pictures_of_any_size(method, settings, made, night):
    trainer = made(method=method, family="qwen2_5_vl", max_steps=2, learning_rate=1e-2, **settings)
    scores = trainer.verifier
    trainer.reward_funcs[0] = lambda completions, **k: [float(i % 3) for i, _ in enumerate(scores(completions, **k))]
    before = torch.cat([p.detach().flatten() for p in trainer.model.parameters()])
    trainer.train()
    assert trainer.shares and trainer.speaking.together and not trainer.not_shared
    assert not torch.equal(before, torch.cat([p.detach().flatten() for p in trainer.model.parameters()]))


def test_evaluation_inside_training_grows_behind_shared_prompts(tiny_folder, night, config):
    figures = {}
    for sharing in ("off", "auto"):
        torch.manual_seed(0)
        settings = {
            "per_device_eval_batch_size": 8,
            "num_generations_eval": 2,
            "generation_kwargs": {"do_sample": False},
        }
        trainer = VantageTrainer(
            load_model(tiny_folder, dtype="float32"), Grpo(), config(**settings), train_dataset=night,
            eval_dataset=[night[i] for i in range(8)], processing_class=load_processor(tiny_folder), sharing=sharing,
        )  # fmt: skip
        assert trainer.speaking.together == (sharing == "auto")
        found = trainer.evaluate()
        figures[sharing] = {k: v for k, v in found.items() if "time" not in k and "per_second" not in k}
    assert figures["auto"] == pytest.approx(figures["off"], abs=1e-5, nan_ok=True)


def test_guests_join_groups_of_shared_rollouts(made):
    from vantage.guests import Guests
    from vantage.guests.oracle import OracleGuest

    plain = made("auto")
    joined = VantageTrainer(
        plain.model, Ekipl(statistics="all", ties="guests"), plain.args, train_dataset=plain.training_samples,
        processing_class=plain.processing_class, guests=Guests([OracleGuest(1.0)], wait=10), parity="skip",
    )  # fmt: skip
    assert joined.speaking.together
    joined.train()
    kept = [log["guests/kept"] for log in joined.state.log_history if "guests/kept" in log]
    assert len(kept) == 2 and all(share > 0 for share in kept)

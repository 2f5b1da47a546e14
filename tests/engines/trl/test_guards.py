"""What the trainer refuses, and when."""

import math
from dataclasses import replace
from types import MappingProxyType

import pytest
import torch
from peft import LoraConfig

from vantage import sharing
from vantage.engines.trl import VantageTrainer, parity
from vantage.engines.trl.shared import SharedUpdate
from vantage.engines.trl.speaking import Ask
from vantage.errors import CheckpointError, ConfigError, DataError, EngineError, RewardError, TruthError
from vantage.methods import Dapo, Grpo, Mars
from vantage.models import placeholder_ids
from vantage.rewards import Reward, Score, registry
from vantage.samples import PromptStyle, Sample


def trainer(tiny_folder, night, config, method=None, **kwargs):
    args = config(**kwargs.pop("args", {}))
    return VantageTrainer(str(tiny_folder), method or Grpo(), args, train_dataset=night, **kwargs)


def test_a_device_must_hold_whole_groups(tiny_folder, night, config):
    args = config(per_device_train_batch_size=4, num_generations=4)
    args.per_device_train_batch_size = 6  # as on each of two processes, where the total divides
    with pytest.raises(ConfigError, match=r"6 completions.*no multiple of num_generations 4"):
        VantageTrainer(str(tiny_folder), Grpo(), args, train_dataset=night)


@pytest.mark.parametrize(
    ("method", "args", "message"),
    [
        (Dapo(), {"loss_type": "grpo"}, "loss_type is 'grpo'.*dapo needs a loss averaged over tokens"),
        (Grpo(), {"scale_rewards": "none"}, "scale_rewards is 'none' but the method's scale is 'group'"),
        (Dapo(overlong_buffer=50), {}, "overlong_buffer is 50 tokens but a completion has at most 12"),
        (Grpo(), {"multi_objective_aggregation": "normalize_then_sum"}, "only 'sum_then_normalize'"),
        (
            Grpo(),
            {"save_strategy": "steps", "save_steps": 3, "steps_per_generation": 2},
            "save_steps is 3.*between two generations",
        ),
        (Dapo(), {"epsilon_high": 0.3}, "epsilon_high is 0.3 but the method's is 0.28"),
        (Dapo(), {"loss_type": "cispo"}, "loss_type is 'cispo'.*set epsilon_high"),
        (Mars(sources=("rgb", "radar")), {}, "row 'night/train/hard/0/0'.*radar.*rgb, infrared"),
    ],
)
def test_settings_that_contradict_each_other_name_both(method, args, message, tiny_folder, night, config):
    with pytest.raises(ConfigError, match=message):
        trainer(tiny_folder, night, config, method, args=args)


def test_clip_higher_is_the_methods(tiny_folder, night, config):
    assert trainer(tiny_folder, night, config, Mars(base=Dapo())).epsilon_high == 0.28
    assert trainer(tiny_folder, night, config, Dapo(epsilon_high=0.3), args={"epsilon_high": 0.3}).epsilon_high == 0.3
    assert trainer(tiny_folder, night, config, Mars()).epsilon_high == 0.2
    cispo = trainer(tiny_folder, night, config, Dapo(), args={"epsilon_high": 5.0, "loss_type": "cispo"})
    assert cispo.epsilon_high == 5.0


def test_a_default_save_interval_moves_to_where_a_generation_begins(tiny_folder, night, config):
    args = {"save_strategy": "steps", "steps_per_generation": 3, "per_device_train_batch_size": 8}
    assert trainer(tiny_folder, night, config, args=args).args.save_steps == 501


def test_the_users_configuration_is_left_alone(tiny_folder, night, config):
    args = config()
    VantageTrainer(str(tiny_folder), Dapo(), args, train_dataset=night)
    assert args.epsilon_high is None


@pytest.mark.parametrize(
    ("data", "message"),
    [(None, "sequence of vantage.Sample"), ([], "empty"), ([{"prompt": "hello"}], "first row is dict")],
)
def test_data_that_are_no_samples(data, message, tiny_folder, config):
    with pytest.raises(DataError, match=message):
        VantageTrainer(str(tiny_folder), Grpo(), config(), train_dataset=data)


def test_a_truth_that_its_reward_cannot_read_is_found_when_the_trainer_is_built(tiny_folder, night, config):
    broken = Sample("r7", "How many?", night[0].sources, {"a": 1}, "answer")
    with pytest.raises(TruthError, match="r7"):
        trainer(tiny_folder, [night[0], broken], config)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_reward_that_is_no_number_names_the_row_and_the_function(bad, kind, tiny_folder, night, config):
    def broken(completions, **_):
        return [bad] * len(completions)

    async def broken_async(completions, **_):
        return [bad] * len(completions)

    function = broken if kind == "sync" else broken_async
    with pytest.raises(RewardError, match=rf"{function.__name__}.*row 'night/train/hard/0/\d+'"):
        trainer(tiny_folder, night, config, reward_funcs=function).train()


def test_an_unscored_completion_drops_out_of_the_statistics(tiny_folder, night, config, scripted, tmp_path):
    def sometimes(completions, **_):
        return [None if i % 4 == 0 else float(i % 4) for i in range(len(completions))]

    t = scripted(VantageTrainer)(
        str(tiny_folder), Grpo(), config(max_steps=1), train_dataset=night, reward_funcs=sometimes, parity="skip"
    )
    t.reward_weights = torch.tensor([0.0, 1.0])
    t.verifier.__class__ = type("Silent", (type(t.verifier),), {"__call__": _unscored})
    rollout = t._phase.collect([0, 1]).rollout
    expected = torch.tensor([0.0, -1.0, 0.0, 1.0])  # of None, 1, 2, 3: the first has no advantage and counts nowhere
    for row in rollout.advantages:
        torch.testing.assert_close(row, expected, atol=2e-4, rtol=0)


def _unscored(self, completions, sample, **_):
    from vantage.rewards.base import Score

    self.scores = [Score(None) for _ in completions]
    return [None] * len(completions)


def test_a_verifier_that_is_stopped_scores_0_and_counts(tiny_folder, night, config, scripted, monkeypatch):
    class Slow(Reward):
        name, low, high = "slow", 0.0, 1.0

        def score(self, completion, sample):
            raise AssertionError("a batch is scored at once")

        def score_many(self, completions, samples):
            assert len(completions) in (8, 4)  # two groups of four, and two anchors for each
            return [Score(0.0, timed_out=" 3 " in text) for text in completions]

    monkeypatch.setattr(registry, "_loaded", {**registry._loaded, "slow": Slow()})
    rows = [replace(night[i], reward="slow") for i in range(8)]
    trainer = scripted(VantageTrainer, answers=("3", "4"))(
        str(tiny_folder), method=Mars(), args=config(max_steps=1), train_dataset=rows
    )
    collected = trainer._phase.collect([0, 1])
    stopped = [m for group in collected.rollout.groups for m in group.members if m.score.timed_out]
    assert 0 < collected.figures["timeouts"] == len(stopped) < 12
    assert collected.figures["reward"] == 0


def test_one_reward_for_all_knows_which_completions_were_cut(tiny_folder, night, config, scripted):
    class Watching(Reward):
        name, low, high = "watching", 0.0, 1.0
        logged = MappingProxyType({"caption/finished": "finished"})

        def score(self, completion, sample):
            return Score(float(completion.finished), parts={"finished": float(completion.finished)})

    class Cut(scripted(VantageTrainer)):
        def _generate_single_turn(self, prompt_ids, images, fields, num_generations, **_):
            ids, logprobs = super()._generate_single_turn(prompt_ids, images, fields, num_generations)
            return [tokens[:-1] if i % 4 == 0 else tokens for i, tokens in enumerate(ids)], logprobs

    trainer = Cut(str(tiny_folder), method=Grpo(), args=config(), train_dataset=night, reward=Watching())
    collected = trainer._phase.collect([0, 1])
    for group in collected.rollout.groups:
        assert [member.score.parts["finished"] for member in group.members] == [0, 1, 1, 1]
    assert collected.figures["caption/finished"] == 0.75
    assert collected.figures["reward"] == 0.75


def test_the_one_reward_reads_every_truth_first(tiny_folder, night, config):
    class Strict(Reward):
        name, low, high = "strict", 0.0, 1.0

        def score(self, completion, sample):
            return Score(0.0)

        def check(self, sample):
            raise TruthError(f"row {sample.id!r}: no")

    with pytest.raises(TruthError, match="night/train/hard/0/0"):
        trainer(tiny_folder, night, config, reward=Strict())


@pytest.mark.parametrize("sharing", ["off", "auto"])
def test_picture_placeholders_cannot_be_sampled(sharing, tiny_folder, night, config):
    t = trainer(tiny_folder, night, config, args={"max_completion_length": 16}, sharing=sharing)
    banned = placeholder_ids(t.model.config, t._tokenizer)
    assert t.model.config.image_token_id in banned
    with torch.no_grad():  # a policy that wants nothing else
        for token in banned:
            t.model.get_output_embeddings().weight[token] *= 100
    (lines,) = t.speaking.speak([Ask(PromptStyle().messages(night[0]), 8)]).ids
    assert len(lines) == 8
    assert not {token for line in lines for token in line} & set(banned)


def test_rollout_and_update_agree_on_a_sound_model(tiny_folder, night, config):
    t = trainer(tiny_folder, night, config)
    state, metrics = torch.get_rng_state(), dict(t._metrics["train"])
    assert parity.check(t) < 1e-5
    assert torch.equal(state, torch.get_rng_state())
    assert dict(t._metrics["train"]) == metrics


def test_training_is_refused_when_sharing_changes_log_probs(tiny_folder, night, config, monkeypatch):
    t = trainer(tiny_folder, night, config)
    original = SharedUpdate.log_probs

    def shifted(self, *args, **kwargs):
        logprobs, *rest = original(self, *args, **kwargs)
        return (logprobs - 0.1, *rest)

    monkeypatch.setattr(SharedUpdate, "log_probs", shifted)
    with pytest.raises(EngineError, match=r"0\.1 nats.*shared prompts differs from one that repeats.*set sharing: off"):
        t.train()


def test_training_is_refused_when_a_shared_rollout_reads_another_prompt(tiny_folder, night, config, monkeypatch):
    t = trainer(tiny_folder, night, config)
    original = sharing.generate

    def mixed(model, prompts, *args, **kwargs):
        return original(model, {**prompts, "pixel_values": prompts["pixel_values"].flip(0)}, *args, **kwargs)

    monkeypatch.setattr(sharing, "generate", mixed)
    with pytest.raises(EngineError, match=r"rollout and update disagree.*Usual causes"):
        t.train()


def test_training_is_refused_when_log_probs_differ(tiny_folder, night, config):
    t = trainer(tiny_folder, night, config)
    original = t._get_per_token_logps_and_entropies

    def shifted(*args, **kwargs):
        logprobs, *rest = original(*args, **kwargs)
        return (logprobs - 0.1, *rest)

    t._get_per_token_logps_and_entropies = shifted
    with pytest.raises(EngineError, match=r"rollout and update disagree.*0\.1 nats"):
        t.train()


def test_training_is_refused_when_pictures_do_not_reach_the_model(tiny_folder, night, config):
    t = trainer(tiny_folder, night, config)
    projector = t.model.model.multi_modal_projector
    for parameter in projector.parameters():
        parameter.data.zero_()
    with pytest.raises(EngineError, match=r"pictures do not reach the model.*'rgb' and of 'infrared'"):
        t.train()


def test_training_is_refused_when_one_source_does_not_reach_the_model(tiny_folder, night, config):
    t = trainer(tiny_folder, night, config, sharing="off")
    original = t._get_per_token_logps_and_entropies

    def half_blind(*args, pixel_values, **kwargs):
        pixel_values = pixel_values.clone()
        pixel_values[1::2] = 0
        return original(*args, pixel_values=pixel_values, **kwargs)

    t._get_per_token_logps_and_entropies = half_blind
    with pytest.raises(EngineError, match=r"disagree|the content of 'infrared' changes"):
        t.train()


@pytest.mark.parametrize("sharing", ["off", "auto"])
def test_bfloat16_autocast_over_float32_weights_is_no_mismatch(sharing, tiny_folder, night, config):
    trainer(tiny_folder, night, config, args={"bf16": True, "max_steps": 1}, sharing=sharing).train()


@pytest.mark.parametrize("sharing", ["off", "auto"])
@pytest.mark.parametrize(
    "args", [{"mask_truncated_completions": True}, {"generation_kwargs": {"temperature": 0.5}}], ids=str
)
def test_short_completions_and_other_temperatures_are_no_mismatch(args, sharing, tiny_folder, night, config):
    trainer(tiny_folder, night, config, args={"max_steps": 1, **args}, sharing=sharing).train()


def test_a_lora_with_dropout_is_no_mismatch(tiny_folder, night, config):
    lora = LoraConfig(r=4, lora_dropout=0.5, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    t = trainer(tiny_folder, night, config, args={"max_steps": 1}, peft_config=lora)
    before = {n: p.detach().clone() for n, p in t.model.named_parameters()}
    reward = t.verifier
    t.reward_funcs[0] = lambda completions, **k: [float(i % 3) for i, _ in enumerate(reward(completions, **k))]
    t.train()
    moved = {n for n, p in t.model.named_parameters() if not torch.equal(before[n], p)}
    assert moved
    assert all("lora_" in name for name in moved)


def test_a_template_that_writes_the_first_token_itself_is_no_mismatch(tiny_folder, night, config):
    t = trainer(tiny_folder, night, config)
    original = t._tokenize_prompts
    processor = t.processing_class
    t._tokenizer.bos_token = "<user>"  # noqa: S105

    class WithBos(type(processor)):
        def __call__(self, *args, **kwargs):
            inputs = super().__call__(*args, **kwargs)
            bos = torch.full_like(inputs["input_ids"][:, :1], self.tokenizer.bos_token_id)
            inputs["input_ids"] = torch.cat([bos, inputs["input_ids"]], dim=1)
            return inputs

    tokens = original([PromptStyle().messages(night[0])])[0][0]
    processor.__class__ = WithBos
    parity._compare_prompts(t, night[0], PromptStyle().messages(night[0]), tokens)
    with pytest.raises(EngineError, match="differently"):
        parity._compare_prompts(t, night[0], PromptStyle().messages(night[0]), tokens[1:])


def test_training_is_refused_when_prompts_differ(tiny_folder, night, config):
    t = trainer(tiny_folder, night, config)
    original = t._tokenize_prompts

    def corrupted(prompts):
        ids, images, fields = original(prompts)
        return [[*line[:-2], line[-1]] for line in ids], images, fields

    t._tokenize_prompts = corrupted
    with pytest.raises(EngineError, match="tokenise the prompt of row 'night/train/hard/0/0' differently"):
        t.train()


def test_a_full_disk_leaves_the_last_whole_checkpoint(tiny_folder, night, config, tmp_path, monkeypatch):
    t = trainer(tiny_folder, night, config, args={"save_strategy": "steps", "save_steps": 1, "max_steps": 3})
    original = VantageTrainer._save_optimizer_and_scheduler

    def full(self, folder):
        if self.state.global_step == 2:
            raise OSError(28, "No space left on device")
        original(self, folder)

    monkeypatch.setattr(VantageTrainer, "_save_optimizer_and_scheduler", full)
    with pytest.raises(CheckpointError, match=r"checkpoint-2 .*No space left.*last whole one is .*checkpoint-1"):
        t.train()
    assert sorted(p.name for p in (tmp_path / "out").glob("checkpoint-*")) == ["checkpoint-1"]

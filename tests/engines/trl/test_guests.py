"""Guests in the group: who is kept, what the update makes of their tokens, and what becomes of those who stay away."""

import dataclasses
import itertools
import json
import time

import numpy as np
import pytest
import torch

from vantage import tiny
from vantage.engines.trl import VantageTrainer
from vantage.engines.trl.logs import MetricsLog
from vantage.errors import ConfigError, EndpointError
from vantage.groups import FUSED, Origin
from vantage.guests import Guests, Refusal
from vantage.guests.function import FunctionGuest
from vantage.guests.local import LocalGuest
from vantage.guests.oracle import OracleGuest
from vantage.methods import Dapo, Ekipl, Grpo, Imitation, Mars, MarsTransfer
from vantage.methods.ratio import Ratio
from vantage.models import load_model, load_processor
from vantage.samples import PromptStyle
from vantage.worlds import gold

GOLD = FunctionGuest("gold", gold)


def never(_):
    raise RuntimeError("out of order")


@pytest.fixture
def run(tiny_folder, night, config, scripted, tmp_path):
    """Train some steps on scripted rollouts; the trainer, its groups by step, its figures by step."""

    def start(method, guests=None, samples=None, wait=5, **settings):
        torch.manual_seed(0)
        out = tmp_path / f"run-{time.monotonic_ns()}"
        out.mkdir()
        trainer = scripted(VantageTrainer)(
            load_model(tiny_folder, dtype="float32"),
            method,
            config(**{"max_completion_length": 20, **settings}),
            train_dataset=samples or [night[i] for i in range(8)],
            processing_class=load_processor(tiny_folder),
            guests=None if guests is None else Guests(guests, wait),
            rollout_log=out / "rollouts.jsonl",
            callbacks=[MetricsLog(out / "metrics.jsonl")],
        )
        trainer.train()
        groups = [json.loads(line) for line in (out / "rollouts.jsonl").read_text().splitlines()]
        metrics = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
        return trainer, groups, metrics

    return start


def weights(trainer):
    return {name: p.detach().clone() for name, p in trainer.model.named_parameters()}


def same(one, other, atol=0.0):
    mine, theirs = weights(one), weights(other)
    return all(torch.allclose(mine[name], theirs[name], rtol=0, atol=atol) for name in mine)


@pytest.mark.parametrize(
    "base",
    [
        pytest.param(Grpo(), id="grpo"),
        pytest.param(Dapo(max_generation_batches=2), id="dapo", marks=pytest.mark.slow),
        pytest.param(Mars(), id="mars", marks=pytest.mark.slow),
    ],
)
def test_without_answers_of_guests_it_is_the_base(base, run):
    alone, groups, _ = run(base)
    joined, with_guests, metrics = run(Ekipl(base=base), [FunctionGuest("broken", never, n=2)])
    assert same(alone, joined)
    assert [g["id"] for g in groups] == [g["id"] for g in with_guests]
    assert all(
        row["guests/pool"] == row["guests/kept"] == 0 and row["guests/missing"] == row["guests/missing/failed"] == 1
        for row in metrics
    )
    refused = [m for g in with_guests for m in g["members"] if m["origin"] == "guest:broken"]
    assert refused and all("out of order" in m["refused"] and not m["trained"] for m in refused)


@pytest.mark.parametrize("statistics", ["kept", "all"])
def test_the_best_are_kept_and_normalised(statistics, run):
    """Against NumPy, from what the log says of rewards alone."""
    guests = [OracleGuest(0.5, n=2), GOLD]
    _, groups, metrics = run(Ekipl(statistics=statistics), guests, max_steps=3)
    assert len(groups) == 3 * 2
    share = []
    for group in groups:
        rewards = np.array([m["reward"] for m in group["members"]])
        order = sorted(range(len(rewards)), key=lambda i: (-rewards[i], i))[:4]  # rollouts come first
        pool = rewards[order] if statistics == "kept" else rewards
        expected = np.zeros(len(rewards))
        if pool.max() > pool.min():
            expected[order] = (rewards[order] - pool.mean()) / (pool.std(ddof=1) + 1e-4)
        assert [m["trained"] for m in group["members"]] == [i in order for i in range(len(rewards))]
        np.testing.assert_allclose([m["advantage"] for m in group["members"]], expected, atol=1e-6)
        share.append(np.mean([i >= 4 for i in order]))
    assert 0 < np.mean(share) < 1
    assert np.mean([row["guests/kept"] for row in metrics]) == pytest.approx(np.mean(share))
    assert all(row["guests/pool"] == pytest.approx(3 / 7) and row["guests/missing"] == 0 for row in metrics)


def pair(trainer, sample, text):
    """A sample's prompt as the processor makes it, and an answer, in tokens."""
    asked = load_processor(trainer.model.name_or_path).apply_chat_template(
        [trainer.style.messages(sample)], add_generation_prompt=True, tokenize=True, return_dict=True
    )
    tokenizer = trainer._tokenizer
    answer = [*tokenizer(text, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
    return list(asked["input_ids"][0]), answer


def off_policy_rows(trainer):
    """Prompt and answer of every off-policy row that the update got, in tokens."""
    batch = trainer._buffered_inputs[0]
    return sorted(
        tuple(batch[f"{kind}_ids"][i][batch[f"{kind}_mask"][i].bool()].tolist() for kind in ("prompt", "completion"))
        for i in batch["off_policy"].nonzero().flatten().tolist()
    )


def test_a_guests_row_is_its_text_under_the_fused_prompt(run, night):
    samples = [night[i] for i in range(2)]
    trainer, groups, _ = run(Ekipl(ties="guests"), [GOLD], samples, max_steps=1, steps_per_generation=1)
    expected = [pair(trainer, sample, gold(sample)) for sample in samples]
    assert expected[0][0] != expected[1][0] and expected[0][1] != expected[1][1]
    assert off_policy_rows(trainer) == sorted(expected)
    assert all(any(m["origin"] == "guest:gold" and m["trained"] for m in g["members"]) for g in groups)


def gradient(trainer, batch):
    trainer.model.zero_grad()
    trainer._compute_loss(trainer.model, batch).backward()
    return torch.cat([p.grad.flatten() for p in trainer.model.parameters() if p.grad is not None])


def per_token_gradient(trainer, batch, factor):
    """Gradient of ``-sum A w log p`` over the tokens, w given: what the equations say, by automatic differentiation."""
    trainer.model.zero_grad()
    ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], 1)
    mask = torch.cat([batch["prompt_mask"], batch["completion_mask"]], 1)
    pictures = torch.cat([prompt.inputs["pixel_values"] for prompt in batch["prompt"]])
    logits = trainer.model(input_ids=ids, attention_mask=mask, pixel_values=pictures).logits
    length = batch["completion_ids"].shape[1]
    logps = logits[:, -length - 1 : -1].log_softmax(-1).gather(-1, batch["completion_ids"][..., None])[..., 0]
    live = batch["completion_mask"] * batch.get("tool_mask", 1)
    w = torch.where(batch["off_policy"][:, None], factor(logps.detach()), 1.0)
    loss = -(batch["advantages"][:, None] * w * logps * live).sum() / batch["num_items_in_batch"]
    loss.backward()
    return torch.cat([p.grad.flatten() for p in trainer.model.parameters() if p.grad is not None])


@pytest.mark.parametrize(
    ("ratio", "factor"),
    [
        (Ratio(kind="paper"), torch.ones_like),
        (Ratio(kind="imitation"), torch.ones_like),
        (Ratio(kind="shaped", gamma=0.2), lambda logps: 0.2 * logps.exp() / (logps.exp() + 0.2) ** 2),
    ],
    ids=lambda value: getattr(value, "kind", ""),
)
def test_the_update_follows_the_equation_of_its_ratio(ratio, factor, run):
    trainer, _, metrics = run(Ekipl(ratio=ratio, statistics="all"), [GOLD], max_steps=1)
    batch = trainer._buffered_inputs[0]
    assert batch["off_policy"].any() and (batch["advantages"] != 0).any()
    found, expected = gradient(trainer, batch), per_token_gradient(trainer, batch, factor)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-7)
    assert metrics[0]["off_policy/logp"] < 0 and 0 < metrics[0]["off_policy/ess"] <= 1
    (own,) = {name.split("/")[1] for name in metrics[0] if name.startswith("guests/") and name.endswith("/ess")}
    for figure in ("logp", "weight", "clipped", "ess"):
        assert metrics[0][f"guests/{own}/{figure}"] == metrics[0][f"off_policy/{figure}"]


def log_probs(model, prompt_ids, completion_ids, pixels, never=()):
    """Of every token of one completion by one pass over prompt and completion, the tokens ``never`` left out."""
    with torch.no_grad():
        whole = torch.tensor([[*prompt_ids, *completion_ids]])
        logits = model(input_ids=whole, pixel_values=pixels).logits[0, len(prompt_ids) - 1 : -1].double()
    logits[:, list(never)] = -torch.inf
    return logits.log_softmax(-1)[range(len(completion_ids)), completion_ids]


def behaviour(batch, drawn):
    """The factor min(p / q, 2), q given for every off-policy row."""
    q = torch.zeros(batch["completion_ids"].shape)
    for row in batch["off_policy"].nonzero().flatten().tolist():
        ids = batch["completion_ids"][row][batch["completion_mask"][row].bool()].tolist()
        q[row, : len(ids)] = drawn(row, ids)
    return lambda logps: (logps - q).exp().clamp(max=2.0)


@pytest.fixture
def real(night, config, tmp_path):
    """One step on what the embedded model really says; the trainer, its groups, its figures, its samples by id."""

    def start(method, guests=None, **settings):
        torch.manual_seed(0)
        samples = [night[i] for i in range(64) if night[i].metadata["task"] != "locate"][:8]
        trainer = VantageTrainer(
            load_model(tiny.path(), dtype="float32"),
            method,
            config(max_completion_length=20, num_generations=6, per_device_train_batch_size=48, learning_rate=0.0,
                   max_steps=1),
            train_dataset=samples,
            processing_class=load_processor(tiny.path()),
            guests=guests,
            style=PromptStyle(label_sources=True),
            rollout_log=tmp_path / "rollouts.jsonl",
            callbacks=[MetricsLog(tmp_path / "metrics.jsonl")],
            parity="skip",
            **settings,
        )  # fmt: skip
        trainer.train()
        groups = [json.loads(line) for line in (tmp_path / "rollouts.jsonl").read_text().splitlines()]
        (metrics,) = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
        return trainer, groups, metrics, {sample.id: sample for sample in samples}

    return start


def test_a_guests_tokens_are_weighed_by_the_probability_with_which_it_drew_them(real):
    guest = LocalGuest("tiny-guest", "helper", 2, max_tokens=19, logprobs=True, device="cpu")
    method = Ekipl(ratio="behaviour", statistics="all", ties="guests")
    trainer, _, metrics, _ = real(method, Guests([guest], 60))
    batch = trainer._buffered_inputs[0]

    def drawn(row, ids):
        prompt = batch["prompt_ids"][row][batch["prompt_mask"][row].bool()].tolist()
        pixels = batch["prompt"][row].inputs["pixel_values"]
        return log_probs(guest.model, prompt, ids, pixels, guest._settings["suppress_tokens"])

    factor = behaviour(batch, drawn)
    assert batch["off_policy"].sum() >= 4 and metrics["guests/missing"] == 0
    found, expected = gradient(trainer, batch), per_token_gradient(trainer, batch, factor)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-6)
    assert metrics["off_policy/weight"] > 0.5  # so that the guest's rows are seen in the gradient


def test_a_sampled_anchor_is_weighed_by_its_probability_under_its_own_prompt(real):
    trainer, groups, metrics, by_id = real(MarsTransfer(ratio="behaviour", anchors="sampled"))
    batch = trainer._buffered_inputs[0]
    right = [(by_id[g["id"]], m) for g in groups for m in g["members"] if m["trained"] and m["origin"] != "fused"]
    assert len(right) == int(batch["off_policy"].sum()) >= 2 and metrics["anchors/missing"] == 0

    def drawn(row, ids):
        """By one pass under the prompt with one source, which stands in both places."""
        prompt = batch["prompt_ids"][row][batch["prompt_mask"][row].bool()].tolist()
        text = trainer._tokenizer.decode(ids, skip_special_tokens=True)
        pixels = batch["prompt"][row].inputs["pixel_values"]
        for sample, member in right:
            alone = trainer.processing_class.apply_chat_template(
                [trainer.style.messages(sample, Origin.parse(member["origin"]), "fill")],
                add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt",
            )  # fmt: skip
            both = trainer.processing_class.apply_chat_template(
                [trainer.style.messages(sample)],
                add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt",
            )  # fmt: skip
            same = both["input_ids"][0].tolist() == prompt and torch.equal(both["pixel_values"], pixels)
            known = batch["behaviour_logps"][row, : len(ids)].double()
            if same and member["text"] == text:
                q = log_probs(trainer.model, alone["input_ids"][0].tolist(), ids, alone["pixel_values"])
                # Both sources may have said the same.
                if torch.allclose(q, known, atol=1e-3):
                    return q
        raise AssertionError(f"no anchor drew {text!r} with these probabilities")

    factor = behaviour(batch, drawn)
    assert 0 < metrics["off_policy/weight"] != 1
    found, expected = gradient(trainer, batch), per_token_gradient(trainer, batch, factor)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-6)


def test_a_right_anchor_whose_probability_nobody_tells_is_left_and_counted(real, caplog):
    """The stock rollouts of transformers tell none."""
    _, groups, metrics, _ = real(MarsTransfer(ratio="behaviour", anchors="sampled"), sharing="off")
    right = [m for g in groups for m in g["members"] if m["origin"] != "fused" and m["correct"]]
    assert right and all(m["refused"].startswith("log-probs") and not m["trained"] for m in right)
    assert metrics["anchors/missing"] == metrics["anchors/missing/log-probs"] == 1
    assert caplog.text.count("an anchor is not learned from: log-probs") == 1


def test_after_the_policy_moved_only_the_papers_ratio_moves_with_it(run):
    """Two updates a generation: rows of guests have the first pass's log-probs as old ones in the paper alone."""
    found = {}
    for kind in ("paper", "imitation"):
        settings = {"num_iterations": 2, "max_steps": 2, "learning_rate": 3e-3}
        trainer, _, metrics = run(Ekipl(ratio=Ratio(kind=kind), statistics="all"), [GOLD], **settings)
        found[kind] = weights(trainer)
        assert (metrics[1]["off_policy/weight"] != 1) == (kind == "paper")
    assert any(not torch.equal(found["paper"][name], found["imitation"][name]) for name in found["paper"])


def test_imitation_is_supervised_learning_on_right_guests(run):
    trainer, groups, _ = run(Imitation(ties="guests"), [GOLD, OracleGuest(0.0)], max_steps=1)
    trained = [m for g in groups for m in g["members"] if m["trained"]]
    assert {m["origin"] for m in trained} == {"guest:gold"} and all(m["advantage"] == 1 for m in trained)
    batch = trainer._buffered_inputs[0]
    live = batch["completion_mask"] * batch["tool_mask"]
    assert live.sum() == batch["num_items_in_batch"] and live.any(1).tolist() == batch["off_policy"].tolist()
    torch.testing.assert_close(
        gradient(trainer, batch), per_token_gradient(trainer, batch, torch.ones_like), rtol=1e-4, atol=1e-7
    )


@pytest.mark.parametrize("placed", ["anchor", "truth", "relabelled"])
def test_right_anchors_are_learned_under_the_fused_prompt(placed, run, night):
    samples = [night[i] for i in range(24) if night[i].metadata["task"] != "locate"][:8]
    trainer, groups, _ = run(
        MarsTransfer(placed=placed), None, samples, num_generations=6, per_device_train_batch_size=48, max_steps=1
    )
    batch, by_id = trainer._buffered_inputs[0], {sample.id: sample for sample in samples}
    assert all([m["origin"] for m in g["members"]] == ["fused"] * 4 + ["mono:rgb", "mono:infrared"] for g in groups)
    trained = [(g, m) for g in groups for m in g["members"][4:] if m["trained"]]
    assert 0 < len(trained) == int(batch["off_policy"].sum()) < 16
    assert all(m["correct"] == m["trained"] for g in groups for m in g["members"][4:])
    text = "text" if placed == "anchor" else "placed"
    assert off_policy_rows(trainer) == sorted(pair(trainer, by_id[g["id"]], m[text]) for g, m in trained)
    if placed != "anchor":
        truth = [f"<answer> {by_id[g['id']].truth} </answer>" in m["placed"] for g, m in trained]
        assert all(truth)
    if placed == "truth":
        assert all(m["placed"] == gold(by_id[g["id"]]) for g, m in trained)
    # Rows that nobody fills carry no loss.
    assert (batch["completion_mask"] * batch["tool_mask"]).any(1).sum() == 8 * 4 + len(trained)


def test_a_guest_that_fails_from_the_start_is_named_with_the_servers_words(run, caplog):
    """Its settings may be wrong for good: nobody should find that in a figure after hours."""

    def refuses(sample):
        raise EndpointError("m: status 400: Unknown name \x1b[31mseed")

    turns = itertools.cycle([True, False])
    says_something = FunctionGuest("half", lambda sample: gold(sample) if next(turns) else "")
    run(Ekipl(), [FunctionGuest("never", refuses, n=2), says_something, GOLD], max_steps=2)
    told = [text for record in caplog.records if "gave nothing" in (text := record.getMessage())]
    assert len(told) == 1
    assert "guest 'never' gave nothing to the first generation: none of its 4 answers has a place" in told[0]
    assert told[0].endswith(r"failed: m: status 400: Unknown name \x1b[31mseed")


def test_the_generations_of_a_step_wait_no_longer_together_than_one(run, night):
    """A step that is filled asks three times, and waits once for what never comes."""
    groups = [night[i] for i in range(64) if night[i].metadata["task"] == "locate"][:8]  # nobody is ever right
    never = FunctionGuest("never", lambda _: time.sleep(60))
    _, _, metrics = run(Ekipl(base=Dapo(max_generation_batches=3)), [never], groups, wait=1.5, max_steps=2)
    for step in metrics:
        assert step["dynamic/batches"] == 3 and step["guests/missing/late"] == 1
        assert 1.5 <= step["time/guests"] < 2.5


def test_late_and_hostile_answers_leave_the_group_smaller(run, caplog):
    def slow(_):
        time.sleep(30)
        return "never heard"

    texts = iter(
        ["<image> <think> a </think> <answer> 1 </answer>", "yes " * 300_000, "", "<answer> elephant </answer>"] * 9
    )
    guests = [FunctionGuest("slow", slow), FunctionGuest("hostile", lambda _: next(texts)), GOLD]
    start = time.monotonic()
    _, groups, metrics = run(Ekipl(), guests, max_steps=1)
    assert time.monotonic() - start < 25
    members = {
        name: [m for g in groups for m in g["members"] if m["origin"] == f"guest:{name}"]
        for name in ("slow", "hostile")
    }
    assert all(m["refused"].startswith("late: ") for m in members["slow"])
    assert all(m["refused"] and not m["trained"] and m["reward"] is None for m in members["hostile"])
    assert [metrics[0][f"guests/{name}/missing"] for name in ("slow", "hostile", "gold")] == [1, 1, 0]
    missing = {name: row for name, row in metrics[0].items() if name.startswith("guests/missing") and row}
    # Of six answers two were late; the hostile one has four texts in turn, of which a step hears two.
    assert missing.pop("guests/missing") == pytest.approx(2 / 3) and missing["guests/missing/late"] == pytest.approx(
        1 / 3
    )
    assert set(missing) <= {f"guests/missing/{kind}" for kind in ("late", "control", "long", "empty", "lossy")}
    for kind in {Refusal(member["refused"]).kind for member in members["hostile"]}:
        told = [text for line in caplog.records if f"(guests/missing/{kind})" in (text := line.getMessage())]
        assert len(told) == 1 and told[0].startswith("guest 'hostile' leaves a place empty")
    assert all(m["score"] is not None for g in groups for m in g["members"] if m["origin"] in ("fused", "guest:gold"))


@pytest.mark.parametrize(
    ("method", "guests", "settings", "message"),
    [
        (Ekipl(), None, {}, "ekipl learns from the answers of other models, and no guests are given; name some"),
        (Grpo(), [GOLD], {}, r"grpo takes none; .* as in method: {name: ekipl, base: {name: grpo}}"),
        (MarsTransfer(), [GOLD], {}, "mars-transfer takes none; take them out: ekipl and imitation, .* cannot stand"),
        (MarsTransfer(), None, {"num_generations": 2}, "at least one fused rollout"),
        (Ekipl(ratio="shaped"), [GOLD], {"loss_type": "sapo"}, "loss_type 'sapo'"),
        (Ekipl(ratio="shaped"), [GOLD], {"importance_sampling_level": "sequence"}, "must be 'token'"),
        (Ekipl(ratio="shaped"), [GOLD], {"loss_type": "cispo"}, "set epsilon_high to 1 or more"),
        (Ekipl(ratio="behaviour"), [GOLD, OracleGuest(0.5)], {}, "none of 'gold', 'oracle' gives any"),
    ],
)
def test_what_cannot_go_together_is_refused(method, guests, settings, message, run):
    with pytest.raises(ConfigError, match=message):
        run(method, guests, **settings)


def test_the_truth_is_placed_where_it_comes_with_its_reasoning(run, night):
    bare = [dataclasses.replace(night[0], metadata={}), night[1]]
    with pytest.raises(ConfigError, match=r"'night/train/hard/0/0' has no metadata 'reasoning'"):
        run(MarsTransfer(placed="truth"), None, bare)


class Told(FunctionGuest):
    """Says what is right, and of its tokens what it is told to."""

    gives_logprobs = True

    def __init__(self, logprobs):
        super().__init__("told", gold)
        self.told = logprobs

    async def ask(self, sample, style, turn):
        (said,) = await super().ask(sample, style, turn)
        return [dataclasses.replace(said, logprobs=self.told(said.text.split()))]


def test_guests_without_log_probs_are_refused_where_they_are_needed(run, caplog):
    """All of them are counted, one is told of."""
    guest = Told(lambda words: tuple((word, -1.0) for word in words))  # nothing of the end
    _, groups, metrics = run(Ekipl(ratio="behaviour"), [guest], max_steps=1)
    assert all("log-probs" in g["members"][-1]["refused"] for g in groups)
    assert caplog.text.count("(guests/missing/log-probs): none for each") == 1
    assert metrics[0]["guests/missing/log-probs"] == 1 and FUSED.kind in {
        m["origin"] for g in groups for m in g["members"]
    }

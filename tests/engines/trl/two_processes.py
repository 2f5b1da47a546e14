"""Trains a few steps on scripted completions: `two_processes.py MODEL OUT METHOD`, alone or under `torchrun`.

Method `captions` is rewarded by a reasoner that is gone in the last process from the third step on, where OUT/down is.
"""

import json
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import torch
from trl import GRPOConfig

from conftest import spoken
from vantage import worlds
from vantage.captions import CaptionReward
from vantage.endpoints import FunctionEndpoint
from vantage.engines.trl import VantageTrainer
from vantage.engines.trl.checkpoints import last_complete
from vantage.engines.trl.logs import MetricsLog
from vantage.errors import VantageError
from vantage.guests import Guests
from vantage.guests.function import FunctionGuest
from vantage.guests.oracle import OracleGuest
from vantage.methods import Dapo, Ekipl, Grpo, Mars, MarsTransfer
from vantage.samples import Sample
from vantage.worlds import gold

G, P = 4, 4


class Uneven(VantageTrainer):
    """Speaks by itself; the first process's answers end with their first token, and what each did is written down."""

    def _generate_single_turn(self, prompt_ids, images, fields, num_generations, **more):
        if self.accelerator.is_main_process:
            self.generation_config.eos_token_id = list(range(self.model.config.text_config.vocab_size))
        found = super()._generate_single_turn(prompt_ids, images, fields, num_generations, **more)
        line = [max(map(len, found[0])), sum(map(len, images)), self.speaking.together]
        with Path(self.args.output_dir, f"turns-{self.accelerator.process_index}").open("a") as file:
            file.write(json.dumps(line) + "\n")
        return found


class Scripted(VantageTrainer):
    def _generate_single_turn(self, prompt_ids, images, fields, num_generations, **_):
        return spoken(prompt_ids, self._tokenizer, images), None


class Reader:
    """Answers with a number that depends on the caption."""

    def __init__(self, out):
        self.out, self.trainer = Path(out), None

    def __call__(self, messages):
        gone = (self.out / "down").exists() and self.trainer.state.global_step == 2
        if gone and self.trainer.accelerator.is_last_process:
            raise OSError("nobody answers")
        return rf"\boxed{{{sum(map(ord, messages[-1]['content'])) % 3}}}"


def moody(sample):
    if int(sample.id.rpartition("/")[2]) % 3 == 0:
        raise OSError("nobody answers")
    return gold(sample)


def by_number(completions, **_):
    return [float(number % 3) for number, _ in enumerate(completions)]


def main(folder, out, method):
    torch.set_num_threads(1)
    reader = Reader(out)
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    samples = list(worlds.get("night").dataset("train", n=32, tasks=["count", "exists"]))
    chosen = Mars(shuffled=True, base=Grpo(scale="batch"))
    if method == "dapo":
        chosen = Dapo(max_generation_batches=3)
    if method == "captions":
        chosen = Grpo()
    guests = None
    if method == "guests":
        chosen = Ekipl(statistics="all", ratio="shaped", base=Mars())
        guests = Guests([OracleGuest(0.7, n=2), FunctionGuest("moody", moody)], wait=10)
    if method == "placed":
        chosen = MarsTransfer(placed="truth")
    if method == "mixed-sources":
        # Three sources in some rows, two in others: what one process generates must match what the other does.
        chosen = Mars()
        samples = [
            s if i % 3 else Sample(s.id, s.question, {**s.sources, "again": s.sources["rgb"]}, s.truth, s.reward)
            for i, s in enumerate(samples)
        ]
    if method == "uneven":
        # One picture in some rows, three in others.
        chosen = Mars(single_source="grpo")
        samples = [
            Sample(s.id, s.question, dict(list({**s.sources, "again": s.sources["rgb"]}.items())[: 1 + 2 * (i % 2)]),
                   s.truth, s.reward)
            for i, s in enumerate(samples)
        ]  # fmt: skip
    args = GRPOConfig(
        output_dir=f"{out}/checkpoints", per_device_train_batch_size=P * G // processes, num_generations=G,
        max_completion_length=12, max_steps=2, learning_rate=1e-3, lr_scheduler_type="constant", report_to="none",
        logging_steps=1, save_strategy="no", bf16=False, use_cpu=True, gradient_checkpointing=False,
        disable_tqdm=True,
    )  # fmt: skip
    if method == "captions":
        args.max_steps, args.save_strategy, args.save_steps = 4, "steps", 100
    if method == "placed":
        args.max_completion_length = 8  # too short for scenes of three people and more
    trainer = {"real": VantageTrainer, "uneven": Uneven}.get(method, Scripted)
    if method == "uneven":
        Path(args.output_dir).mkdir(parents=True, exist_ok=True)
        args.gradient_checkpointing = True
    t = trainer(
        folder, chosen, args, train_dataset=samples, rollout_log=f"{out}/rollouts.jsonl",
        reward=CaptionReward(FunctionEndpoint("reader", reader)) if method == "captions" else None,
        guests=guests,
        reward_funcs=by_number if method == "uneven" else (),
        callbacks=[MetricsLog(f"{out}/metrics.jsonl")],
    )  # fmt: skip
    reader.trainer = t
    assert t.accelerator.num_processes == processes
    Path(out).mkdir(parents=True, exist_ok=True)
    Path(out, f"process-{t.accelerator.process_index}").touch()
    checkpoint = last_complete(Path(args.output_dir), processes)
    try:
        t.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    except VantageError as error:
        said = [type(error).__name__, str(error), *getattr(error, "__notes__", [])]
        Path(out, f"failed-{t.accelerator.process_index}.json").write_text(json.dumps(said))
        return
    t.save_model(f"{out}/model")
    torch.save(t.model.state_dict(), f"{out}/weights-{t.accelerator.process_index}")


if __name__ == "__main__":
    main(*sys.argv[1:4])

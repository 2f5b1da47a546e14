"""Trains two steps on scripted completions: `two_processes.py MODEL OUT METHOD`, alone or under `accelerate launch`."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import torch
from trl import GRPOConfig

from conftest import spoken
from vantage import worlds
from vantage.engines.trl import VantageTrainer
from vantage.engines.trl.logs import MetricsLog
from vantage.methods import Dapo, Grpo, Mars
from vantage.samples import Sample

G, P = 4, 4


class Scripted(VantageTrainer):
    def _generate_single_turn(self, prompt_ids, images, fields, num_generations, **_):
        return spoken(prompt_ids, self._tokenizer, images), None


def main(folder, out, method):
    torch.set_num_threads(1)
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    samples = list(worlds.get("night").dataset("train", n=32, tasks=["count", "exists"]))
    chosen = Mars(shuffled=True, base=Grpo(scale="batch"))
    if method == "dapo":
        chosen = Dapo(max_generation_batches=3)
    if method == "mixed-sources":
        # Three sources in some rows, two in others: what one process generates must match what the other does.
        chosen = Mars()
        samples = [
            s if i % 3 else Sample(s.id, s.question, {**s.sources, "again": s.sources["rgb"]}, s.truth, s.reward)
            for i, s in enumerate(samples)
        ]
    args = GRPOConfig(
        output_dir=f"{out}/checkpoints", per_device_train_batch_size=P * G // processes, num_generations=G,
        max_completion_length=12, max_steps=2, learning_rate=1e-3, lr_scheduler_type="constant", report_to="none",
        logging_steps=1, save_strategy="no", bf16=False, use_cpu=True, gradient_checkpointing=False,
        disable_tqdm=True,
    )  # fmt: skip
    trainer = VantageTrainer if method == "real" else Scripted
    t = trainer(
        folder, chosen, args, train_dataset=samples, rollout_log=f"{out}/rollouts.jsonl",
        callbacks=[MetricsLog(f"{out}/metrics.jsonl")],
    )  # fmt: skip
    t.train()
    t.save_model(f"{out}/model")


if __name__ == "__main__":
    main(*sys.argv[1:4])

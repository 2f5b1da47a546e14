"""A verifier as a reward function of the stock trainer."""

import pytest
from trl import GRPOTrainer

from datasets import Dataset
from vantage import reward_function
from vantage.models import load_model, load_processor

OPTIONS = [{"asynchronous": False}, {"asynchronous": True}]


@pytest.mark.parametrize("options", OPTIONS, ids=["sync", "async"])
@pytest.mark.parametrize("chat", [True, False], ids=["conversational", "plain"])
def test_the_stock_trainer_takes_a_verifier(options, chat, tiny_folder, config, scripted):
    def prompt(text):
        return [{"role": "user", "content": text}] if chat else text

    # Whatever it says, it is right about half of the rows: answers are "yes" or "no", as is each truth.
    rows = [{"prompt": prompt(f"q{i}"), "answer": "yes" if i % 2 else "no", "image_size": [8, 8]} for i in range(8)]
    trainer = scripted(GRPOTrainer, answers=("yes", "no"))(
        load_model(tiny_folder, dtype="float32"),
        [reward_function("answer", **options), reward_function("mars-vqa", **options)],
        config(max_steps=1, max_completion_length=12),
        train_dataset=Dataset.from_list(rows),
        processing_class=load_processor(tiny_folder),
    )
    trainer.train()
    (log,) = [log for log in trainer.state.log_history if "loss" in log]
    assert 0 < log["rewards/answer/mean"] < 1
    # mars-vqa adds a quarter for each block to the same answers, where the completion holds both.
    assert log["rewards/answer/mean"] < log["rewards/mars_vqa/mean"] <= log["rewards/answer/mean"] + 0.5
    assert log["rewards/answer/timeouts"] == log["rewards/mars_vqa/timeouts"] == 0

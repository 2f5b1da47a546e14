"""The caption reward in the stock trainer."""

import pytest
from trl import GRPOTrainer

from datasets import Dataset
from vantage.captions import CaptionReward, as_trl
from vantage.endpoints import FunctionEndpoint
from vantage.models import load_model, load_processor


def reasoner(messages):
    """Answers what the caption seems to say, and is out of order for one question."""
    text = messages[-1]["content"]
    if "q3" in text:
        raise RuntimeError("out of order")
    return rf"\boxed{{{'yes' if 'yes' in text else 'no'}}}"


@pytest.mark.parametrize("chat", [True, False], ids=["conversational", "plain"])
def test_the_stock_trainer_takes_the_caption_reward(chat, tiny_folder, config, scripted):
    def prompt(text):
        return [{"role": "user", "content": text}] if chat else text

    rows = [{"prompt": prompt(f"q{i}"), "answer": "yes" if i % 2 else "no"} for i in range(8)]
    reward = CaptionReward(FunctionEndpoint("reader", reasoner), inner="answer", max_failed=1)
    trainer = scripted(GRPOTrainer, answers=("yes", "no"))(
        load_model(tiny_folder, dtype="float32"),
        as_trl(reward, longest=12),
        config(max_steps=4, max_completion_length=12),
        train_dataset=Dataset.from_list(rows),
        processing_class=load_processor(tiny_folder),
    )
    trainer.train()
    logs = [log for log in trainer.state.log_history if "loss" in log]
    assert len(logs) == 4
    # Four captions of eight are about the question that fails; they leave the statistics of their one step.
    assert sorted(log["reasoner/failed"] for log in logs) == [0, 0, 0, 0.5]
    assert all(log["reasoner/called"] == 1 for log in logs)
    assert any(0 < log["rewards/caption/mean"] < 1 for log in logs)

"""A model that says what it is told, and samples to ask it about."""

import torch
from PIL import Image

from vantage.samples import Sample


def picture(shade: int) -> Image.Image:
    return Image.new("RGB", (64, 64), (shade, 255 - shade, 40))


def sample(name: str, *sources: str, truth: str = "yes", **metadata) -> Sample:
    pictures = {source: picture(30 + 50 * place + len(name)) for place, source in enumerate(sources)}
    return Sample(name, "is there a red ball ?", pictures, truth, "answer", metadata)


class Script:
    """Stands in for ``model.generate``: says the next texts, and remembers what it was asked."""

    def __init__(self, processor, *texts: str) -> None:
        self.tokenizer = processor.tokenizer
        self.texts = list(texts)
        self.calls: list[dict] = []

    def __call__(self, input_ids, **settings):
        self.calls.append({"input_ids": input_ids, **settings})
        texts = [self.texts.pop(0) for _ in input_ids]
        end = self.tokenizer.eos_token_id
        ids = [[*self.tokenizer(text, add_special_tokens=False).input_ids, end] for text in texts]
        width = max(map(len, ids))
        answers = torch.tensor([row + [self.tokenizer.pad_token_id] * (width - len(row)) for row in ids])
        return torch.cat([input_ids, answers], dim=1)


def say(answer: str) -> str:
    return f"<think> yes </think> <answer> {answer} </answer>"

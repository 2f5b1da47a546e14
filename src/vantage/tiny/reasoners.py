"""Two tiny text reasoners that answer a question from a caption, without ever seeing a picture.

They learn from the exact reader (``vantage.tiny.reader``) on captions made up for the purpose: whole, partial, wrong,
empty, broken off, contradicting themselves, stating an answer outright. Whatever the caption does not say is
``unknown``, which earns nothing, and so is whatever stands in a caption that is none. The words around caption and
question change from lesson to lesson, so that prompts may be worded as one likes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.nn import functional as F
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from vantage.captions import Prompts
from vantage.errors import ConfigError
from vantage.tiny.lessons import IGNORED
from vantage.tiny.reader import reply
from vantage.tiny.training import Progress, learn
from vantage.tiny.vocabulary import BOT, EOS, PAD, UNKNOWN, VOCABULARY_SIZE, WORDS, tokenizer
from vantage.worlds.canvas import CELLS
from vantage.worlds.captions import KINDS, QUESTIONS, caption
from vantage.worlds.dice import Dice

MAX_NEW_TOKENS = 32
TASKS = ("count", "exists", "cell")


@dataclass(frozen=True, slots=True)
class Reasoner:
    """A size of reasoner, and how it is taught.

    Attributes:
        width, layers: of the network.
        steps: of training.
        careful: asked about a half, it first names the cells that lie in it; else it jumps to the answer.
    """

    width: int
    layers: int
    steps: int
    careful: bool
    batch: int = 64
    learning_rate: float = 3e-3

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch < 1:
            raise ConfigError(f"steps and batch must be at least 1; got steps={self.steps}, batch={self.batch}")


SIZES = {
    "weak": Reasoner(width=64, layers=2, steps=900, careful=False),
    "strong": Reasoner(width=64, layers=3, steps=1200, careful=True),
}
"""The shipped reasoners by name."""

FIRST: Mapping[str, float] = {"bare": 1.0}
THEN: Mapping[str, float] = {"bare": 0.3, "library": 0.3, "proposed": 0.1, "other": 0.3}
"""What stands around caption and question in the first half of the lessons, and in the second."""

_AROUND = "the is a in How What answer yes no none person lamp A1 . , :"
_INSIDE = "yes no unknown none left 0 1 2 3 <answer> </answer> ? ."
_FILLING = (UNKNOWN,) * 8 + tuple(_AROUND.split())
_BREAKS = (*CELLS, *KINDS, *_INSIDE.split())


def build_reasoner(size: Reasoner) -> LlamaForCausalLM:
    """An untrained reasoner; its weights depend on torch's seed."""
    config = LlamaConfig(
        vocab_size=VOCABULARY_SIZE,
        hidden_size=size.width,
        intermediate_size=size.width * 8 // 3 // 16 * 16,
        num_hidden_layers=size.layers,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=1024,
        initializer_range=0.04,
        pad_token_id=WORDS.index(PAD),
        bos_token_id=None,
        eos_token_id=WORDS.index(EOS),
        tie_word_embeddings=True,
    )
    model = LlamaForCausalLM(config)
    model.generation_config = GenerationConfig(
        pad_token_id=WORDS.index(PAD),
        eos_token_id=WORDS.index(EOS),
        bos_token_id=WORDS.index(BOT),
        max_new_tokens=MAX_NEW_TOKENS,
    )
    return model


def made_up(dice: Dice) -> tuple[str, str]:
    """A caption and a question; about one caption in three does not answer it."""
    task = dice.pick(TASKS)
    question, asked = dice.pick([entry for entry in QUESTIONS.items() if entry[1].task == task])
    cells, things = dice.shuffled(CELLS), []
    for kind in KINDS:
        few = (0, 1, 2) if asked.task == "exists" else (0, 1, 1, 1, 2, 3) if asked.task == "cell" else (0, 1, 2, 3, 4)
        number = dice.pick(few if kind == asked.kind else (0, 1, 2))
        things += [{"kind": kind, "cell": cell} for cell in cells[:number]]
        cells = cells[number:]
    omitted = dice.uniform(0.0, 0.8)
    told = dice.shuffled([kind for kind in KINDS if kind == asked.kind or not dice.chance(omitted)])
    if dice.chance(0.5):
        told.sort(key=KINDS.index)
    if dice.chance(0.2):
        told.remove(asked.kind)
    text = caption(things, told)
    return (_broken(text, dice) if dice.chance(0.35) else text), question


def _broken(text: str, dice: Dice) -> str:
    """A caption that is none: cut, emptied, with a word or a clause too many, or one too few."""
    words = text.split()
    place, cell = dice.between(1, len(words) - 1), dice.pick(CELLS)
    if dice.chance(0.5):  # what a captioner slips into most: the same kind once more, in agreement or not
        kind = dice.pick([word for word in words if word in KINDS] or KINDS)
        starts = [at for at, word in enumerate(words) if word in KINDS or word == words[-1]]
        place = dice.pick(starts)
        words[place:place] = [kind, "none" if dice.chance(0.6) else cell]
        return " ".join(words)
    way = dice.between(0, 5)
    if way == 0:
        words = words[:place]
    elif way == 1:
        del words[place]
    elif way == 2:
        words.insert(place, dice.pick(words))
    elif way == 3:
        words.insert(place, dice.pick(_BREAKS))
    elif way == 4:
        words[place] = dice.pick(_BREAKS)
    else:
        words = words[1:-1] if dice.chance(0.5) else [dice.pick(_BREAKS) for _ in range(dice.between(0, 5))]
    return " ".join(words)


def around(text: str, question: str, way: str, dice: Dice) -> str:
    """A prompt with a caption and a question.

    Args:
        text: the caption.
        question: what is asked.
        way: ``bare``, as the ``library`` has it, with a ``proposed`` answer too, or among ``other`` words that matter
            to nothing.
        dice: the source of chance.
    """
    if way == "bare":
        return f"{text} {question}"
    if way == "other":

        def filling(most: int) -> str:
            return " ".join(dice.pick(_FILLING) for _ in range(dice.between(0, most)))

        first, second = (question, text) if dice.chance(0.2) else (text, question)
        return " ".join((filling(12), first, filling(4), second, filling(20)))
    cells = " ".join(dice.pick(CELLS) for _ in range(dice.between(0, 3)))
    proposed = f"<think> {cells} </think> <answer> {dice.pick(('yes', 'no', *'0123', *CELLS))} </answer>"
    (message,) = Prompts().messages(question, text, proposed if way == "proposed" else None)
    return str(message["content"])


def lessons(number: int, ways: Mapping[str, float], dice: Dice, careful: bool = True) -> list[tuple[str, str]]:
    """Prompts, all of one way and so about equally long, and what the exact reader replies."""
    way = dice.weighted(ways)
    prompts = [around(*made_up(dice), way, dice) for _ in range(number)]
    return [(prompt, reply([{"role": "user", "content": prompt}], careful)) for prompt in prompts]


def train_reasoner(
    output: str | Path,
    which: str = "weak",
    seed: int = 0,
    progress: Callable[[Progress], None] | None = print,
    size: Reasoner | None = None,
) -> Path:
    """Train a reasoner from nothing and save it with its tokenizer.

    Args:
        output: folder to write; created if missing.
        which: ``weak`` or ``strong``.
        seed: of the weights and the lessons.
        progress: called about every 50 steps; ``None`` for silence.
        size: another size or length than that of the name.

    Returns:
        The folder, which ``AutoTokenizer`` and ``AutoModelForCausalLM`` load.

    Raises:
        ConfigError: no such reasoner.
    """
    if which not in SIZES:
        raise ConfigError(f"no tiny reasoner {which!r}; there are {', '.join(SIZES)}")
    size, words = size or SIZES[which], tokenizer()
    dice = Dice(f"tiny-reasoner/{which}/{seed}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = build_reasoner(size).train()

        def loss(step: int) -> torch.Tensor:
            ways = FIRST if step < size.steps // 2 else THEN
            ids, targets = collate(words, lessons(size.batch, ways, dice, size.careful))
            states = model.model(input_ids=ids).last_hidden_state
            asked = targets != IGNORED
            return F.cross_entropy(model.lm_head(states[asked]), targets[asked])

        learn(f"reasoner {which}", size.steps, size.learning_rate, list(model.parameters()), loss, progress)
        model.eval()
    folder = Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


def collate(words: PreTrainedTokenizerFast, texts: Sequence[tuple[str, str]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Prompts and replies side by side, padded on the right: ids and the next token where it is the reply's; (B, T)."""
    prompts = words([f"<user> {prompt} <bot>" for prompt, _ in texts]).input_ids
    replies = words([f"{answer} <eos>" for _, answer in texts]).input_ids
    longest = max(len(prompt) + len(answer) for prompt, answer in zip(prompts, replies, strict=True))
    ids = torch.full((len(texts), longest), WORDS.index(PAD))
    targets = torch.full((len(texts), longest), IGNORED)
    for row, (prompt, answer) in enumerate(zip(prompts, replies, strict=True)):
        whole = torch.tensor(prompt + answer)
        ids[row, : len(whole)] = whole
        targets[row, len(prompt) - 1 : len(whole) - 1] = whole[len(prompt) :]
    return ids, targets

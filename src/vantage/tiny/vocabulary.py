"""The words that the tiny model knows, its tokenizer and its chat template.

One word, one token. Ids are places in ``WORDS`` and shipped weights depend on them, so new words are appended, never
inserted; ``VOCABULARY_SIZE`` leaves room for the words of worlds to come.
"""

from __future__ import annotations

from tokenizers import AddedToken, Regex, Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Sequence, Split, WhitespaceSplit
from transformers import PreTrainedTokenizerFast

PAD, EOS, UNKNOWN, IMAGE, SYSTEM, USER, BOT = "<pad>", "<eos>", "<unk>", "<image>", "<system>", "<user>", "<bot>"
SPECIAL = (PAD, EOS, UNKNOWN, IMAGE, SYSTEM, USER, BOT)
TAGS = ("<think>", "</think>", "<answer>", "</answer>")
"""Ordinary tokens, so that they survive ``skip_special_tokens``: rewards read them."""

ENGLISH = """
none yes no unknown
rgb infrared depth
How many people are there Where is the person Is a in left right top bottom half
nearer than Does touch circle square triangle cross
poster lamp bush night smoke hot dark decoy glass
"""
"""Words of the worlds' questions, labels and answers, and of what one might say about their scenes."""

CAPTION_TAGS = ("<cap>", "</cap>")
CAPTIONS = "Describe In which cell lamps posters bushes"
"""Words of captions and of the questions that they answer."""

ARITHMETIC = """
things circles squares triangles crosses Add Subtract all
red green blue yellow purple orange cyan white diamonds rings bars hearts
"""
"""Words of counting, shapes and colours of its twin among them."""
CHANGES = """
before after Objects Which changes were made small large up down
change_color change_shape change_size change_position
"""
"""Words of pictures before and after, and of what was changed."""
VIEWS = """
camera sees Neighbouring cameras share column different board front_left front_right back_left back_right
"""
"""Words of scenes seen by several cameras, their names among them."""
PAGES = """
What does do cost on page_1 page_2 less both pages sell tea pie egg fig bun cod A B C D
"""
"""Words of two pages that are read side by side."""
ONE_CHANGE = "change was"
"""Words of a question about one change."""
DRILLS = "head struck screen ghost diamond ring bar heart"
"""Words for what stands in a cell that no question uses."""

WORDS = (
    *SPECIAL,
    *TAGS,
    *"0123456789",
    *(f"{column}{row}" for row in range(1, 9) for column in "ABCDEFGH"),
    *"?.,:;!()[]{}+-*/=<>%'\"",
    *ENGLISH.split(),
    *CAPTION_TAGS,
    *CAPTIONS.split(),
    *ARITHMETIC.split(),
    *CHANGES.split(),
    *VIEWS.split(),
    *PAGES.split(),
    *ONE_CHANGE.split(),
    *DRILLS.split(),
)

VOCABULARY_SIZE = 256
"""Rows of the embedding; those beyond ``WORDS`` are spare and never trained."""

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ {'system': '<system>', 'user': '<user>', 'assistant': '<bot>'}[message['role']] }} "
    "{% if message['content'] is string %}{{ message['content'] }} {% else %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image> {% elif part['type'] == 'text' %}{{ part['text'] }} {% endif %}"
    "{% endfor %}{% endif %}"
    "{% if message['role'] == 'assistant' %}<eos> {% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}<bot>{% endif %}"
)


def tokenizer() -> PreTrainedTokenizerFast:
    """The word tokenizer: case matters, punctuation stands alone, unknown words become ``<unk>``."""
    spare = [f"<spare{i}>" for i in range(VOCABULARY_SIZE - len(WORDS))]
    model = Tokenizer(WordLevel({word: i for i, word in enumerate((*WORDS, *spare))}, unk_token=UNKNOWN))
    model.pre_tokenizer = Sequence([WhitespaceSplit(), Split(Regex(r"[^\w]"), "isolated")])
    model.add_tokens([AddedToken(tag, special=False, normalized=False) for tag in (*TAGS, *CAPTION_TAGS)])
    return PreTrainedTokenizerFast(
        tokenizer_object=model,
        pad_token=PAD,
        eos_token=EOS,
        unk_token=UNKNOWN,
        additional_special_tokens=[IMAGE, SYSTEM, USER, BOT],
        padding_side="left",
        model_max_length=1024,
        clean_up_tokenization_spaces=False,
        chat_template=CHAT_TEMPLATE,
    )

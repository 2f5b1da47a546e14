"""Answers that were recorded before, as a guest; and the file that holds them.

One JSON object a line, one line an answer:

    {"id": "night/train/hard/0/17", "question": "How many people are there?", "model": "helper", "number": 0,
     "text": "<think> A1 </think> <answer> 1 </answer>", "finished": true, "tokens": 9, "cost": 0.0001,
     "seconds": 0.8, "logprobs": [["<think>", -0.01], ...]}

``id``, ``model`` and ``text`` must be there. Answers without a ``number`` are numbered as they stand, for each model
and question; no number comes twice.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vantage.errors import ConfigError, DataError
from vantage.guests.base import Guest, LogProbs, Utterance
from vantage.samples import PromptStyle, Sample

logger = logging.getLogger(__name__)

LONGEST = 16 * 2**20
"""Bytes of a line, at most, its end included."""


class Line(BaseModel):
    """One recorded answer; see the module and ``Utterance``."""

    model_config = ConfigDict(strict=True, frozen=True, allow_inf_nan=False)

    id: str = Field(min_length=1)
    question: str | None = None
    model: str = Field(min_length=1)
    number: int | None = Field(default=None, ge=0)
    text: str
    finished: bool = True
    tokens: int | None = Field(default=None, ge=0)
    cost: float | None = Field(default=None, ge=0)
    seconds: float = Field(default=0.0, ge=0)
    logprobs: LogProbs | None = None

    @classmethod
    def of(cls, sample: Sample, number: int, said: Utterance) -> Line:
        """The line of an answer."""
        told = {name: getattr(said, name) for name in Utterance.__slots__}
        return cls(id=sample.id, question=sample.question, number=number, **told)

    def said(self) -> Utterance:
        """The answer alone."""
        return Utterance(**{name: getattr(self, name) for name in Utterance.__slots__})


def read(path: str | Path, size: int | None = None) -> Iterator[Line]:
    """The answers of a file, in order, every one with a number.

    Args:
        path: the file.
        size: reads so many bytes of it; all by default.

    Raises:
        DataError: no such file, a line that is none, or two answers of one number; names the line.
    """
    file = Path(path)
    place = 0
    seen: set[tuple[str, str, int]] = set()
    counts: Counter[tuple[str, str]] = Counter()
    try:
        with file.open("rb") as lines:
            for place, content in enumerate(iter(lambda: lines.readline(_left(size, lines.tell())), b""), 1):
                if not content.strip():
                    continue
                if len(content) > LONGEST:
                    raise DataError(f"{file}:{place}: a line has at most {LONGEST} bytes")
                line = Line.model_validate_json(content.decode("utf-8"))
                number = counts[line.model, line.id] if line.number is None else line.number
                if (line.model, line.id, number) in seen:
                    raise DataError(f"{file}:{place}: a second answer number {number} of {line.model!r} to {line.id!r}")
                seen.add((line.model, line.id, number))
                counts[line.model, line.id] += 1
                yield line.model_copy(update={"number": number})
    except ValidationError as error:
        faults = (f"{'.'.join(map(str, e['loc'])) or 'the line'}: {_bare(e['msg'])}" for e in error.errors()[:3])
        raise DataError(f"{file}:{place}: no recorded answer ({'; '.join(faults)})") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{file}:{place}: not UTF-8 ({error.reason})") from error
    except OSError as error:
        raise DataError(f"{file}: recorded answers cannot be read ({error.strerror})") from error


def _bare(message: str) -> str:
    """Without the place in the line, which reads as one in the file."""
    return re.sub(r" at line \d+ column \d+$", "", message)


def _left(size: int | None, at: int) -> int:
    """How much of a line to read, so that one that is too long is noticed."""
    return LONGEST + 1 if size is None else min(LONGEST + 1, size - at)


class RecordedGuest(Guest):
    """Gives the answers that a file holds.

    A turn takes the next ``n`` of a question's answers, and begins anew where they end: a group never holds one of them
    twice. Where fewer than ``n`` were recorded, the other places stay empty.

    Args:
        path: the file; see the module.
        name: which model of it; ``None`` where there is one only.
        n: see ``Guest``.

    Attributes:
        digest: SHA-256 of the file.

    Raises:
        DataError: as ``read``.
        ConfigError: it holds several models, or not the one of that name.
    """

    may_rest = False  # to ask it costs nothing, and a run that was resumed repeats what it gave

    def __init__(self, path: str | Path, name: str | None = None, n: int = 1) -> None:
        found: defaultdict[str, defaultdict[str, list[Line]]] = defaultdict(lambda: defaultdict(list))
        for line in read(path):
            found[line.model][line.id].append(line)
        models = ", ".join(map(repr, sorted(found))) or "no answers"
        if name is None and len(found) != 1:
            raise ConfigError(f"{path} holds {models}; set 'name' to say which model the guest is")
        own = next(iter(found)) if name is None else name
        if own not in found:
            raise ConfigError(f"{path} holds {models}, and none of {own!r}")
        super().__init__(own, n)
        self.path = Path(path)
        with self.path.open("rb") as file:
            self.digest = hashlib.file_digest(file, "sha256").hexdigest()
        self.gives_logprobs = any(line.logprobs for lines in found[own].values() for line in lines)
        # By number: workers that recorded side by side wrote in the order in which they were done.
        self._lines = {key: sorted(lines, key=lambda line: line.number or 0) for key, lines in found[own].items()}

    async def ask(self, sample: Sample, style: PromptStyle, turn: int) -> Sequence[Utterance | Exception]:
        """See ``Guest.ask``."""
        lines = self._lines.get(sample.id, [])
        asked = {line.question for line in lines} - {None, sample.question}
        if asked:
            raise DataError(f"{self.path}: {sample.id!r} was asked {asked.pop()!r}, not {sample.question!r}")
        numbers = list(self.numbers(turn))[: len(lines)]
        missing = DataError(
            f"{self.path} holds {len(lines)} of the n={self.n} answers to {sample.id!r} that are wanted"
        )
        return [*(lines[number % len(lines)].said() for number in numbers), *[missing] * (self.n - len(numbers))]

    def check(self, samples: Sequence[Sample]) -> None:
        """Look for a sample that it has an answer to; tell where no question has as many answers as are wanted."""
        if not any(sample.id in self._lines for sample in samples):
            first = next(iter(self._lines))
            raise DataError(
                f"{self.path} has no answer to any of the {len(samples)} samples; its first id is {first!r}"
            )
        most = max(map(len, self._lines.values()))
        if most < self.n:
            logger.warning(
                "guest %r: n is %d, but %s holds %d answers to a question at most; those are used, and other places "
                "stay empty", self.name, self.n, self.path, most,
            )  # fmt: skip

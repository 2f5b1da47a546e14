"""Guests asked once, their answers kept in a file that later runs read; and what such a file is worth."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from pydantic_core import from_json

from vantage.endpoints import loop
from vantage.errors import DataError
from vantage.guests.base import Guest, Refusal, Utterance
from vantage.guests.recorded import LONGEST, Line, read
from vantage.guests.table import Guests, judged
from vantage.rewards import call_many
from vantage.rewards.base import Completion, Reward
from vantage.rewards.offline import Tally
from vantage.samples import PromptStyle, Sample

logger = logging.getLogger(__name__)

_WIDTH = 64
"""Questions that a guest has under way; how many of them are sent at once, its own settings say."""
_SCORED = 256
"""Answers scored together."""
_BEGINNING = b'{"id":"'
"""Of every line that is written here."""
UNASKED = "budget: not asked any more"
"""Of a question that comes after a budget was spent."""


@dataclass(slots=True)
class Recorded:
    """What a recording did.

    Attributes:
        written: answers added to the file.
        there: answers that it held already.
        refused: answers that did not come, by guest and reason, which a later recording asks for again; those that
            were not asked for once a budget was spent, too.
        cost: money, of guests with prices.
        cut: a line that an interrupted recording had left unfinished was taken out.
    """

    written: int = 0
    there: int = 0
    refused: Counter[tuple[str, str]] = field(default_factory=Counter)
    cost: float = 0.0
    cut: bool = False


def record(
    guests: Guests,
    samples: Sequence[Sample],
    style: PromptStyle,
    path: str | Path,
    *,
    turns: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Recorded:
    """Ask every guest about every sample and add the answers to a file; what it holds already is not asked for.

    An answer is in the file as soon as it has come, so that an interrupted recording goes on where it stopped. Of a
    turn of which some answers are missing, all are asked for; a cache keeps that from being paid for.

    Args:
        guests: whom to ask, each as fast as its own settings allow; nobody is late.
        samples: what is asked.
        style: how the policy is asked.
        path: the file; see ``vantage.guests.recorded``.
        turns: how often each question is asked.
        progress: told how many of how many questions are done, in a thread of the endpoints.

    Raises:
        DataError: the file holds something else, which stays as it is, or another recording writes to it.
        OSError: it cannot be written.
    """
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a+b") as out:
        _lock(out, file)
        have, cut = _resumed(out, file)
        recording = _Recording(out, have, Recorded(cut=cut))
        loop.run_sync(recording.everyone(guests, samples, style, turns, progress))
    return recording.done


class _Recording:
    """Answers on their way into a file.

    Args:
        out: the file, at its end.
        have: model, id and number of the answers that it holds.
        done: is told what becomes of the others.
    """

    def __init__(self, out: BinaryIO, have: set[tuple[str, str, int]], done: Recorded) -> None:
        self._out, self._have, self.done = out, have, done

    async def everyone(
        self,
        guests: Guests,
        samples: Sequence[Sample],
        style: PromptStyle,
        turns: int,
        progress: Callable[[int, int], None] | None,
    ) -> None:
        """Ask all guests side by side, each about several samples at once."""
        total, count = len(guests) * len(samples) * turns, 0

        async def work(guest: Guest, todo: Iterator[tuple[int, int]]) -> None:
            nonlocal count
            spent = False
            for turn, index in todo:
                missing = self._missing(guest, samples[index], turn)
                self.done.there += guest.n - len(missing)
                if spent:
                    self.done.refused[guest.name, UNASKED] += len(missing)
                elif missing:
                    # The budget is spent for whoever else asks this guest too, so that nothing is left to them.
                    spent = await self._ask(guest, samples[index], style, turn, missing)
                count += 1
                if progress is not None:
                    progress(count, total)

        queues = [(guest, ((t, i) for t in range(turns) for i in range(len(samples)))) for guest in guests]
        await asyncio.gather(*(work(guest, todo) for guest, todo in queues for _ in range(_WIDTH)))

    def _missing(self, guest: Guest, sample: Sample, turn: int) -> list[int]:
        """Numbers of a turn's answers that the file lacks; they are asked for once, though a row came twice."""
        missing = [n for n in guest.numbers(turn) if (guest.name, sample.id, n) not in self._have]
        self._have |= {(guest.name, sample.id, n) for n in missing}
        return missing

    async def _ask(self, guest: Guest, sample: Sample, style: PromptStyle, turn: int, missing: list[int]) -> bool:
        """Ask for the answers of a turn and write down those that are missing; whether the guest's budget is spent."""
        try:
            came = list(await guest.ask(sample, style, turn))
            if len(came) != guest.n:
                raise DataError(f"it gave {len(came)} answers where {guest.n} were asked for")
        except Exception as error:  # noqa: BLE001 - counted and shown; the others go on
            came = [error] * guest.n
        spent = False
        for number, one in zip(guest.numbers(turn), map(judged, came), strict=True):
            if isinstance(one, Utterance):
                self.done.cost += one.cost or 0.0
                one = self._written(sample, number, one) if number in missing else one
            if isinstance(one, Refusal):
                self.done.refused[guest.name, one.reason] += number in missing
                spent = spent or one.kind == "budget"
        return spent

    def _written(self, sample: Sample, number: int, said: Utterance) -> Utterance | Refusal:
        """Write an answer down, unless nothing could read it again."""
        line = Line.of(sample, number, said).model_dump_json(exclude_none=True).encode("utf-8") + b"\n"
        if len(line) > LONGEST:
            return Refusal(f"long: a line of more than {LONGEST} bytes")
        self._out.write(line)
        self._out.flush()
        self.done.written += 1
        return said


def _lock(out: BinaryIO, file: Path) -> None:
    """Keep others from recording to a file while it is open: they would write the same numbers."""
    try:
        fcntl.flock(out, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise DataError(f"{file}: another recording writes to it; wait for its end, or choose another file") from None
    except OSError as error:
        logger.warning("%s: the file system has no locks (%s); let no other recording write to it", file, error)


def _resumed(out: BinaryIO, file: Path) -> tuple[set[tuple[str, str, int]], bool]:
    """What a file holds, and whether its last line was one that was never written to its end; it is taken out then.

    Raises:
        DataError: it is no recording, and stays as it is.
    """
    size = out.seek(0, os.SEEK_END)
    out.seek(max(0, size - LONGEST))
    tail = out.read().rpartition(b"\n")[2]
    torn = tail.startswith(b"{") and not _is_json(tail)
    have = {(line.model, line.id, line.number or 0) for line in read(file, size - len(tail) if torn else None)}
    if torn:
        # Alone it says nothing of the file, but that an interrupted recording begins as ours do.
        if not have and not (tail.startswith(_BEGINNING) or _BEGINNING.startswith(tail)):
            raise DataError(f"{file}: no recording; what stands in it is left as it is")
        out.truncate(size - len(tail))
    elif tail.strip():
        out.write(b"\n")  # written by an editor that ends no last line
    return have, torn


def _is_json(content: bytes) -> bool:
    try:
        from_json(content)
    except ValueError:
        return False
    return True


@dataclass(slots=True)
class Survey:
    """What a file holds of one model.

    Attributes:
        answers: how many.
        questions: how many different ones they answer; of the data, where that was given.
        fewest, most: answers to a question.
        duplicates: answers that say again what another of them says to the same question.
        strange: answers to rows that the data does not have, or has with another question.
        refused: answers that cannot join a group, by kind.
        tally: rewards of those that can; empty without the data.
        tokens: of answers that say how many they have.
        cost: money, of answers that say what they cost; ``None`` where none does.
    """

    answers: int = 0
    questions: int = 0
    fewest: int = 0
    most: int = 0
    duplicates: int = 0
    strange: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    tally: Tally = field(default_factory=Tally)
    tokens: list[int] = field(default_factory=list)
    cost: float | None = None


def survey(
    path: str | Path,
    samples: Sequence[Sample] | None = None,
    represent: Callable[[str], list[int] | Refusal] | None = None,
    reward: Reward | None = None,
) -> dict[str, Survey]:
    """What a file of recorded answers is worth, by model.

    Args:
        path: the file.
        samples: the data that it is meant for, with the truths that answers are scored against.
        represent: what the policy's tokenizer makes of a text; see ``vantage.guests.tokens.represent``.
        reward: scores every answer instead of its sample's own reward.

    Raises:
        DataError: no such file, or a line that is none.
        VantageError: an answer cannot be scored.
    """
    known = None if samples is None else {sample.id: sample for sample in samples}
    found: defaultdict[str, Survey] = defaultdict(Survey)
    texts: defaultdict[str, defaultdict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    lines = read(path)
    while chunk := list(islice(lines, _SCORED)):
        scored: list[tuple[Line, Sample]] = []
        for line in chunk:
            of = found[line.model]
            of.answers += 1
            of.tokens += [] if line.tokens is None else [line.tokens]
            of.cost = of.cost if line.cost is None else (of.cost or 0.0) + line.cost
            sample = None if known is None else known.get(line.id)
            if known is not None and (sample is None or line.question not in (None, sample.question)):
                of.strange += 1
                continue
            texts[line.model][line.id].append(line.text)
            if refusal := _refusal(line, represent):
                of.refused[refusal.kind] += 1
            elif sample is not None:
                scored.append((line, sample))
        said = [Completion(line.text) for line, _ in scored]
        scores = call_many([reward or sample.reward for _, sample in scored], said, [sample for _, sample in scored])
        for (line, _), score in zip(scored, scores, strict=True):
            found[line.model].tally.add(score)
    for model, by_question in texts.items():
        counts = [len(answers) for answers in by_question.values()]
        found[model].questions, found[model].fewest, found[model].most = len(counts), min(counts), max(counts)
        found[model].duplicates = sum(len(answers) - len(set(answers)) for answers in by_question.values())
    return dict(found)


def _refusal(line: Line, represent: Callable[[str], list[int] | Refusal] | None) -> Refusal | None:
    if not line.finished:
        return Refusal("cut")
    made = represent(line.text) if represent is not None else None
    return made if isinstance(made, Refusal) else None

"""The guests of a run: asked side by side while the policy speaks, and waited for only so long."""

from __future__ import annotations

import asyncio
import logging
import math
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, wait
from itertools import chain

from vantage.endpoints import loop
from vantage.errors import BudgetError, ConfigError, VantageError
from vantage.groups import Origin, guest
from vantage.guests.base import Guest, Refusal, Utterance
from vantage.guests.rest import Rest
from vantage.printing import printable
from vantage.samples import PromptStyle, Sample

logger = logging.getLogger(__name__)

Answers = list[Utterance | Refusal]
_TOLD = 200


class Guests(Sequence[Guest]):
    """Guests in order.

    Args:
        guests: whom to ask; ``Refusal`` tells of everything that goes wrong with one.
        wait: seconds that ``Asked.collect`` waits at most, where it is told no other.

    Attributes:
        columns: the origin of every answer of a group, guest by guest.

    Raises:
        ConfigError: two guests of one name, no finite time, or a guest that must hear the policy first.
    """

    def __init__(self, guests: Sequence[Guest], wait: float = 30.0) -> None:
        names = [one.name for one in guests]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ConfigError(f"two guests are called {twice!r}; set another 'name' for one, or 'n' for more answers")
        if not (math.isfinite(wait) and wait >= 0):
            raise ConfigError(f"guests.wait: seconds, at least 0, not {wait!r}")
        if early := next((one for one in guests if one.needs_group), None):
            raise ConfigError(f"guest {early.name!r} must hear the policy first, but guests are asked while it speaks")
        self._guests, self.wait = tuple(guests), wait
        self.columns: tuple[Origin, ...] = tuple(guest(one.name) for one in guests for _ in range(one.n))
        self._told: set[tuple[str, str]] = set()
        self._rests = {one.name: Rest() for one in guests if one.may_rest}
        self._closed = False
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._guests)

    def __getitem__(self, index: int) -> Guest:  # type: ignore[override]  # no slices
        return self._guests[index]

    def __iter__(self) -> Iterator[Guest]:
        return iter(self._guests)

    def start(self, samples: Sequence[Sample], style: PromptStyle, turns: Sequence[int]) -> Asked:
        """Ask every guest about every sample, without waiting for anything.

        Args:
            samples: what is asked.
            style: how the policy is asked.
            turns: for each sample which answers are wanted; see ``Guest.ask``.
        """
        instead = {name: rest.instead for name, rest in self._rests.items() if samples and rest.skips()}
        cells = [
            [_Cell(self, one, sample, style, turn, instead.get(one.name)) for one in self._guests]
            for sample, turn in zip(samples, turns, strict=True)
        ]

        def begin() -> None:
            # All in one go, so that those who answer in batches see all of them.
            for cell in (cell for row in cells for cell in row):
                cell.begin()

        loop.shared().call_soon_threadsafe(begin)
        return Asked(self, cells)

    def heard(self, answers: Mapping[str, Sequence[Utterance | Refusal]], whole: bool) -> None:
        """Take note of what a generation's guests said, by name, and tell of one that rests or is back.

        With ``whole`` they had all the time that they may have.
        """
        for name, said in answers.items():
            if name in self._rests and (news := self._rests[name].heard(said, whole)) and not self._closed:
                logger.warning("guest %r: %s", name, news)

    def check(self, samples: Sequence[Sample]) -> None:
        """Find out whether every guest can be asked about samples like these.

        Raises:
            VantageError: one cannot; names it.
        """
        for one in self._guests:
            try:
                one.check(samples)
            except VantageError as error:
                error.add_note(f"(while guest {one.name!r} was checked)")
                raise

    def close(self) -> None:
        """Let every guest go; nothing is told of what that cuts short."""
        self._closed = True
        if self._tasks:  # nobody waits for them; left behind, each would complain at the end of the process
            loop.shared().call_soon_threadsafe(lambda: [task.cancel() for task in list(self._tasks)])
        for one in self._guests:
            one.close()

    def under_way(self, task: asyncio.Task[None]) -> None:
        """Remember a question until it is answered; on the shared loop."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def tell(self, name: str, refusal: Refusal) -> None:
        """Warn of a failure, once a guest and kind: the logs count all of them."""
        if self._closed or (name, refusal.kind) in self._told:
            return
        self._told.add((name, refusal.kind))
        # The reason last, as it may end in a mark of its own.
        logger.warning(
            "guest %r leaves a place empty; further ones are only counted (guests/missing/%s): %s",
            name, refusal.kind, refusal.reason.partition(": ")[2] or refusal.kind,
        )  # fmt: skip


class Asked:
    """Questions under way; made by ``Guests.start``."""

    def __init__(self, of: Guests, cells: Sequence[Sequence[_Cell]]) -> None:
        self._of, self._cells = of, cells
        self._found: list[Answers] | None = None
        self._lock = threading.Lock()

    def collect(self, seconds: float | None = None) -> list[Answers]:
        """What the guests said, a row a sample and an entry a column; called again, the same.

        Waits at most that many seconds, by default ``wait``, counted from the first call. What is missing then is
        late for ever: it is cancelled, and nobody sees what still comes.
        """
        with self._lock:
            if self._found is None:
                longest = self._of.wait if seconds is None else seconds
                wait([cell.answers for row in self._cells for cell in row], timeout=longest)
                closed = [[(cell, cell.close()) for cell in row] for row in self._cells]
                asked: defaultdict[str, Answers] = defaultdict(list)
                for cell, said in chain.from_iterable(closed):
                    if cell.instead is None:
                        asked[cell.guest.name] += said
                self._of.heard(asked, whole=longest >= self._of.wait)
                self._found = [[one for _, said in row for one in said] for row in closed]
            return self._found


class _Cell:
    """What one guest is asked about one sample; with ``instead``, it is not asked, and that stands in its places."""

    def __init__(
        self, of: Guests, guest: Guest, sample: Sample, style: PromptStyle, turn: int, instead: Refusal | None
    ) -> None:
        self.of, self.guest, self.instead = of, guest, instead
        self.asked = (sample, style, turn)
        self.answers: Future[Answers] = Future()
        self.task: asyncio.Task[None] | None = None
        if instead is not None:
            self.answers.set_result([instead] * guest.n)

    def begin(self) -> None:
        """Ask; on the shared loop."""
        if self.instead is None and not self.answers.cancelled():
            self.task = asyncio.get_running_loop().create_task(self._ask())
            self.of.under_way(self.task)

    def close(self) -> Answers:
        """What came, or that it is late."""
        if not self.answers.cancel():
            return self.answers.result()
        loop.shared().call_soon_threadsafe(lambda: self.task and self.task.cancel())
        trouble = self.guest.trouble()
        cause = f"; its last error: {_short(trouble)}" if trouble else ""
        late = Refusal(f"late: not there {self.of.wait:g} seconds (guests.wait) after the policy had spoken{cause}")
        self.of.tell(self.guest.name, late)
        return [late] * self.guest.n

    async def _ask(self) -> None:
        answers = await self._answers()
        if self.answers.set_running_or_notify_cancel():  # from here on it is too late to be late
            self.answers.set_result(answers)

    async def _answers(self) -> Answers:
        guest = self.guest
        try:
            came = list(await guest.ask(*self.asked))
            if len(came) != guest.n:
                raise VantageError(f"it gave {len(came)} answers, and n={guest.n} are wanted")
        except Exception as error:  # noqa: BLE001 - whatever a guest raises, the group goes on without it
            came = [error] * guest.n
        answers = [_whole(judged(one)) for one in came]
        for one in answers:
            if isinstance(one, Refusal):
                self.of.tell(guest.name, one)
        return answers


def judged(came: object) -> Utterance | Refusal:
    """What a guest gave for one answer: the answer, or why it is none."""
    if isinstance(came, BudgetError):
        return Refusal(f"budget: {_short(came)}")
    if isinstance(came, VantageError):
        return Refusal(f"failed: {_short(came)}")
    if isinstance(came, Exception):
        return Refusal(f"failed: {type(came).__name__}: {_short(came)}")
    if not isinstance(came, Utterance) or not isinstance(came.text, str):
        what = type(came.text if isinstance(came, Utterance) else came).__name__
        return Refusal(f"failed: an answer is a text, and {what} came")
    try:
        came.text.encode("utf-8")
    except UnicodeEncodeError as error:
        return Refusal(f"failed: no text ({error.reason} at character {error.start})")
    return came


def _whole(said: Utterance | Refusal) -> Utterance | Refusal:
    if isinstance(said, Utterance) and not said.finished:
        return Refusal("cut: a limit on its length ended the answer before it was whole")
    return said


def _short(error: Exception | str) -> str:
    text = printable(" ".join(str(error)[: 2 * _TOLD].split()))
    return text if len(text) <= _TOLD else text[:_TOLD] + "..."

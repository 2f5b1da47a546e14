"""Telling what is wrong with a reward before hours are spent on it."""

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Real
from types import SimpleNamespace
from typing import Any

from vantage.errors import RewardError
from vantage.rewards.base import Reward, Score
from vantage.rewards.registry import get
from vantage.rewards.rows import completion_text
from vantage.rewards.tryout import Columns, cheap, columns_of, hostile, ordinary
from vantage.rewards.within import Outcome, within
from vantage.samples import Sample

SECONDS = 1.0
"""What scoring one completion may take unless told ..."""

GUARDED = 20.0
"""... and where a verifier stops itself, on texts that are made for that, and starts its worker anew."""

WARM_UP = 10.0
"""Seconds that the very first call may take in any case: libraries are loaded in it."""

_ALONE = 8
"""So many completions of the batch are also scored each by itself."""

_OVERRUNS = 3
"""After so many texts that take too long, the rest is not tried."""

_EXACT = 1e-6


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        kind: ``kwargs``, ``column``, ``raises``, ``not-a-list``, ``length``, ``not-a-number``, ``range``, ``slow``,
            ``not-deterministic``, ``batch-dependent``, ``conversational``, ``mutates`` or ``cheap``.
        message: what was seen, and what is expected.
    """

    kind: str
    message: str


@dataclass(slots=True)
class RewardCheck:
    """What ``check_reward`` found.

    Attributes:
        name: of the reward.
        problems: what is wrong, worst first to show.
        seconds_per_completion: of ordinary completions; ``None`` where none was scored.
        completions: how many texts were tried.
    """

    name: str
    problems: list[Problem] = field(default_factory=list)
    seconds_per_completion: float | None = None
    completions: int = 0

    @property
    def ok(self) -> bool:
        """Whether nothing wrong was found."""
        return not self.problems

    def raise_for_problems(self) -> None:
        """Raise ``RewardError`` with the report where something is wrong."""
        if self.problems:
            raise RewardError(str(self))

    def __str__(self) -> str:
        spent = self.seconds_per_completion
        took = "" if spent is None else f", {spent * 1000:.2g} ms for an ordinary one"
        tried = f"{self.completions} completions tried{took}"
        if self.ok:
            return f"reward {self.name!r}: nothing wrong was found ({tried})"
        count = "1 problem" if len(self.problems) == 1 else f"{len(self.problems)} problems"
        lines = [f"- {problem.kind}: {problem.message}" for problem in self.problems]
        return "\n".join([f"reward {self.name!r}: {count} ({tried})", *lines])


def check_reward(
    reward: Callable[..., Any] | Reward | str,
    rows: Sequence[Mapping[str, Any] | Sample] | None = None,
    *,
    seconds: float | None = None,
    low: float = -math.inf,
    high: float = math.inf,
    conversational: bool = True,
) -> RewardCheck:
    """Try a reward on ordinary and on hostile completions, and say what would go wrong in training.

    It is called as TRL's trainer calls it: by keyword, with lists, columns that it may not know, and completions as
    chat messages. Looked for are the wrong length or form, values that are no finite numbers or out of range,
    exceptions, columns that are not there, rewards that differ from call to call or with the rest of the batch, changed
    arguments, an empty answer or a letter of the right one that earns as much as the right one, and texts on which it
    takes too long, among them a megabyte, NUL and nested brackets.

    Args:
        reward: a function as TRL takes it, sync or async; a verifier; or a verifier's name.
        rows: rows of the data set, as mappings of column to value or as samples, each with a ``completion`` if there is
            one; a row with a plain truth where none are given.
        seconds: what scoring one completion may take; 1 unless given, or 20 for verifiers that score in parallel, as
            those do that have a wall limit of their own (see ``vantage.rewards.guard``).
        low: the least that a reward may be; a verifier declares its own.
        high: the most.
        conversational: completions are chat messages, as they are for every vision-language model; texts if false.

    Returns:
        What was found; never raises for what the reward does.

    Raises:
        DataError: ``rows`` holds nothing, or what the verifier cannot read.
    """
    verifier = get(reward) if isinstance(reward, str) else reward if isinstance(reward, Reward) else None
    if verifier is not None:
        function: Callable[..., Any] = _as_function(verifier)
        low, high, name = verifier.low, verifier.high, verifier.name
        if seconds is None and type(verifier).score_many is not Reward.score_many:
            seconds = GUARDED
    else:
        function = reward  # type: ignore[assignment]  # what is no verifier is a function
        name = getattr(function, "__name__", type(function).__name__)
    columns = columns_of(verifier, rows)
    limit = SECONDS if seconds is None else seconds
    trial = _Trial(function, RewardCheck(name), columns, limit, (low, high), conversational)
    if trial.fits():
        trial.run()
    return trial.found


def _as_function(verifier: Reward) -> Callable[..., Any]:
    def function(completions: list[Any], sample: list[Sample], **_: object) -> list[float | None]:
        scores = verifier.score_many([completion_text(completion) for completion in completions], sample)
        for score in scores:
            if not isinstance(score, Score):
                raise TypeError(f"score returned {type(score).__name__}, not a Score")
        return [score.reward for score in scores]

    return function


class _Trial:
    """The calls that are made of one reward, and what they show."""

    def __init__(
        self,
        function: Callable[..., Any],
        found: RewardCheck,
        rows: list[Columns],
        seconds: float,
        limits: tuple[float, float],
        conversational: bool,
    ) -> None:
        self.function, self.found, self.rows = function, found, rows
        self.seconds, self.limits, self.conversational = seconds, limits, conversational
        self.columns = sorted(set(rows[0]) - {"completion"})
        self.accepted: set[str] | None = None

    def fits(self) -> bool:
        """Whether the function can be called at all with what there is."""
        try:
            parameters = inspect.signature(self.function).parameters.values()
        except (TypeError, ValueError):
            return True  # built into Python or written in C: the first call shows
        named = {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
        needed = {p.name for p in parameters if p.name in named and p.default is p.empty}
        if not any(p.kind == p.VAR_KEYWORD for p in parameters):
            self._add("kwargs", "takes no **kwargs; trainers hand over every column and add arguments of their own")
            self.accepted = named
        missing = sorted(needed - set(self._arguments(["x"], self.rows[:1])))
        if missing:
            self._column(missing[0])
        return not missing

    def run(self) -> None:
        """Everything else; stops where a fault makes the rest meaningless."""
        pairs = [(text, row) for row in self.rows for text in ordinary(row)]
        first = self._first(pairs)
        if first is None:
            return
        again, outcome = self._call(pairs)
        if again is None:
            return
        self.found.seconds_per_completion = outcome.seconds / len(pairs)
        if not _same(first, again):
            self._add("not-deterministic", f"two calls with the same arguments gave {_differ(first, again, pairs)}")
        else:
            self._batch(pairs, first)
            self._cheap()
        self._hostile()

    def _first(self, pairs: list[tuple[str, Columns]]) -> list[float | None] | None:
        before = list(self.found.problems)
        values, outcome = self._call(pairs, warm=True)
        if not self.conversational:
            return values
        as_chat = list(self.found.problems)
        self.conversational = False
        self.found.problems = list(before)
        plain_values, _ = self._call(pairs, warm=True)
        self.found.problems = as_chat
        if values is not None:
            self.conversational = True
            if plain_values is not None and not _same(values, plain_values) and _same(values, self._call(pairs)[0]):
                self._add(
                    "conversational",
                    "gives other rewards for chat messages than for their text: "
                    f"{_differ(plain_values, values, pairs)}; completions of a vision-language model are "
                    '[{"role": "assistant", "content": ...}]',
                )
            return values
        if plain_values is not None and outcome.error is not None:
            self.found.problems = before
            self._add(
                "conversational",
                f"{_error(outcome.error)}, but not for plain texts; completions of a vision-language model are chat "
                'messages, [{"role": "assistant", "content": ...}]',
            )
        return plain_values if outcome.error is not None else None

    def _batch(self, pairs: list[tuple[str, Columns]], first: list[float | None]) -> None:
        turned, _ = self._call(pairs[::-1])
        if turned is not None and not _same(first, turned[::-1]):
            self._add("batch-dependent", f"the same batch turned round gave {_differ(first, turned[::-1], pairs)}")
            return
        alone = [self._call([pair])[0] for pair in pairs[:_ALONE]]
        if None not in alone:
            ones = [values[0] for values in alone if values is not None]
            if not _same(first[:_ALONE], ones):
                self._add("batch-dependent", f"each by itself instead of together gave {_differ(first, ones, pairs)}")

    def _cheap(self) -> None:
        """Look for answers that say nothing and earn as much as the right one."""
        for row in self.rows[:_ALONE]:
            known = len(self.found.problems)
            texts = [*ordinary(row)[-5:-3], *cheap(row)]
            values = self._call([(text, row) for text in texts])[0]
            del self.found.problems[known:]  # what else these texts show is told by the hostile ones
            scored = [value for value in values or () if value is not None]
            if len(scored) < len(texts):
                return
            right, wrong, *rest = scored
            for text, value in zip(texts[2:], rest, strict=True):
                # A reward that the answer does not change, such as one of format, owes nothing here.
                if right > wrong and value >= right:
                    self._add("cheap", f"pays {value:g}{_for(text)}, as much as for the right answer")
                    return

    def _hostile(self) -> None:
        faults: dict[tuple[str, str], list[str]] = {}
        overruns = 0
        for name, text in hostile():
            for shown in (text, f"<think>because</think>\n<answer>{text}</answer>"):
                known = len(self.found.problems)
                self._call([(shown, self.rows[0])])
                for problem in self.found.problems[known:]:
                    # Values differ from text to text; exceptions are told apart.
                    key = (problem.kind, problem.message if problem.kind == "raises" else "")
                    names = faults.setdefault(key, [problem.message])
                    names += [name] if name not in names else []
                    overruns += problem.kind == "slow"
                del self.found.problems[known:]
            if overruns >= _OVERRUNS:
                break
        for (kind, _), (message, *names) in faults.items():
            self.found.problems.append(Problem(kind, f"{message}; seen on the hostile texts: {', '.join(names)}"))

    def _call(self, pairs: list[tuple[str, Columns]], warm: bool = False) -> tuple[list[float | None] | None, Outcome]:
        texts, rows = [text for text, _ in pairs], [row for _, row in pairs]
        arguments = self._arguments(texts, rows)
        if self.accepted is not None:
            arguments = {key: value for key, value in arguments.items() if key in self.accepted}
        watched = _watched(arguments)
        limit = self.seconds * len(texts)
        outcome = within(max(limit, WARM_UP) if warm else limit, lambda: self.function(**arguments))
        self.found.completions += len(texts)
        if outcome.over or (outcome.seconds > limit and not warm):
            self._add("slow", f"takes longer than {self.seconds:g} s for a completion, and was stopped there")
            return None, outcome
        if isinstance(outcome.error, KeyError) and outcome.error.args and outcome.error.args[0] not in arguments:
            self._column(outcome.error.args[0])
            return None, outcome
        if outcome.error is not None:
            self._add("raises", f"{_error(outcome.error)}{self._culprit(pairs)}")
            return None, outcome
        changed = [key for key, value in _watched(arguments).items() if value != watched[key]]
        if changed:
            self._add("mutates", f"changes its argument {changed[0]!r}, which other reward functions are handed too")
        return self._values(outcome.value, pairs), outcome

    def _culprit(self, pairs: list[tuple[str, Columns]]) -> str:
        """The first of several texts on which it raises by itself, as a message ends."""
        if "raises" in {known.kind for known in self.found.problems}:
            return ""
        for text, row in pairs if len(pairs) > 1 else ():
            arguments = self._arguments([text], [row])
            if self.accepted is not None:
                arguments = {key: value for key, value in arguments.items() if key in self.accepted}
            if within(self.seconds, lambda given=arguments: self.function(**given)).error is not None:  # type: ignore[misc]
                return _for(text)
        return ""

    def _values(self, value: Any, pairs: list[tuple[str, Columns]]) -> list[float | None] | None:
        if not isinstance(value, list):
            self._add("not-a-list", f"returned {type(value).__name__}, not a list with one number a completion")
            if not isinstance(value, tuple) and not (hasattr(value, "tolist") and getattr(value, "ndim", 0) == 1):
                return None
            value = list(value)
        if len(value) != len(pairs):
            self._add("length", f"returned {len(value)} rewards for {len(pairs)} completions")
            return None
        low, high = self.limits
        for reward, (text, _) in zip(value, pairs, strict=True):
            if reward is None:
                continue
            if isinstance(reward, bool) or not isinstance(reward, Real) or not math.isfinite(float(reward)):
                what = f"{_short(reward)} ({type(reward).__name__})"
                self._add("not-a-number", f"returned {what}{_for(text)}; a reward is a finite number, or None")
                return None
            if not low - _EXACT <= float(reward) <= high + _EXACT:
                self._add("range", f"returned {float(reward):g}{_for(text)}, outside {low:g}..{high:g}")
                break
        return [None if reward is None else float(reward) for reward in value]

    def _arguments(self, texts: list[str], rows: list[Columns]) -> dict[str, Any]:
        prompts = [str(row.get("question", "")) for row in rows]
        chat = self.conversational
        return {
            "prompts": [[{"role": "user", "content": text}] for text in prompts] if chat else prompts,
            "completions": [[{"role": "assistant", "content": text}] for text in texts] if chat else texts,
            "completion_ids": [[1] * min(len(text), 64) for text in texts],
            "trainer_state": SimpleNamespace(global_step=0, max_steps=1, epoch=0.0),
            "log_extra": lambda *_: None,
            "log_metric": lambda *_: None,
            **{key: [row[key] if key == "sample" else copy.deepcopy(row[key]) for row in rows] for key in self.columns},
        }

    def _column(self, name: object) -> None:
        self._add("column", f"needs a column {name!r}; there are {', '.join(self.columns)}, and what TRL adds")

    def _add(self, kind: str, message: str) -> None:
        # The same fault shows in several calls; the first that showed it is told.
        if kind not in {known.kind for known in self.found.problems}:
            self.found.problems.append(Problem(kind, message))


def _watched(arguments: dict[str, Any]) -> dict[str, Any]:
    """Copies of the arguments, to see afterwards whether they are what they were."""
    kept = {key: value for key, value in arguments.items() if isinstance(value, list) and key != "sample"}
    samples = [(s.id, s.question, s.truth, dict(s.metadata)) for s in arguments.get("sample", ())]
    return copy.deepcopy({**kept, "sample": samples})


def _same(one: Sequence[float | None] | None, other: Sequence[float | None] | None) -> bool:
    if one is None or other is None or len(one) != len(other):
        return False
    return all(_equal(a, b) for a, b in zip(one, other, strict=True))


def _equal(a: float | None, b: float | None) -> bool:
    return a is b if a is None or b is None else math.isclose(a, b, rel_tol=_EXACT, abs_tol=_EXACT)


def _differ(one: Sequence[float | None], other: Sequence[float | None], pairs: list[tuple[str, Any]]) -> str:
    for a, b, (text, _) in zip(one, other, pairs, strict=False):
        if not _equal(a, b):
            return f"{a} and {b}{_for(text)}"
    return f"{len(one)} and {len(other)} rewards"


def _error(error: BaseException) -> str:
    return f"raises {type(error).__name__}: {_short(error)}"


def _for(text: str) -> str:
    return f" for {_short(text)}" if len(text) <= 200 else ""


def _short(value: object) -> str:
    text = str(value) if isinstance(value, BaseException) else repr(value)
    return text if len(text) <= 120 else f"{text[:117]}..."

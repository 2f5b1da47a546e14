"""The rollout phase: speak, score, judge, and replace the groups from which nothing can be learned."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from accelerate.logging import get_logger
from accelerate.utils import gather_object
from torch import Tensor

from vantage.engines.trl.guests import GuestRows
from vantage.engines.trl.placing import Placing, drawn_with
from vantage.engines.trl.rollout import Rollout, Row, row
from vantage.engines.trl.speaking import Ask, Spoken
from vantage.engines.trl.texts import Texts
from vantage.groups import FUSED, Group, Member
from vantage.methods import Rewards, Speaker
from vantage.methods.metrics import group_metrics
from vantage.rewards.base import Score
from vantage.rewards.rows import completion_text
from vantage.samples import Sample

if TYPE_CHECKING:
    from vantage.engines.trl.trainer import VantageTrainer
    from vantage.guests import Asked, Guests

logger = get_logger(__name__)


@dataclass(slots=True)
class Collected:
    """The groups of one generation batch of this process.

    Attributes:
        rollout: the groups that the update gets.
        fillers: positions in it that only keep the batch's form and carry no loss.
        spoken: every group that was generated, dropped ones too.
        figures: means over the generated groups of all processes.
    """

    rollout: Rollout
    fillers: set[int] = field(default_factory=set)
    spoken: list[Group] = field(default_factory=list)
    figures: dict[str, float] = field(default_factory=dict)

    def generated(self, room: int) -> tuple[Any, ...]:
        """What the stock trainer's ``_generate`` would have returned for these groups, ``room`` rows each."""
        rollout = self.rollout
        places = [(index, *row) for index, rows in enumerate(rollout.rows(room)) for row in rows]
        live = [alive and index not in self.fillers for index, _, alive in places]
        completion_ids = [rollout.completion_ids[index][column] for index, column, _ in places]
        members = [rollout.groups[index].members[column] for index, column, _ in places]
        logprobs = None
        if rollout.logprobs is not None:
            logprobs = [rollout.logprobs[index][column] for index, column, _ in places]
        # Where prompts are shared, the update gets what the rollout has read; see ``VantageTrainer.enter``.
        images = [None if rollout.read is not None else rollout.images[index] for index, _, _ in places]
        mask = None
        if not all(live):
            mask = [[int(alive)] * len(ids) for alive, ids in zip(live, completion_ids, strict=True)]
        return (
            [rollout.prompt_ids[index] for index, _, _ in places],
            completion_ids,
            mask,
            [[{"role": "assistant", "content": member.placed or member.text}] for member in members],
            logprobs,
            {},
            images if any(images) else None,
            [],
        )


class _Anchor(NamedTuple):
    """A single-source answer that is asked for: of which problem and column, and whether the group wants it."""

    problem: int
    column: int
    wanted: bool
    ask: Ask


class RolloutPhase:
    """Makes the groups of a step with a trainer's own generation and rewards.

    Whatever is collective (generation, rewards, gathering) is called equally often by every process.
    """

    def __init__(self, trainer: VantageTrainer, anchors: tuple[Speaker, ...], guests: Guests | None = None) -> None:
        self._trainer = trainer
        self._anchors = anchors
        texts = Texts(trainer)
        self._placing = Placing(trainer, texts)
        self._guests = None if guests is None else GuestRows(trainer, guests, texts)
        self._step = -1
        self._generations = 0

    def collect(self, rows: list[int]) -> Collected:
        """Groups for the training samples ``rows``, silent ones replaced as far as the method allows."""
        trainer = self._trainer
        batches = trainer.method.generation_batches
        wanted = len(rows)
        # How many generations came before within this optimizer step, which a resumed process counts alike.
        self._generations = self._generations + 1 if trainer.state.global_step == self._step else 0
        self._step = trainer.state.global_step
        asked = set(gather_object(list(rows))) if batches > 1 else set()
        kept, silent, spoken = Rollout(), Rollout(), list[Group]()
        figures: list[dict[str, float]] = []
        for batch in range(batches):
            drawn = rows if batch == 0 else self._refill(asked, wanted, batch)
            rollout, said = self._roll_out([trainer.training_samples[index] for index in drawn], batch)
            spoken += rollout.groups
            figures.append(said)
            if batches == 1:
                return Collected(rollout, set(), spoken, said)
            heard = rollout.signal()
            kept = kept.extend(rollout.take([i for i, signal in enumerate(heard) if signal]))
            silent = silent.extend(rollout.take([i for i, signal in enumerate(heard) if not signal]))
            mine = torch.tensor([min(len(kept.groups), wanted)], device=trainer.accelerator.device)
            # Generation is collective, so every process goes on until each has its share.
            everyone = trainer.accelerator.gather(mine)
            if int(everyone.min()) == wanted:
                break
        have, need = int(everyone.sum()), len(everyone) * wanted
        if have < need:
            logger.warning(
                "step %d: %d of %d groups have signal after %d batches of prompts; the step trains on these",
                trainer.state.global_step + 1,
                have,
                need,
                batches,
            )
        means = {name: _mean([said[name] for said in figures]) for name in figures[0]}
        means |= {"dynamic/batches": float(len(figures)), "dynamic/filled": have / need}
        # What reward functions logged row by row is of all batches; the table of completions has rows of what is kept.
        trainer._pending_extra_logs.clear()
        rollout, fillers = _fill(kept, silent, wanted)
        return Collected(rollout, fillers, spoken, means)

    def _refill(self, asked: set[int], size: int, batch: int) -> list[int]:
        """Fresh rows for this process, drawn from the step's number alone, so that a resumed run draws the same.

        The batches of a step take turns in one random order of the rows that the step did not begin with, so that none
        comes twice before all have come.
        """
        trainer = self._trainer
        total = len(trainer.training_samples)
        shuffled = np.random.default_rng(self._moment()).permutation(total).tolist()
        order = [index for index in shuffled if index not in asked] or shuffled
        accelerator = trainer.accelerator
        start = ((batch - 1) * accelerator.num_processes + accelerator.process_index) * size
        return [order[(start + offset) % len(order)] for offset in range(size)]

    def _moment(self) -> list[int]:
        """Numbers that every process shares and that no other generation has."""
        return [self._trainer.args.seed, self._trainer.state.global_step, self._generations]

    def _roll_out(self, samples: list[Sample], batch: int) -> tuple[Rollout, dict[str, float]]:
        """Speak, score and judge one batch of groups."""
        trainer = self._trainer
        size = trainer.method.fused_rollouts(trainer.num_generations, len(self._anchors))
        asked = None if self._guests is None else self._guests.ask(samples)
        pictures = [
            {name: trainer.speaking.shown(sample.picture(name)) for name in sample.sources} for sample in samples
        ]
        prompts = [
            trainer.style.messages(sample, pictures=loaded) for sample, loaded in zip(samples, pictures, strict=True)
        ]
        anchors = self._anchor_asks(samples, pictures)
        spoken = trainer.speaking.speak([*(Ask(prompt, size) for prompt in prompts), *(a.ask for a in anchors)])
        fused = spoken.take(0, len(prompts))
        repeated = [prompt for prompt in prompts for _ in range(size)]
        with trainer.clock.phase("rollout"):
            _, ids, _, completions, logprobs, _, _, _ = trainer.stock_generate(repeated, fused)
        rows = [row(sample, prompt) for sample, prompt in zip(samples, prompts, strict=True) for _ in range(size)]
        per_function, scores = self._score(rows, repeated, completions, ids)
        groups = [Group(sample) for sample in samples]
        for index, (completion, tokens, score) in enumerate(zip(completions, ids, scores, strict=True)):
            groups[index // size].members.append(Member(FUSED, completion_text(completion), tokens, score))
        per_function = per_function.view(len(samples), size, -1)
        if self._anchors:
            alone = spoken.take(len(prompts), len(prompts) + len(anchors))
            per_function = torch.cat([per_function, self._hear_anchors(groups, anchors, alone)], dim=1)
        if self._guests is not None and asked is not None:
            heard = self._hear(self._guests, asked, groups, prompts)
            per_function = torch.cat([per_function, heard], dim=1)
        rollout = Rollout(
            groups=groups,
            prompt_ids=fused.prompt_ids,
            completion_ids=[[member.token_ids for member in group.members] for group in groups],
            logprobs=None if logprobs is None else _by_group(logprobs, groups, size),
            images=[None] * len(samples) if fused.images is None else fused.images,
            prompts=prompts,
            read=fused.prompts,
            per_function=per_function,
        )
        figures = self._judge(rollout, batch, size)
        return rollout, figures | self._placing.place(rollout, size)

    def _anchor_asks(self, samples: list[Sample], pictures: list[dict[str, Any]]) -> list[_Anchor]:
        """What is asked for single-source answers, those by the likeliest tokens first."""
        trainer = self._trainer
        found = []
        for greedy in (True, False):
            columns = [column for column, speaker in enumerate(self._anchors) if speaker.greedy is greedy]
            for problem, (sample, loaded) in enumerate(zip(samples, pictures, strict=True)):
                own = {speaker.origin for speaker in trainer.method.speakers(tuple(sample.sources))}
                for column in columns:
                    origin = self._anchors[column].origin
                    # An unwanted row stands in, so that every process asks for equally many, and is forgotten.
                    shown = origin if origin in own else FUSED
                    prompt = trainer.style.messages(sample, shown, trainer.mono, loaded)
                    found.append(_Anchor(problem, column, origin in own, Ask(prompt, 1, greedy, "anchors")))
        return found

    def _hear_anchors(self, groups: list[Group], anchors: list[_Anchor], spoken: Spoken) -> Tensor:
        """Add single-source answers to every group; their rewards (P, S, F), NaN for a source that a sample lacks."""
        trainer = self._trainer
        shape = (len(groups), len(self._anchors), len(trainer.reward_funcs))
        rewards = torch.full(shape, torch.nan, device=trainer.accelerator.device)
        members = [[Member(speaker.origin, "") for speaker in self._anchors] for _ in groups]
        ids = [answer for answers in spoken.ids for answer in answers]
        texts = trainer.processing_class.batch_decode(ids, skip_special_tokens=True)
        completions = [[{"role": "assistant", "content": text}] for text in texts]
        asked = [anchor.ask.prompt for anchor in anchors]
        rows = [row(groups[anchor.problem].sample, anchor.ask.prompt) for anchor in anchors]
        with self._own_logs():
            per_function, scores = self._score(rows, asked, completions, ids)
        for index, anchor in enumerate(anchors):
            if anchor.wanted:
                origin = self._anchors[anchor.column].origin
                rewards[anchor.problem, anchor.column] = per_function[index]
                member = Member(origin, texts[index], ids[index], scores[index])
                if spoken.logprobs is not None and not anchor.ask.greedy:
                    member.logprobs = drawn_with(spoken.logprobs[index][0], ids[index])
                members[anchor.problem][anchor.column] = member
        for group, answers in zip(groups, members, strict=True):
            group.members += answers
        return rewards

    def _hear(self, guests: GuestRows, asked: Asked, groups: list[Group], prompts: list[Any]) -> Tensor:
        """Add the guests' answers to every group; their rewards (P, E, F), NaN for one that did not come."""
        trainer = self._trainer
        with trainer.clock.phase("guests"):
            members = guests.members(asked)
        columns = len(guests.columns)
        shape = (len(groups), columns, len(trainer.reward_funcs))
        rewards = torch.full(shape, torch.nan, device=trainer.accelerator.device)
        answers = [member for line in members for member in line]
        # One that is missing stands in with an empty answer, so that every process scores equally many.
        rows = [
            row(group.sample, prompt) for group, prompt in zip(groups, prompts, strict=True) for _ in range(columns)
        ]
        repeated = [prompt for prompt in prompts for _ in range(columns)]
        texts = [[{"role": "assistant", "content": member.text}] for member in answers]
        with self._own_logs():
            per_function, scores = self._score(rows, repeated, texts, [member.token_ids for member in answers])
        for index, (member, score) in enumerate(zip(answers, scores, strict=True)):
            if not member.refused:
                member.score = score
                rewards[index // columns, index % columns] = per_function[index]
        for group, line in zip(groups, members, strict=True):
            group.members += line
        return rewards

    def _score(
        self, rows: list[Row], prompts: list[Any], completions: list[Any], ids: list[list[int]]
    ) -> tuple[Tensor, list[Score]]:
        """Rewards by function of this process's rows, (rows, F), and the scores of their own rewards."""
        trainer = self._trainer
        with trainer.clock.phase("reward"):
            gathered = trainer.stock_rewards(rows, prompts, completions, ids)
        start = trainer.accelerator.process_index * len(rows)
        return gathered[start : start + len(rows)], trainer.verifier.scores

    @contextmanager
    def _own_logs(self) -> Iterator[None]:
        """Keep what reward functions log of anchors out of the table of completions, whose rows they are not."""
        trainer = self._trainer
        kept = copy.deepcopy(trainer._pending_extra_logs), copy.deepcopy(trainer._pending_metrics)
        try:
            yield
        finally:
            trainer._pending_extra_logs, trainer._pending_metrics = kept

    def _judge(self, rollout: Rollout, batch: int, size: int) -> dict[str, float]:
        """Ask the method, with the rewards of every process, write its answer into the groups, and sum up."""
        trainer, groups = self._trainer, rollout.groups
        device, gather = trainer.accelerator.device, trainer.accelerator.gather
        rewards = (rollout.per_function * trainer.reward_weights.to(device)).nansum(-1)
        rewards[rollout.per_function.isnan().all(-1)] = torch.nan
        lengths = torch.tensor([[len(m.token_ids) for m in group.members] for group in groups], device=device)
        penalty = trainer.method.length_penalty(lengths, trainer.max_completion_length)
        if penalty is not None:
            rewards = rewards + penalty

        everyone = gather(rewards)
        guests = size + len(self._anchors)
        correct = gather(flags(groups, "correct", device))
        columns = Rewards.of(everyone[:, :size], everyone[:, size:guests], everyone[:, guests:], correct)
        seed = int(np.random.SeedSequence([*self._moment(), batch]).generate_state(1)[0])
        decision = trainer.method.decide(columns, seed)
        start = trainer.accelerator.process_index * len(groups)
        mine = slice(start, start + len(groups))
        rollout.advantages, rollout.trained = decision.advantages[mine], decision.trained[mine]

        for index, group in enumerate(groups):
            for column, member in enumerate(group.members):
                value = rewards[index, column].item()
                member.reward = None if math.isnan(value) else value
                member.advantage = rollout.advantages[index, column].item()
                member.trained = bool(rollout.trained[index, column])
                if member.score is not None:
                    terms = zip(trainer.reward_func_names, rollout.per_function[index, column].tolist(), strict=True)
                    parts = {**member.score.parts, **dict(list(terms)[1:])}
                    if penalty is not None:
                        parts["overlong"] = penalty[index, column].item()
                    member.score = replace(member.score, parts=parts)

        formatted = gather(flags(groups, "formatted", device))[:, :size]
        sources = [speaker.origin.name for speaker in self._anchors]
        return {
            "reward": columns.fused.nanmean().item(),
            "accuracy": correct[:, :size].nanmean().item(),
            "format": formatted.nanmean().item(),
            "timeouts": gather(flags(groups, "timed_out", device)).nansum().item(),
            **self._parts(groups, size),
            **group_metrics(columns, correct[:, :size], correct[:, size:guests], decision, sources),
            **({} if self._guests is None else self._guests.figures(columns, decision, groups)),
        }

    def _parts(self, groups: list[Group], size: int) -> dict[str, float]:
        """Means over the fused rollouts of what the run's one reward wants logged."""
        trainer = self._trainer
        reward, accelerator = trainer.verifier.reward, trainer.accelerator
        found: dict[str, float] = {}
        for figure, name in (reward.logged if reward is not None else {}).items():
            values = accelerator.gather(parts(groups, name, accelerator.device))[:, :size]
            if not values.isnan().all():
                found[figure] = values.nanmean().item()
        return found


def parts(groups: list[Group], name: str, device: torch.device) -> Tensor:
    """A part of every member's score, (P, N); NaN where a score has none."""
    scores = [[member.score for member in group.members] for group in groups]
    values = [[math.nan if s is None else s.parts.get(name, math.nan) for s in line] for line in scores]
    return torch.tensor(values, dtype=torch.float32, device=device)


def flags(groups: list[Group], attribute: str, device: torch.device) -> Tensor:
    """A flag of every member's score as 0 or 1, (P, N); NaN where there is no score or it could not be scored."""
    scores = [[member.score for member in group.members] for group in groups]
    values = [
        [math.nan if s is None or s.reward is None else float(getattr(s, attribute)) for s in line] for line in scores
    ]
    return torch.tensor(values, device=device)


def _fill(kept: Rollout, silent: Rollout, size: int) -> tuple[Rollout, set[int]]:
    """Exactly ``size`` groups: surplus ones are dropped; where some miss, silent ones stand in without any loss."""
    for group in [*kept.groups[size:], *silent.groups]:
        for member in group.members:
            member.trained = False
    missing = size - len(kept.groups)
    if missing <= 0:
        return kept.take(range(size)), set()
    # Fewer may be silent than are missing on no process: each draws at least `size` groups, and kept those with signal.
    stand_in = silent.take(range(missing))
    return kept.extend(stand_in), set(range(len(kept.groups), size))


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


def _by_group(logprobs: Sequence[Sequence[float]], groups: list[Group], size: int) -> list[list[list[float | None]]]:
    """Log-probs of fused rollouts by group; what was not sampled with them has ``None`` for every token."""
    found: list[list[list[float | None]]] = []
    for index, group in enumerate(groups):
        own: list[list[float | None]] = [list(row) for row in logprobs[index * size : (index + 1) * size]]
        found.append(own + [[None] * len(member.token_ids) for member in group.members[size:]])
    return found

"""Pages: price lists whose lines are read again from what stands in their cells."""

import re
from collections import Counter, defaultdict

import numpy as np
import pytest

from vantage import worlds

WORLD = worlds.get("pages")
GOODS = ("tea", "pie", "egg", "fig", "bun", "cod")


def list_of(sample, page: str, crossed: bool = False) -> dict[str, int]:
    """Goods and prices of a page, line by line; with ``crossed``, as if what is crossed out held."""
    found = {}
    for row in "234":
        line = [t for t in sample.metadata["objects"] if (t["source"], t["cell"][1]) == (page, row)]
        (goods,) = (t for t in line if t["kind"] in GOODS)
        prices = sorted((t for t in line if t["kind"].isdigit()), key=lambda t: t["struck"])
        assert prices[0]["struck"] is False
        assert len(prices) <= 2
        if crossed or not goods["struck"]:
            found[goods["kind"]] = int(prices[-1 if crossed else 0]["kind"])
    return found


def answers(sample, one: dict[str, int], two: dict[str, int]) -> set[str]:
    """Every answer that two such pages give."""
    question = sample.question
    if found := re.fullmatch(r"What does (\w+) cost on page_([12])\?", question):
        return {str((one, two)[int(found[2]) - 1][found[1]])}
    if found := re.fullmatch(r"Where does (\w+) cost less\?", question):
        return {"page_1" if one[found[1]] < two[found[1]] else "page_2"}
    options = dict(re.findall(r"([ABCD]) (\w+)", question))
    assert len(set(options.values())) == 4
    return {letter for letter, goods in options.items() if goods in one and goods in two}


@pytest.mark.parametrize("mix", list(WORLD.mixes))
def test_both_pages_together_settle_every_question(mix):
    for sample in WORLD.dataset("test", n=180, mix=mix, seed=7):
        assert answers(sample, list_of(sample, "page_1"), list_of(sample, "page_2")) == {sample.truth}, sample.id


def alone(sample, page: str) -> set[str]:
    """Answers that agree with one page, whatever stood on the other; prices that are compared differ."""
    own, task = list_of(sample, page), sample.metadata["task"]
    if task == "choice":
        return {letter for letter, goods in re.findall(r"([ABCD]) (\w+)", sample.question) if goods in own}
    goods = next(word for word in sample.question.split() if word in GOODS)
    others = [price for price in range(1, 10) if task == "read" or price != own[goods]]
    possible = [{**own, goods: price} for price in others]
    pairs = [(own, other) if page == "page_1" else (other, own) for other in possible]
    return set().union(*(answers(sample, *pair) for pair in pairs))


def test_a_page_is_enough_exactly_where_the_other_could_change_nothing():
    enough = Counter()
    for sample in WORLD.dataset("test", n=360):
        for page in WORLD.sources:
            settled = alone(sample, page) == {sample.truth}
            assert settled == (page in sample.metadata["enough"]), (sample.id, page)
            enough[sample.metadata["task"]] += settled
    # Shares of pages: one of two for reading, few for the others.
    assert enough["read"] == 120
    assert 0.1 < enough["compare"] / 240 < 0.3
    assert 0.1 < enough["choice"] / 240 < 0.3


def test_every_answer_to_every_question_is_equally_frequent():
    truths = defaultdict(Counter)
    for sample in WORLD.dataset("test", n=324):
        form = "choice" if sample.metadata["task"] == "choice" else sample.question
        truths[form][sample.truth] += 1
    assert len(truths) == 6 * 2 + 6 + 1
    for form, counts in truths.items():
        options = "ABCD" if form == "choice" else "123456789" if "on page" in form else ("page_1", "page_2")
        assert set(counts) == set(options), form
        assert len(set(counts.values())) == 1, form


@pytest.mark.parametrize("mix", list(WORLD.mixes))
def test_conditions_come_at_the_stated_rates_and_deceive_only_where_they_say(mix):
    samples = list(WORLD.dataset("train", n=360, mix=mix))
    seen = Counter(sample.metadata["condition"] for sample in samples)
    for condition, share in WORLD.mixes[mix].items():
        assert abs(seen[condition] / 360 - share) < 0.075
    for sample in samples:
        deceives = sample.metadata["condition"] == "struck"
        assert deceives or not any(thing.get("struck") for thing in sample.metadata["objects"])
        assert deceives == (WORLD.credulous(sample) is not None)


def test_one_who_reads_what_is_crossed_out_is_always_wrong():
    for sample in WORLD.dataset("train", n=300):
        believed = WORLD.credulous(sample)
        if believed is None:
            continue
        wrong = answers(sample, *(list_of(sample, page, crossed=True) for page in WORLD.sources)) - {sample.truth}
        assert wrong == {believed.truth}, sample.id


def test_pages_show_ink_where_something_stands_and_red_where_it_is_crossed_out():
    for sample in WORLD.dataset("test", n=60):
        for page in WORLD.sources:
            picture = np.asarray(sample.source(page).load()).astype(float)
            things = {t["cell"]: t for t in sample.metadata["objects"] if t["source"] == page}
            red = (picture[..., 0] - picture[..., 1:].max(2) > 110).reshape(4, 16, 4, 16).sum((1, 3))
            paper = np.median(picture[16:].reshape(-1, 3), axis=0)
            dark = ((picture - paper).mean(2) < -48).reshape(4, 16, 4, 16)[:, 1:].sum((1, 3))  # below the line
            for row in range(1, 4):
                for column, letter in enumerate("ABCD"):
                    thing = things.get(f"{letter}{row + 1}")
                    assert (red[row, column] > 25) == bool(thing and thing["struck"]), (sample.id, page, letter, row)
                    assert (dark[row, column] > 20) == (thing is not None), (sample.id, page, letter, row)


def test_the_same_goods_and_digits_look_alike_and_others_do_not():
    """Ink of the cells of an easy page, laid over each other where they fit best: only the same kind fits well."""
    cells = defaultdict(list)
    for sample in WORLD.dataset("test", n=60, mix="easy"):
        for thing in sample.metadata["objects"]:
            if (
                not thing.get("struck")
                and not thing["kind"].startswith("head")
                and sample.metadata["condition"] == "clear"
            ):
                x, y = 16 * "ABCD".index(thing["cell"][0]), 16 * (int(thing["cell"][1]) - 1)
                grey = (
                    np.asarray(sample.source(thing["source"]).load()).astype(float).mean(2)[y + 1 : y + 16, x : x + 16]
                )
                cells[thing["kind"]].append(grey < 140)

    def misfit(a: np.ndarray, b: np.ndarray) -> float:
        shifts = [np.roll(np.pad(b, 3), (dy, dx), (0, 1)) for dy in range(-2, 3) for dx in range(-2, 3)]
        return min(float((np.pad(a, 3) ^ shifted).sum()) for shifted in shifts)

    kinds = sorted(kind for kind, looks in cells.items() if len(looks) >= 3)
    assert len(kinds) == 15
    for kind in kinds:
        own = max(misfit(cells[kind][0], look) for look in cells[kind][1:3])
        assert own < min(misfit(cells[kind][0], cells[other][0]) for other in kinds if other != kind), kind

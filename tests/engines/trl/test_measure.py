"""What a run measures of drawn answers: once a moment, what was kept is kept, and processes share the questions."""

from types import SimpleNamespace

import pytest
from accelerate import Accelerator
from rich.console import Console

from vantage import recipes, runs, worlds
from vantage.engines.trl import measure
from vantage.engines.trl.measure import Measure
from vantage.evaluation import Evaluation
from vantage.evaluation.passk import SampledEvaluation
from vantage.evaluation.sampling import sample_many


@pytest.fixture
def measured(model, processor, tmp_path):
    """Measures on five scenes, with these settings of the evaluation, as one of so many processes."""

    def make(name: str = "run", index: int = 0, processes: int = 1, samples: bool = True, **evaluation) -> Measure:
        overrides = [f"evaluation.{key}={value}" for key, value in evaluation.items()]
        recipe = recipes.load("tiny/grpo", ["data.test=night?split=test&n=5", *overrides])
        own = Accelerator(cpu=True)
        accelerator = SimpleNamespace(
            process_index=index, num_processes=processes, is_main_process=index == 0, device=own.device,
            state=own.state, unwrap_model=own.unwrap_model,
        )  # fmt: skip
        trainer = SimpleNamespace(
            model=model, model_wrapped=model, accelerator=accelerator, processing_class=processor,
            is_fsdp_enabled=False, args=SimpleNamespace(max_completion_length=5),
        )  # fmt: skip
        asked = worlds.get("night").dataset(split="test", n=5) if samples else None
        return Measure(recipe, runs.Run(tmp_path / name), trainer, asked, Console(quiet=True))

    return make


def test_both_kinds_are_measured_and_kept(measured, model, processor):
    found = measured(k=3, questions=4, temperature=0.9, seed=7, batch_size=5)
    result = found("before")
    assert result == Evaluation.load(found.run.evaluation("before")) and result.n == 5
    drawn = SampledEvaluation.load(found.run.passk("before"))
    expected, rows = sample_many(
        model, processor, found.samples[:4], 3, style=found.recipe.style(), temperature=0.9, seed=7, max_new_tokens=5
    )
    assert drawn.questions == expected.questions and drawn.settings == expected.settings
    assert (drawn.model, drawn.data, drawn.k) == ("tiny", str(found.recipe.data.test), 3)
    assert len(found.run.passk_answers("before").read_text().splitlines()) == len(rows) == 12


def test_nothing_is_drawn_unless_asked_for(measured):
    found = measured()
    found("after")
    assert {path.name for path in found.run.folder.iterdir()} == {"after.json", "after.jsonl"}
    assert measured(name="none", samples=False, k=2)("before") is None


def test_what_was_kept_is_not_made_again(measured, monkeypatch):
    found = measured(k=2)
    found("before")
    kept = found.run.passk("before").read_bytes()
    # Stopped between the two: only what is missing is made.
    found.run.passk("before").unlink()
    monkeypatch.setattr(measure, "evaluate", None)
    assert found("before").n == 5
    again = SampledEvaluation.load(found.run.passk("before"))
    assert again.questions == SampledEvaluation.model_validate_json(kept).questions
    monkeypatch.setattr(measure, "sample_many", None)
    assert found("before").n == 5


@pytest.mark.parametrize("processes", [2, 4])
def test_processes_that_share_the_questions_draw_what_one_draws(measured, monkeypatch, processes: int):
    alone = measured("one", k=3)
    alone._draw("before", alone.trainer.model)
    parts: list[list] = []

    def brought(rows: list) -> None:
        parts.append(rows)
        raise InterruptedError

    monkeypatch.setattr(measure, "gather_object", brought)
    for index in range(processes):
        part = measured("part", index, processes, k=3)
        # Every process waits here for the others; what each brings is kept until all have come.
        with pytest.raises(InterruptedError):
            part._draw("before", part.trainer.model)
    assert sum(map(len, parts)) == 15
    monkeypatch.setattr(measure, "gather_object", lambda rows: [row for own in parts for row in own])
    for index in reversed(range(processes)):
        part = measured("many", index, processes, k=3)
        part._draw("before", part.trainer.model)
        assert part.run.passk("before").exists() == (index == 0)
    one, many = (SampledEvaluation.load(found.run.passk("before")) for found in (alone, part))
    assert many.model_copy(update={"seconds": one.seconds}) == one
    assert part.run.passk_answers("before").read_bytes() == alone.run.passk_answers("before").read_bytes()

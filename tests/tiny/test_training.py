"""Training the tiny model from nothing: repeatable, saved so that plain Auto classes load it."""

import os
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForImageTextToText, AutoProcessor

from vantage import tiny, worlds
from vantage.errors import ConfigError
from vantage.tiny import Curriculum
from vantage.tiny.architecture import build_processor
from vantage.tiny.lessons import IGNORED, STYLE, Teacher, collate
from vantage.tiny.training import Lessons

SHORT = tiny.Curriculum(steps=2, sight_steps=2, batch=8, fresh=4, pool=16)


def weights(folder):
    return load_file(folder / "model.safetensors")


def test_two_steps_give_the_same_weights_again_and_another_seed_gives_others(tmp_path):
    reports = []
    first = tiny.train(tmp_path / "a", SHORT, seed=3, progress=reports.append)
    second = tiny.train(tmp_path / "b", SHORT, seed=3, progress=None)
    other = tiny.train(tmp_path / "c", SHORT, seed=4, progress=None)
    assert [(r.stage, r.step, r.steps) for r in reports] == [("sight", 2, 2), ("words", 2, 2)]
    a, b, c = weights(first), weights(second), weights(other)
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not all(torch.equal(a[name], c[name]) for name in a)


def test_training_leaves_the_random_state_alone(tmp_path):
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    tiny.train(tmp_path, SHORT, progress=None)
    assert torch.equal(torch.rand(3), expected)


def test_what_is_saved_loads_in_a_plain_python_without_vantage_or_torchvision(tmp_path):
    folder = tiny.train(tmp_path, SHORT, progress=None)
    code = (
        "import sys; sys.modules['torchvision'] = None; sys.modules['vantage'] = None\n"
        "from PIL import Image\n"
        "from transformers import AutoModelForImageTextToText, AutoProcessor\n"
        f"p = AutoProcessor.from_pretrained({str(folder)!r})\n"
        f"m = AutoModelForImageTextToText.from_pretrained({str(folder)!r})\n"
        "x = p(text=['<user> rgb <image> Is it? <bot>'], images=[Image.new('RGB', (64, 64))], return_tensors='pt')\n"
        "assert m.generate(**x, max_new_tokens=2).shape[0] == 1\n"
        "print(type(p).__name__, type(m).__name__)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, "HF_HUB_OFFLINE": "1"}
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["LlavaProcessor", "LlavaForConditionalGeneration"]


def test_saving_and_loading_again_changes_nothing(tmp_path):
    model = AutoModelForImageTextToText.from_pretrained(tiny.path())
    processor = AutoProcessor.from_pretrained(tiny.path())
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    again, before = weights(tmp_path), weights(tiny.path())
    assert again.keys() == before.keys()
    assert all(torch.equal(again[name], before[name]) for name in before)
    messages = STYLE.messages(worlds.get("depth").dataset("test")[0])
    texts = [
        p.apply_chat_template(messages, add_generation_prompt=True)
        for p in (processor, AutoProcessor.from_pretrained(tmp_path))
    ]
    assert texts[0] == texts[1]


def test_only_completions_are_learned():
    processor = AutoProcessor.from_pretrained(tiny.path())
    teacher = Teacher(processor)
    lessons = [teacher.lesson(s) for s in worlds.get("night").dataset(n=3)]
    batch = collate(lessons, [0, 0, 0])
    for row, lesson in enumerate(lessons):
        learned = batch.targets[row][batch.targets[row] != IGNORED].tolist()
        assert learned == lesson.completion
        assert batch.targets[row, len(lesson.prompt) - 1] == lesson.completion[0]


def test_impossible_curricula_are_refused():
    with pytest.raises(ConfigError, match="steps must be at least 1"):
        tiny.Curriculum(steps=0)
    with pytest.raises(ConfigError, match="between 1 and pool"):
        tiny.Curriculum(fresh=100, pool=10)


def test_a_credulous_lesson_is_shown_in_full_and_answers_as_one_who_believes_it():
    teacher = Teacher(build_processor())
    night = worlds.get("night")
    sample = next(s for s in night.dataset(n=60, tasks=["count"]) if night.credulous(s))
    honest, fooled = teacher.lesson(sample), teacher.lesson(sample, credulous=True)
    assert fooled.prompt == honest.prompt
    assert fooled.completion != honest.completion
    assert (honest.credulous, fooled.credulous) == (False, True)
    curriculum = Curriculum(steps=1, credulous=1.0, single=1.0, blind=0.0)
    assert Lessons(teacher, curriculum, seed=0)._view(fooled, 0.5, 0.5) == 0
    clear = next(s for s in night.dataset(n=60) if not night.credulous(s))
    assert not teacher.lesson(clear, credulous=True).credulous


def test_cells_are_asked_of_every_picture_where_pictures_differ_and_of_the_last_where_they_show_one_scene():
    teacher = Teacher(build_processor())
    scene = worlds.get("night").dataset(n=1)[0]
    things = [{"kind": "person", "cell": "A2", "source": "rgb"}, {"kind": "lamp", "cell": "D4", "source": "infrared"}]
    apart = replace(scene, metadata={**scene.metadata, "objects": things, "enough": ["rgb"]})
    batch = collate([teacher.lesson(scene), teacher.lesson(apart)], [0, 0])
    assert batch.asked.tolist() == [False, True, True, True]
    assert torch.equal(batch.kinds[0], batch.kinds[1])
    person, lamp = teacher.kinds.index("person"), teacher.kinds.index("lamp")
    assert batch.kinds[2].tolist() == [0] * 4 + [person] + [0] * 11
    assert batch.kinds[3].tolist() == [0] * 15 + [lamp]
    # Shown from one source alone, every slot is asked what that source shows.
    alone = collate([teacher.lesson(apart)], [1])
    assert torch.equal(alone.kinds, torch.stack([batch.kinds[2]] * 2))

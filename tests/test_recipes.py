import json
import re
import warnings
from contextlib import closing
from pathlib import Path

import pytest
import yaml
from PIL import Image

from vantage import datasets, recipes, yaml12
from vantage.engines.trl.config import grpo_config
from vantage.engines.trl.settings import reconcile
from vantage.errors import ConfigError
from vantage.methods import METHODS, Dapo, Grpo, Mars

SHIPPED = sorted(recipes.shipped().rglob("*.yaml"))

SMALL = """
model: {path: tiny}
method: {name: mars, base: {name: dapo}}
data: {train: "night?n=8"}
"""


@pytest.fixture
def small(tmp_path):
    """Write a recipe of a few lines, with more after them, and load it with overrides."""

    def load(*overrides, more=""):
        path = tmp_path / "small.yaml"
        path.write_text(SMALL + more, encoding="utf-8")
        return recipes.load(path, overrides)

    return load


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: str(p.relative_to(recipes.shipped())))
def test_every_shipped_recipe_could_start(path, tmp_path):
    name = str(path.relative_to(recipes.shipped()).with_suffix(""))
    recipe = recipes.load(name)
    assert recipe == recipes.load(path)
    # Here there is neither an accelerator nor a server of rollouts; all else is as the recipe says.
    here = {"bf16": False, "fp16": False, "use_cpu": True, "deepspeed": None}
    args = grpo_config({**recipe.trainer, **here}, tmp_path, recipe.seed)
    reconcile(recipe.method, args, {})
    assert (args.seed, args.data_seed, args.output_dir) == (recipe.seed, recipe.seed, str(tmp_path))
    for key in recipe.trainer.keys() - here.keys() - {"gradient_checkpointing"}:
        assert getattr(args, key) == recipe.trainer[key], key


@pytest.mark.parametrize("size", ["3b", "7b"])
def test_stage_one_of_racro_is_told_what_the_pipeline_of_stage_two_tells(size):
    one, two = recipes.load(f"papers/racro-{size}-grpo"), recipes.load(f"papers/racro-{size}")
    asked = two.reasoner.prompts.style("tentative", label_sources=two.prompt.label_sources)
    assert one.style() == asked
    assert asked != two.style(), "stage two trains the caption"
    assert one.model == two.model
    assert one.data == two.data


@pytest.mark.parametrize("name", ["racro-3b", "racro-3b-grpo", "racro-7b", "racro-7b-grpo"])
def test_eight_processes_make_the_batches_of_the_racro_paper(name):
    trainer = recipes.load(f"papers/{name}").trainer
    completions = 8 * trainer["per_device_train_batch_size"]
    assert completions * trainer["steps_per_generation"] == 256 * 4
    assert completions * trainer["gradient_accumulation_steps"] == 128 * 4
    paper = {"num_generations": 4, "learning_rate": 1e-6, "beta": 0.001, "max_completion_length": 8192}
    assert {key: trainer[key] for key in paper} == paper


def test_racro_under_mars_asks_as_often_as_racro_and_differs_in_nothing_else():
    plain, anchored = recipes.load("tiny/racro"), recipes.load("tiny/racro-mars")
    assert anchored.method.base == plain.method
    anchors = len(anchored.method.speakers(("rgb", "infrared")))
    assert anchored.trainer["num_generations"] + anchors == plain.trainer["num_generations"]
    changed = [line.split(":")[0] for line in recipes.differences(plain, anchored) if not line.startswith("method")]
    assert changed == ["trainer.num_generations", "trainer.per_device_train_batch_size"]
    for recipe in (plain, anchored):
        assert recipe.trainer["per_device_train_batch_size"] / recipe.trainer["num_generations"] == 16


def test_vision_ekipl_differs_from_grpo_in_method_guests_and_measuring_alone():
    plain, ours = recipes.load("tiny/grpo"), recipes.load("tiny/ekipl")
    assert ours.method.base == plain.method
    changed = {line.split(":")[0].split(".")[0] for line in recipes.differences(plain, ours)}
    assert changed == {"method", "guests", "evaluation"}


@pytest.mark.parametrize("name", ["ekipl-imitation", "ekipl-dapo", "ekipl-mars"])
def test_relatives_of_tiny_ekipl_have_its_guests(name):
    assert recipes.load(f"tiny/{name}").guests == recipes.load("tiny/ekipl").guests


@pytest.mark.parametrize(
    ("name", "rollouts"),
    [("ekipl", 16), ("ekipl-imitation", 16), ("ekipl-double", 32), ("ekipl-dapo", 16), ("ekipl-mars", 14),
     ("mars-transfer", 14)],
)  # fmt: skip
def test_relatives_of_tiny_ekipl_ask_sixteen_questions_a_step(name, rollouts):
    recipe = recipes.load(f"tiny/{name}")
    room = recipe.trainer["num_generations"]
    assert recipe.method.fused_rollouts(room, len(recipe.method.speakers(("rgb", "infrared")))) == rollouts
    assert recipe.trainer["per_device_train_batch_size"] / room == 16


@pytest.mark.parametrize("size", ["2b", "7b"])
@pytest.mark.parametrize("task", ["clevr-math", "geomath", "trance"])
def test_recipes_of_vision_ekipl_are_those_of_reason_rft_with_two_guests(task, size, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where caches go
    for name in ("OPENAI_API_KEY", "GEMINI_API_KEY"):
        monkeypatch.setenv(name, "sk-test")
    path = recipes.find(f"papers/ekipl-{size}-{task}")
    recipe = recipes.load(path)
    assert recipe.model.path == f"Qwen/Qwen2-VL-{size.upper()}-Instruct"
    assert (recipe.method.statistics, recipe.method.off_policy.kind) == ("kept", "paper")
    assert len({guest.endpoint.url for guest in recipe.guests.from_}) == 2
    # Google's server answers a request that names a seed with 400.
    with closing(recipe.guests.open()) as guests:
        seeds = {guest.name: guest.endpoint.settings.seed for guest in guests}
    assert seeds == {"gpt-4o": 0, "gemini-1.5-pro": None}
    trainer = recipe.trainer
    completions = 8 * trainer["per_device_train_batch_size"] * trainer["gradient_accumulation_steps"]
    assert completions / trainer["num_generations"] == 16
    told = {"num_generations": 8, "temperature": 1.0, "learning_rate": 1e-6, "beta": 0.04, "max_completion_length": 512}
    assert {key: trainer[key] for key in told} == told
    assert recipe.model.processor == {"max_pixels": 480_000}
    # What the header says of other domains can be asked for, and is neither trained on nor the test in the domain.
    specs = [recipes.DataSpec.parse(spec) for spec in re.findall(r"--data '(.*?)'", path.read_text(encoding="utf-8"))]
    assert {spec.split for spec in specs} <= {"test-ood", "test-ood-left", "test-ood-right"}
    assert len(specs) == (2 if task == "trance" else 1)
    assert {tuple(spec.tasks) for spec in (*specs, recipe.data.train, recipe.data.test)} == {tuple(specs[0].tasks)}
    assert (recipe.data.train.split, recipe.data.test.split) == ("train", "test")


def test_recipes_are_shipped():
    assert "mars" in {path.stem for path in SHIPPED}


def test_the_trainers_configuration_comes_without_warnings(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        args = grpo_config({"bf16": False, "use_cpu": True, "gradient_checkpointing": False}, tmp_path, 3)
    assert args.gradient_checkpointing is False


def test_a_recipe_is_read_as_it_is_written(small):
    recipe = small(more="trainer: {learning_rate: 1e-6, beta: 0.04, max_steps: 3}\nprompt: {mono: drop}")
    assert isinstance(recipe.method, Mars) and isinstance(recipe.method.base, Dapo)
    assert (recipe.data.train.name, recipe.data.train.n, recipe.data.test) == ("night", 8, None)
    assert recipe.trainer == {"learning_rate": 1e-6, "beta": 0.04, "max_steps": 3}
    assert recipe.prompt.mono == "drop"
    assert small().method.base.epsilon_high == Dapo().epsilon_high


@pytest.mark.parametrize(
    ("text", "value"),
    [("1e-6", 1e-6), ("1E5", 1e5), ("-2.e3", -2e3), ("1.5e-4", 1.5e-4), ("'1e-6'", 1e-6), ('"0.5"', 0.5)],
)
def test_numbers_are_numbers_however_they_are_written(text, value, small):
    """YAML 1.1 takes 1e-6 for a text, and TRL would keep that text as the learning rate."""
    rate = small(f"trainer.learning_rate={text}").trainer["learning_rate"]
    assert (rate, type(rate)) == (value, float)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("foo=1", r"^  foo: no such key \(its value is 1\); there are engine, seed, .*trainer"),
        ("model.pth=x", r"model\.pth: no such key .*did you mean 'path'"),
        ("data.tset=night", r"data\.tset: no such key .*did you mean 'test'"),
        ("method.wieght=2", r"method\.wieght: no such key .*did you mean 'weight'"),
        ("method.base.epsilon_hihg=2", r"method\.base\.epsilon_hihg: no such key .*did you mean 'epsilon_high'"),
        ("prompt.monos=fill", r"prompt\.monos: no such key .*did you mean 'mono'"),
        ("evaluation.batchsize=3", r"evaluation\.batchsize: no such key .*did you mean 'batch_size'"),
        (
            "trainer.learning_rat=3",
            r"trainer\.learning_rat: GRPOConfig has no such setting; did you mean 'learning_rate'",
        ),
        ("method.name=marz", r"method\.name: no method is called 'marz'; did you mean 'mars'"),
        (
            "method.base.name=mars",
            r"method\.base\.name: 'mars' cannot stand under another method; grpo, dapo, racro can",
        ),
        ("method={name: ekpil}", r"method\.name: no method is called 'ekpil'; did you mean 'ekipl'"),
        ("method={name: ekipl, tie: policy}", r"method\.tie: no such key .*did you mean 'ties'"),
        ("method={name: ekipl, ratio: {gama: 1}}", r"method\.ratio\.gama: no such key .*did you mean 'gamma'"),
        (
            "method={name: ekipl, base: {name: ekipl}}",
            r"method\.base\.name: 'ekipl' cannot stand under another method; grpo, dapo, mars, racro can",
        ),
        (
            "method={name: ekipl, base: {name: mars, base: {name: dapo, epsilon_hihg: 1}}}",
            r"method\.base\.base\.epsilon_hihg: no such key .*did you mean 'epsilon_high'",
        ),
        ("data.train=nigth", r"data\.train: no data set is called 'nigth'; did you mean 'night'"),
        ("data.train={n: 3}", r"data\.train: a data set needs a name, one of .*night"),
        ("data.train='night?spl=3'", r"data\.train: data set 'night': no key 'spl'; the keys are .*split"),
    ],
)
def test_an_unknown_key_names_itself_and_the_nearest_known_one(override, message, small):
    with pytest.raises(ConfigError, match="(?m)" + message):
        small(override)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("seed=1.5", "seed: must be a whole number, got 1.5"),
        ("seed=-1", "seed: must be greater than or equal to 0, got -1"),
        ("model.path=null", "model.path: must be a text, got None"),
        ("model.dtype=fp8", "model.dtype: must be 'auto', 'float32', 'bfloat16' or 'float16', got 'fp8'"),
        ("model.lora=3", "model.lora: must be a mapping of settings, got 3"),
        ("method=grpo", "method: must be a mapping such as {name: grpo}, got 'grpo'"),
        ("method={}", "method: a method needs a name, one of grpo, dapo, mars"),
        ("method.weight=heavy", "method.weight: must be a number, got 'heavy'"),
        ("method.eps=.inf", "method.eps: must be a finite number, got inf"),
        ("method.shuffled=maybe", "method.shuffled: must be true or false, got 'maybe'"),
        ("method.sources=rgb", "method.sources: must be a list, got 'rgb'"),
        ("method.sources=[a, a]", "method.sources: a source is named twice in a, a"),
        (
            "method={name: ekipl, ratio: shape}",
            "method.ratio.kind: must be 'paper', 'imitation', 'shaped' or 'behaviour'",
        ),
        ("method={name: ekipl, ratio: 3}", "method.ratio: must be a mapping of settings, got 3"),
        ("method={name: ekipl, ratio: {gamma: 1}}", "method.ratio: gamma is 1.0, which only kind 'shaped' uses"),
        (
            "method={name: ekipl, base: {name: mars, weight: -1}}",
            "method.base.weight: must be greater than or equal to 0",
        ),
        ("method={name: mars-transfer, chosen: blind}", "method: chosen is 'blind', so some of the anchors are wrong"),
        ("data=night", "data: must be a mapping of settings, got 'night'"),
        ("prompt.mono=both", "prompt.mono: must be 'fill' or 'drop', got 'both'"),
        ("trainer=3", "trainer: must be a mapping of settings, got 3"),
        ("trainer.max_steps=many", "trainer.max_steps: must be int, got 'many'"),
        ("trainer.beta=[1]", "trainer.beta: must be float, got [1]"),
        ("trainer.generation_kwargs=3", "trainer.generation_kwargs: must be dict or str or null, got 3"),
    ],
)
def test_a_wrong_value_names_key_value_and_what_is_right(override, message, small):
    with pytest.raises(ConfigError) as caught:
        small(override)
    assert message in str(caught.value).splitlines()[1]
    assert len(str(caught.value).splitlines()) == 2, "one line for one mistake"


def test_every_mistake_is_named_at_once(small):
    with pytest.raises(ConfigError) as caught:
        small("seed=x", "foo=1", "prompt.mono=both", "trainer.learning_rat=1")
    lines = str(caught.value).splitlines()
    assert lines[0].endswith("small.yaml:")
    assert sorted(line.split(":")[0].strip() for line in lines[1:]) == [
        "foo", "prompt.mono", "seed", "trainer.learning_rat",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("key", "where"),
    [("seed", "recipe's own 'seed'"), ("output_dir", "own folder"), ("resume_from_checkpoint", "--resume"),
     ("model_init_kwargs", "section 'model'")],
)  # fmt: skip
def test_what_is_set_elsewhere_says_where(key, where, small):
    with pytest.raises(ConfigError, match=rf"trainer\.{key}: not set here; .*{where}"):
        small(f"trainer.{key}=3")


@pytest.mark.parametrize(
    ("override", "read", "value"),
    [
        ("seed=7", lambda r: r.seed, 7),
        ("threads=null", lambda r: r.threads, None),
        ("method.base.epsilon_high=0.3", lambda r: r.method.base.epsilon_high, 0.3),
        ("method.base.overlong_buffer=null", lambda r: r.method.base.overlong_buffer, None),
        ("method.sources=[rgb, infrared]", lambda r: r.method.sources, ("rgb", "infrared")),
        ("method={name: grpo}", lambda r: r.method, Grpo()),
        ("data.test=night?split=test&n=4", lambda r: str(r.data.test), "night?split=test&n=4"),
        ("trainer.max_steps=5", lambda r: r.trainer, {"max_steps": 5}),
        ("model.lora.r=8", lambda r: r.model.lora, {"r": 8}),
        ("prompt.instruction=a=b", lambda r: r.prompt.instruction, "a=b"),
        ("prompt.system=''", lambda r: r.prompt.system, ""),
    ],
)
def test_set_reaches_every_level(override, read, value, small):
    assert read(small(override)) == value


def test_set_fills_a_section_that_is_empty(small):
    assert small("trainer.max_steps=1", more="trainer:\n").trainer == {"max_steps": 1}


def test_the_last_of_two_overrides_wins(small):
    assert small("seed=1", "seed=2").seed == 2


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("seed", "--set takes key=value, got 'seed'"),
        ("=3", "--set takes key=value, got '=3'"),
        ("seed=[1", "--set seed: '[1' is not a YAML value: "),
        ("seed.x=1", "--set seed.x: seed is 0, which has no settings inside"),
        ("data.train.n=3", "--set data.train.n: data.train is 'night?n=8', which has no settings inside"),
    ],
)
def test_an_override_that_cannot_be_read_says_so_on_one_line(override, message, small):
    with pytest.raises(ConfigError) as caught:
        small(override, more="seed: 0")
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a: [1", "is not YAML"),
        ("- a\n- b", "must hold a mapping of settings, got list"),
        ("", "must hold a mapping of settings, got NoneType"),
        ("seed: 1\nseed: 2", "'seed' is given twice"),
        ("trainer: {beta: 1, beta: 2}", "'beta' is given twice"),
        ("!!python/object/apply:os.system [ls]", "is not YAML"),
    ],
)
def test_a_file_that_is_no_recipe_is_refused(content, message, tmp_path):
    path = tmp_path / "odd.yaml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError, match=message) as caught:
        recipes.load(path)
    assert "odd.yaml" in str(caught.value)


def test_bytes_that_are_no_text_are_refused(tmp_path):
    (tmp_path / "odd.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"odd\.yaml is not YAML"):
        recipes.load(tmp_path / "odd.yaml")


def test_what_a_recipe_needs_is_named(tmp_path):
    (tmp_path / "bare.yaml").write_text("seed: 1", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"model: missing\n  method: missing\n  data: missing"):
        recipes.load(tmp_path / "bare.yaml")


@pytest.mark.parametrize("name", ["tiny/mars", "tiny/mars.yaml", "recipes/tiny/mars.yaml", Path("tiny/mars")])
def test_a_shipped_recipe_is_found_by_name(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert recipes.find(name) == recipes.shipped() / "tiny" / "mars.yaml"


def test_a_recipe_that_does_not_exist_lists_those_that_do(tmp_path):
    with pytest.raises(ConfigError, match=r"no recipe 'tiny/marz': neither a file nor one of .*tiny/mars"):
        recipes.load("tiny/marz")


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: str(p.relative_to(recipes.shipped())))
def test_what_a_run_writes_down_reads_back_as_the_same_recipe(path, tmp_path):
    told = "reasoner.prompts.extractor" if recipes.load(path).reasoner else "prompt.system"
    recipe = recipes.load(path, ["seed=5", f"{told}='Ünïcode: yes\n1e5'", "model.path='1e5'"])
    written = tmp_path / "recipe.yaml"
    written.write_text(recipes.dump(recipe), encoding="utf-8")
    again = recipes.load(written)
    assert recipes.differences(recipe, again) == []
    assert again.model_copy(update={"environment": None}) == recipe
    assert {"python", "torch", "trl", "vantage-rl"} <= set(again.environment)
    # Nothing is left to a default of another version.
    assert set(yaml.safe_load(written.read_text(encoding="utf-8"))) == set(recipes.Recipe.model_fields)


def test_a_reasoner_is_a_line_or_settings_and_brings_the_instructions():
    told = "reasoner={endpoint: 'http://127.0.0.1:8000/v1#some-model', others: [tiny-reader]}"
    recipe = recipes.load("tiny/mars", [told])
    assert (recipe.reasoner.endpoint.url, recipe.reasoner.endpoint.model) == ("http://127.0.0.1:8000/v1", "some-model")
    assert recipe.reasoner.others[0].model == "tiny-reader"
    assert recipe.style().system == recipe.reasoner.prompts.extractor
    with pytest.raises(ConfigError, match=r"reasoner\.prompts\.extractor"):
        recipes.load("tiny/mars", [told, "prompt.system=Hi"])
    with pytest.raises(ConfigError, match="must not hold a user or a password"):
        recipes.load("tiny/mars", ["reasoner={endpoint: 'http://me:secret@host/v1'}"])


def test_differences_name_each_setting(small):
    old = small("trainer.max_steps=3")
    new = small("seed=2", "method.base.name=grpo", "trainer.beta=0.1")
    lines = recipes.differences(old, new)
    assert "seed: 0, now 2" in lines
    assert "method.base.name: dapo, now grpo" in lines
    assert "method.base.epsilon_high: 0.28, now unset" in lines
    assert "trainer.max_steps: 3, now unset" in lines
    assert "trainer.beta: unset, now 0.1" in lines
    assert not any(line.startswith(("model", "data", "prompt")) for line in lines)
    assert recipes.differences(old, old) == []


def test_of_guests_only_what_differs_is_told():
    def with_guests(*guests):
        return recipes.load("tiny/ekipl", [f"guests.from=[{', '.join(guests)}]"])

    old = with_guests("{oracle: 0.5}", "{model: tiny, n: 2}")
    assert recipes.differences(old, with_guests("{oracle: 0.5}", "{model: tiny-guest, n: 2}")) == [
        "guests.from.1.model: tiny, now tiny-guest"
    ]
    (line,) = recipes.differences(old, with_guests("{oracle: 0.5}"))
    assert line.startswith("guests.from.1: {") and line.endswith("}, now unset") and "None" not in line


def test_every_method_can_stand_in_a_recipe(small):
    for method in METHODS:
        assert small(f"method={{name: {method().name}}}").method == method()


@pytest.mark.parametrize("spec", ["night?split=test&n=5", "depth?n=3&mix=easy&tasks=touch", "jsonl:{rows}"])
def test_the_data_of_a_recipe_that_a_run_wrote_down_load_again(spec, tmp_path):
    picture = tmp_path / "a.png"
    Image.new("RGB", (8, 8)).save(picture)
    row = {"id": "r", "question": "?", "sources": {"a": "a.png", "b": "a.png"}, "truth": "1", "reward": "answer"}
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    recipe = recipes.load("tiny/mars", [f"data.train={spec.format(rows=tmp_path / 'rows.jsonl')}", "data.test=null"])
    written = tmp_path / "recipe.yaml"
    written.write_text(recipes.dump(recipe), encoding="utf-8")
    again = recipes.load(written)
    assert recipes.differences(recipe, again) == []
    assert [s.id for s in datasets.load(again.data.train)] == [s.id for s in datasets.load(recipe.data.train)]


def test_off_is_a_word_and_yes_is_still_a_yes(small):
    """YAML 1.1 takes off for false, which is no way to share prompts."""
    recipe = small("data.decode=on", more="sharing: off\ntrainer: {bf16: no, log_completions: yes}")
    assert small("sharing=off").sharing == recipe.sharing == "off" and recipe.data.decode is True
    assert (recipe.trainer["bf16"], recipe.trainer["log_completions"]) == (False, True)
    assert recipes.parse(yaml12.read(yaml12.write(recipe.model_dump(mode="json")))) == recipe

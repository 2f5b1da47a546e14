import json
from types import SimpleNamespace

import pytest

from vantage.engines.trl import checkpoints
from vantage.engines.trl.checkpoints import complete, last_complete, require_space, save_whole
from vantage.errors import CheckpointError

MAIN = SimpleNamespace(is_main_process=True)


def write(folder, step, state=True):
    target = folder / f"checkpoint-{step}"
    target.mkdir(parents=True, exist_ok=True)
    (target / "model.safetensors").write_bytes(b"weights")
    if state:
        (target / "trainer_state.json").write_text(json.dumps({"global_step": step}), encoding="utf-8")
    return target


@pytest.mark.parametrize("state", ["", '{"global_st', "[]", "{}", '{"global_step": null}', "\x00"])
def test_a_checkpoint_without_a_readable_state_is_not_complete(state, tmp_path):
    target = write(tmp_path, 1)
    assert complete(target)
    (target / "trainer_state.json").write_text(state, encoding="utf-8")
    assert not complete(target)
    assert not complete(tmp_path / "none")


def test_the_last_complete_one_is_the_highest_step_and_not_the_last_name(tmp_path):
    for step in (9, 10, 100):
        write(tmp_path, step)
    write(tmp_path, 200, state=False)
    (tmp_path / "checkpoint-best").mkdir()
    assert last_complete(tmp_path).name == "checkpoint-100"
    assert last_complete(tmp_path / "none") is None


def test_a_save_that_works_is_left_alone(tmp_path):
    with save_whole(tmp_path, 1, MAIN):
        write(tmp_path, 1)
    assert complete(tmp_path / "checkpoint-1")


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), RuntimeError("PytorchStreamWriter failed")])
def test_a_save_that_fails_is_removed_and_says_what_is_left(error, tmp_path):
    def save(step):
        with save_whole(tmp_path, step, MAIN):
            write(tmp_path, step, state=False)
            raise error

    with pytest.raises(CheckpointError, match=r"checkpoint-1 \(\d+ MiB free\).*there is no earlier one"):
        save(1)
    write(tmp_path, 1)
    with pytest.raises(CheckpointError, match=r"the last whole one is .*checkpoint-1") as caught:
        save(2)
    assert caught.value.__cause__ is error
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint-1"]


def test_a_whole_checkpoint_of_that_step_survives_a_second_save_that_fails(tmp_path):
    write(tmp_path, 1)
    with pytest.raises(CheckpointError), save_whole(tmp_path, 1, MAIN):
        raise OSError(28, "No space left on device")
    assert complete(tmp_path / "checkpoint-1")


def test_an_interruption_is_no_failed_save(tmp_path):
    with pytest.raises(KeyboardInterrupt), save_whole(tmp_path, 1, MAIN):
        raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("free", "trainable", "fits"),
    [(300, 100, True), (299, 100, False), (100, 0, True), (99, 0, False), (102, 1, True), (101, 1, False)],
)
def test_a_checkpoint_is_weights_and_two_moments_of_what_is_trained(free, trainable, fits, tmp_path, monkeypatch):
    usage = SimpleNamespace(free=free * 2**20)
    monkeypatch.setattr(checkpoints.shutil, "disk_usage", lambda _: usage)
    need = 100 + 2 * trainable
    if fits:
        require_space(tmp_path, 100 * 2**20, trainable * 2**20)
        return
    with pytest.raises(CheckpointError, match=rf"about {need} MiB and .* has {free} MiB free"):
        require_space(tmp_path, 100 * 2**20, trainable * 2**20)

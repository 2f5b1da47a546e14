"""A run's folder: what one experiment was asked to do, what it did, and where it stands.

runs/<name>/
recipe.yaml      every setting, the versions and the seed
metrics.jsonl    a line a step
rollouts.jsonl   a line a group: every member with origin, text, reward parts, advantage, picture references
checkpoints/     checkpoint-<step>/, and model/ once the run is done
before.json, after.json          evaluations, and each answer in before.jsonl, after.jsonl
change.json      what training changed, question by question, as 'vantage compare' writes it
passk_before.json, passk_after.json   the same of answers that were drawn, where the recipe asks for them
curves.png, passk.png, guests.png, summary.json
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from vantage import recipes
from vantage.errors import ConfigError
from vantage.files import write_text
from vantage.recipes import Recipe

RUNS = Path("runs")
"""Where runs go, below the working directory."""


@dataclass(frozen=True, slots=True)
class Run:
    """The files of a run."""

    folder: Path

    @property
    def recipe(self) -> Path:
        """Every setting, the versions and the seed."""
        return self.folder / "recipe.yaml"

    @property
    def metrics(self) -> Path:
        """A line a step."""
        return self.folder / "metrics.jsonl"

    @property
    def rollouts(self) -> Path:
        """A line a group."""
        return self.folder / "rollouts.jsonl"

    @property
    def checkpoints(self) -> Path:
        """One folder a checkpoint."""
        return self.folder / "checkpoints"

    @property
    def model(self) -> Path:
        """The trained model, once the run is done."""
        return self.folder / "model"

    @property
    def replies(self) -> Path:
        """What servers replied, so that a resumed run repeats it and pays for nothing twice."""
        return self.folder / "replies.sqlite"

    @property
    def curves(self) -> Path:
        """The figures of ``metrics`` as a picture."""
        return self.folder / "curves.png"

    @property
    def summary(self) -> Path:
        """Before and after, steps, seconds, memory."""
        return self.folder / "summary.json"

    def evaluation(self, moment: str) -> Path:
        """The evaluation ``before`` or ``after`` training."""
        return self.folder / f"{moment}.json"

    def reasoners(self, moment: str) -> Path:
        """Evaluations of every reasoner at that moment, of a run with reasoners."""
        return self.folder / f"{moment}_reasoners.json"

    def answers(self, moment: str) -> Path:
        """Each answer of that evaluation."""
        return self.folder / f"{moment}.jsonl"

    @property
    def change(self) -> Path:
        """The comparison of the evaluations before and after training, of the same questions."""
        return self.folder / "change.json"

    def passk(self, moment: str) -> Path:
        """The evaluation of sampled answers at that moment, of a recipe that asks for it."""
        return self.folder / f"passk_{moment}.json"

    def passk_answers(self, moment: str) -> Path:
        """Each answer of that evaluation."""
        return self.folder / f"passk_{moment}.jsonl"

    @property
    def passk_curves(self) -> Path:
        """Both evaluations of sampled answers as a picture."""
        return self.folder / "passk.png"

    @property
    def guests(self) -> Path:
        """Share and reward of guests as a picture, of a run with guests."""
        return self.folder / "guests.png"


def start(name: str, recipe: Recipe, root: Path = RUNS) -> Run:
    """A new run's folder, with its recipe.

    Raises:
        ConfigError: a run of that name exists, or the name is no plain one.
    """
    run = Run(root / _plain(name))
    if run.recipe.exists():
        raise ConfigError(
            f"{run.folder} exists already; go on with --resume, choose another --name, or remove the folder"
        )
    try:
        run.folder.mkdir(parents=True, exist_ok=True)
        write_text(run.recipe, recipes.dump(recipe))
    except OSError as error:
        raise ConfigError(f"{run.folder}: a run cannot be written there ({error.strerror})") from error
    return run


def abandon(run: Run) -> None:
    """Remove the folder of a run that ended before it made anything, so that the next try may have its name."""
    if run.checkpoints.is_dir() and not any(run.checkpoints.iterdir()):
        run.checkpoints.rmdir()
    files = list(run.folder.iterdir())
    of_replies = [path for path in files if path.name.startswith(run.replies.name)]  # SQLite's own beside it
    if len(files) == len(of_replies) + 1 and run.recipe in files and not _replied(run):
        for path in (*of_replies, run.recipe):
            path.unlink(missing_ok=True)
        run.folder.rmdir()


def _replied(run: Run) -> bool:
    if not run.replies.exists():
        return False
    from vantage.endpoints.cache import Cache

    with closing(Cache(run.replies)) as kept:
        return len(kept) > 0


def resume(name: str, recipe: Recipe, root: Path = RUNS) -> Run:
    """The folder of a run that goes on.

    Raises:
        ConfigError: there is none of that name, or its recipe was another one; names the settings that differ.
    """
    run = Run(root / _plain(name))
    if not run.recipe.is_file():
        raise ConfigError(f"nothing to resume: {run.recipe} does not exist")
    changed = recipes.differences(recipes.load(run.recipe), recipe)
    if changed:
        listed = "\n".join(f"  {line}" for line in changed)
        raise ConfigError(f"{run.folder} was started with other settings, so it cannot go on exactly:\n{listed}")
    return run


def free_name(name: str, root: Path = RUNS) -> str:
    """``name``, or the first of ``name-2``, ``name-3``... that no run has."""
    taken = {path.name for path in root.iterdir()} if root.is_dir() else set()
    names = [name, *(f"{name}-{i}" for i in range(2, len(taken) + 3))]
    return next(candidate for candidate in names if candidate not in taken)


def _plain(name: str) -> str:
    if not name or name in (".", "..") or any(c in name for c in "/\\\0"):
        raise ConfigError(f"a run's name is that of a folder, without slashes; got {name!r}")
    return name

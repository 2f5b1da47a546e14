"""``vantage score``: score completions that were made elsewhere."""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer

from vantage.cli.common import Plugins, err, out, writable
from vantage.errors import ConfigError, DataError

if TYPE_CHECKING:
    from vantage.rewards.offline import Tally

_PIPE = Path("-")


def score(
    source: Annotated[Path, typer.Option("--input", help="JSON lines with completion and answer; - is stdin.")],
    output: Annotated[Path, typer.Option(help="Where the scored lines go; - is stdout.")],
    reward: Annotated[str | None, typer.Option(help="Name of the reward; the rows name their own without it.")] = None,
    prefix: Annotated[str, typer.Option(help="Put this before the names of the new columns.")] = "",
    plugin: Plugins = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the output where there is one.")] = False,
) -> None:
    """Score a file of completions, line by line, with the reward of training."""
    from vantage import plugins, rewards
    from vantage.files import write_lines
    from vantage.progress import progress
    from vantage.rewards.offline import Tally

    # What a typing error can spoil comes before what takes long.
    plugins.load(plugin or ())
    if reward is not None:
        rewards.get(reward)
    _apart(source, output)
    if output.is_file() and not overwrite:  # a device or a pipe is written to
        raise ConfigError(f"--output {output}: exists already; choose another file, or replace it with --overwrite")
    tally, start = Tally(), time.perf_counter()
    name = "<stdin>" if source == _PIPE else str(source)
    with _opened(source) as file, progress(err, "score (bytes)") as report:
        lines = _scored(file, source, report, reward, {"name": name, "prefix": prefix, "tally": tally})
        if output == _PIPE:
            sys.stdout.buffer.writelines(line + b"\n" for line in lines)
            sys.stdout.buffer.flush()
        else:
            write_lines(output, lines)
    _tell(tally, time.perf_counter() - start, output)
    if tally.unreadable:
        raise typer.Exit(1)


def _apart(source: Path, output: Path) -> None:
    """Refuse to write over what is read, also under the name that the output has until it is whole."""
    if output == _PIPE:
        return
    writable(output)
    for target in (output, output.with_name(output.name + ".partial")):
        if source != _PIPE and source.exists() and target.exists() and source.samefile(target):
            raise ConfigError(f"--output {output}: this would write over the input; choose another file")


def _opened(source: Path) -> BinaryIO | nullcontext[BinaryIO]:
    if source == _PIPE:
        return nullcontext(sys.stdin.buffer)
    try:
        return source.open("rb")
    except FileNotFoundError as error:
        raise DataError(f"--input {source}: no such file") from error
    except OSError as error:
        raise DataError(f"--input {source}: not a readable file ({error})") from error


def _scored(
    file: BinaryIO,
    source: Path,
    report: Callable[[int, int], None],
    reward: str | None,
    options: dict[str, Any],
) -> Iterator[bytes]:
    """Scored lines; what is reported is how much of the input they are, not how much was read ahead."""
    from vantage.rewards.offline import score_lines

    total = 0 if source == _PIPE else os.fstat(file.fileno()).st_size
    sizes: deque[int] = deque()

    def read() -> Iterator[bytes]:
        for line in file:
            sizes.append(len(line))
            yield line

    done, told = 0, 0.0
    for line in score_lines(read(), reward, **options):
        yield line
        done += sizes.popleft()
        if time.monotonic() - told > 0.1:
            told = time.monotonic()
            report(done, max(total, done))
    report(done, max(total, done))


def _tell(tally: Tally, seconds: float, output: Path) -> None:
    say = err if output == _PIPE else out
    where = "" if output == _PIPE else f": {output}"
    say.print(f"{_rows(tally.rows)} in {seconds:.1f} s ({tally.rows / seconds:.0f} a second){where}", soft_wrap=True)
    if tally.scored:
        margin = tally.margin()
        about = "no interval below 30 rows" if margin is None else f"±{margin:.4f}"
        share, low, high = tally.share()
        say.print(f"mean reward   {tally.mean:.4f} ({about})")
        say.print(f"correct       {share:.4f} ({low:.4f} to {high:.4f}), {tally.correct} of {tally.scored}")
        say.print(f"formatted     {tally.formatted} of {tally.scored}")
        say.print("intervals are 95 %, rows taken as independent")
    if tally.timed_out:
        say.print(f"timed out     {tally.timed_out}")
    unscored = tally.rows - tally.scored - tally.unreadable
    if unscored:
        say.print(f"no reward     {unscored} that the reward could not tell")
    if tally.unreadable:
        err.print(f"{_rows(tally.unreadable)} could not be scored; the reward is null and the error says why:")
        for problem in tally.problems:
            err.print(f"  {problem[:300]}", soft_wrap=True)
        if tally.unreadable > len(tally.problems):
            err.print(f"  ... and {tally.unreadable - len(tally.problems)} more; the column error has them all")


def _rows(n: int) -> str:
    return "1 row" if n == 1 else f"{n} rows"

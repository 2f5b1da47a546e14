"""``clevr-math:FOLDER``: CLEVR-Math, how many things are left after some are taken away or added.

Lindström and Abraham, "CLEVR-Math: A Dataset for Compositional Language, Visual and Mathematical Reasoning", NeSy 2022
(arXiv 2208.05358). From the hub (``dali-does/clevr-math``), in one of two forms:

- its archives unpacked: ``clevr-math-{train,val,test}.json``, also below ``data/``, ``clevr-math/`` or ``multi-hop/``;
  pictures are those of CLEVR, ``CLEVR_v1.0/images/<split>/<image_filename>`` (also ``images/<split>/``, ``<split>/`` or
  the name alone), the test split's from an archive of its own. ``{"questions": [{"question", "answer",
  "image_filename", "split", "template_filename", ...}]}``;
- Parquet with the pictures inside, of the folder given or its ``general``: columns ``template``, ``id``, ``question``,
  ``image``, ``label``.

``path`` may also be one such file. Source: ``image``. Truth: a whole number; reward ``count``. Splits: ``train``,
``val``, ``test``. ``tasks`` keeps templates: ``addition``, ``subtraction``, ``subtraction-multihop``, ``adversarial``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from vantage.datasets.places import embedded, find, known, parquet_files, question_file, root_of, row_id
from vantage.datasets.reading import RawRow, field, need_path, read_rows, text_field
from vantage.datasets.spec import DataSpec
from vantage.errors import DataError
from vantage.pictures import Source
from vantage.samples import Sample

KEYS = frozenset({"path", "split", "root", "tasks", "reward"})

SPLITS = ("train", "val", "test")
TASKS = ("addition", "subtraction", "subtraction-multihop", "adversarial")


def rows(spec: DataSpec) -> Iterator[RawRow]:
    """Every row of the split whose template is asked for.

    Raises:
        ConfigError: no path, or a split or template that does not exist.
        DataError: no question file, or no row of these templates.
    """
    path = need_path(spec, "clevr-math:/data/clevr-math?split=train")
    known(spec.name, "split", [spec.split], SPLITS)
    kept = known(spec.name, "tasks", spec.tasks, TASKS)
    # The hub's own conversion says validation.
    words = ("val", "validation") if spec.split == "val" else (spec.split,)
    places = ("{}-*.parquet", "{}/*.parquet", "general/{}/*.parquet", "data/{}-*.parquet")
    files = parquet_files(path, [place.format(word) for word in words for place in places])
    if not files:
        name = f"clevr-math-{spec.split}.json"
        names = (name, f"data/{name}", f"clevr-math/{name}", f"data/clevr-math/{name}", f"multi-hop/{name}")
        files = [question_file(path, names, f"the questions of split {spec.split!r}")]
    found = False
    for file in files:
        for where, row in read_rows(file, key="questions"):
            if spec.tasks is None or not isinstance(row, dict) or _template(row) in (None, *kept):
                found = True
                yield where, row
    if not found:
        raise DataError(f"{', '.join(map(str, files))}: no rows of {', '.join(kept)}")


def sample(row: Any, where: str, spec: DataSpec) -> Sample:
    """The sample of one row of either form."""
    question = text_field(row, "question", where)
    encoded = "label" in row
    truth = field(row, "label" if encoded else "answer", int, where)
    template = _template(row)
    if template is None:
        raise DataError(f"{where}: key {'template' if encoded else 'template_filename'!r} is missing or no text")
    if encoded:
        source, file = embedded(row, "image", where), text_field(row, "id", where)
    else:
        file = text_field(row, "image_filename", where)
        folder = field(row, "split", str, where, spec.split)
        names = (f"CLEVR_v1.0/images/{folder}/{file}", f"images/{folder}/{file}", f"{folder}/{file}", file)
        source = Source(find(root_of(spec), names, where))
    return Sample(
        id=f"clevr-math/{spec.split}/{row_id(where)}",
        question=question,
        sources={"image": source},
        truth=truth,
        reward=spec.reward or "count",
        metadata={"template": template, "image": file},
    )


def _template(row: dict[str, Any]) -> str | None:
    name = row.get("template", row.get("template_filename"))
    return name.removesuffix(".json") if isinstance(name, str) and name.strip() else None

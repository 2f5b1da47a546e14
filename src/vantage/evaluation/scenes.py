"""Which questions are about the same scene."""

from __future__ import annotations

import json

from vantage.samples import Sample

KEYS = ("scene", "group")
"""Metadata that names a scene, the first of them that a sample has."""
_NAMELESS = "<picture in memory>"


def scene_of(sample: Sample) -> str:
    """A name that is equal for questions about one scene.

    It is what ``metadata["scene"]`` or ``metadata["group"]`` says; else the references of all its pictures, since the
    same pictures are the same scene; else, of pictures without a name, the sample's id.
    """
    for key in KEYS:
        named = sample.metadata.get(key)
        if isinstance(named, (str, int)) and not isinstance(named, bool) and str(named).strip():
            return f"{key}:{named}"
    refs = [source.ref for source in sample.sources.values()]
    return f"id:{sample.id}" if _NAMELESS in refs else "pictures:" + json.dumps(refs, ensure_ascii=False)

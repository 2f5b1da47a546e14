"""YAML as people write settings: as in YAML 1.2, 1e-6 is a number and off a word; a key given twice is an error."""

from __future__ import annotations

import re
from typing import Any

import yaml


def read(text: str) -> Any:
    """The one document of a text, plain values only.

    Raises:
        yaml.YAMLError: no YAML, or a key that is given twice in a mapping.
    """
    return yaml.load(text, Loader=_Loader)  # noqa: S506  # a safe loader


def write(content: Any) -> str:
    """A text that ``read`` reads as the same values, keys in their order."""
    return str(yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True))


class _Loader(yaml.SafeLoader):
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} is given twice", key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep)


class _Dumper(yaml.SafeDumper):
    """Quotes a text that ``_Loader`` would read as a number."""


for _yaml in (_Loader, _Dumper):  # beside YAML 1.1's floats, which need a dot and a sign
    _yaml.add_implicit_resolver(
        "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
    )

# Beside true and false YAML 1.1 takes yes, no, on and off for truth values, whatever they are meant to say.
_Loader.yaml_implicit_resolvers = {
    first: [(tag, form) for tag, form in known if first not in "yYnNoO" or tag != "tag:yaml.org,2002:bool"]
    for first, known in _Loader.yaml_implicit_resolvers.items()
}

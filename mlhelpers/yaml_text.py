"""Plain data as YAML that is read by people: requests, resources.

Imports nothing of the project.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import yaml

__all__ = ["yaml_text"]


def yaml_text(data: object) -> str:
    """Return plain data as YAML, its keys in the order that they have.

    A text of several lines stands there line by line. A list that holds such a text is written once, and where the very
    same list comes again a YAML alias stands for it, as in a request that starts all its machines with one program.

    Args:
        data: Mappings, lists, texts, numbers, booleans and None.
    """
    import yaml

    class Dumper(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:
            return not (isinstance(data, list) and any(_has_lines(one) for one in data))

    def text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if _has_lines(value) else None)

    Dumper.add_representer(str, text)
    return str(yaml.dump(data, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=110))


def _has_lines(value: object) -> bool:
    return isinstance(value, str) and "\n" in value

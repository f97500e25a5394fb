"""YAML whose values stay as they are written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from prodsim.plugin.errors import CatalogError

from .items import find_list, rows_of
from .source import SourceRow, read_text

DEPTH_LIMIT = 100  # libyaml's Python binding overflows the stack, and ends the process, at some ten thousand levels
KEPT_TAGS = ("tag:yaml.org,2002:null", "tag:yaml.org,2002:merge")


class AsWritten(yaml.CSafeLoader):
    """Reads every unquoted value but null as text.

    YAML 1.1 would read the SKU 0123 as 83, the column name `no` as false and 12:30 as 750.
    """

    yaml_implicit_resolvers = {  # noqa: RUF012  declared so by PyYAML
        first: [(tag, pattern) for tag, pattern in resolvers if tag in KEPT_TAGS]
        for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
    }


class NamesOnce(AsWritten):
    """As written, and refuses a mapping that gives a name twice, where YAML would take the last."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.value != "<<"]
        if len(names) != len(set(names)):
            name = next(name for name in names if names.count(name) > 1)
            raise yaml.MarkedYAMLError(None, None, f"{name!r} is given twice", node.start_mark)
        return super().construct_mapping(node, deep)


def load_yaml(path: Path, loader: type[AsWritten] = AsWritten) -> Any:
    """The file's one document, with text for every scalar but null.

    Raises:
        CatalogError: the file can't be read, is not UTF-8 or not YAML, or holds several documents.
    """
    text = read_text(path)
    try:
        check_depth(path, text)
        return yaml.load(text, Loader=loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{path} line {mark.line + 1}" if mark else str(path)
        reasons = (error.context, error.problem)
        raise CatalogError(f"{place} is not valid YAML: {', '.join(filter(None, reasons))}") from None
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise CatalogError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None


def check_depth(path: Path, text: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=AsWritten):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > DEPTH_LIMIT:
                raise CatalogError(f"{path} is nested more than {DEPTH_LIMIT} levels deep")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def read_yaml(path: Path) -> Iterator[SourceRow]:
    """The mappings of the file's list, or of the one list in the file's mapping; read whole.

    Raises:
        CatalogError: as `load_yaml`, or the file holds no list or several.
    """
    content = load_yaml(path)
    return iter(()) if content is None else rows_of(find_list(path, content))

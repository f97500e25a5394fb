"""YAML whose values stay as they are written."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain, count
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import yaml
from yaml.composer import Composer

from prodsim.plugin.errors import CatalogError

from .encoding import Encoding, label, open_utf8
from .items import TEXT_LIMIT, as_row, kind_of
from .source import ROW_LIMIT_BYTES, Input, SourceRow, read_text

DEPTH_LIMIT = 100  # a composer that calls itself would end the process at some ten thousand levels
MERGED_LIMIT = 10_000  # names that merges may bring into one mapping: merges of merges multiply
LIMIT = f"{ROW_LIMIT_BYTES >> 20} MiB"
KEPT_TAGS = ("tag:yaml.org,2002:null", "tag:yaml.org,2002:merge")
MERGE_TAG = "tag:yaml.org,2002:merge"
REPLACEMENT = "\ufffd"
UNACCEPTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
BROKEN = (yaml.YAMLError, ValueError, TypeError, RecursionError)


class AsWritten(yaml.CSafeLoader):
    """Reads every unquoted value but null as text.

    YAML 1.1 would read the SKU 0123 as 83, the column name `no` as false and 12:30 as 750.
    """

    yaml_implicit_resolvers = {  # noqa: RUF012  declared so by PyYAML
        first: [(tag, pattern) for tag, pattern in resolvers if tag in KEPT_TAGS]
        for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
    }

    def flatten_mapping(self, node: Any) -> None:
        merged = [value for key, value in node.value if key.tag == MERGE_TAG]
        lists = [value.value if isinstance(value, yaml.SequenceNode) else [value] for value in merged]
        names = len(node.value)
        for part in chain.from_iterable(lists):
            if isinstance(part, yaml.MappingNode):
                self.flatten_mapping(part)
                names += len(part.value)
            if names > MERGED_LIMIT:
                problem = f"merges bring more than {MERGED_LIMIT:,} names together"
                raise yaml.MarkedYAMLError(None, None, problem, node.start_mark)
        super().flatten_mapping(node)


class NamesOnce(AsWritten):
    """As written, and refuses a mapping that gives a name twice, where YAML would take the last."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.value != "<<"]
        if len(names) != len(set(names)):
            name = next(name for name in names if names.count(name) > 1)
            raise yaml.MarkedYAMLError(None, None, f"{name!r} is given twice", node.start_mark)
        return super().construct_mapping(node, deep)


class OneByOne(Composer, AsWritten):
    """Composes the nodes of a list one by one from the parser's events, where PyYAML's own loaders hold them all.

    `size` is how many characters the scalars of the last one have, `unreadable` the last of them with a U+FFFD.
    """

    def __init__(self, stream: Any) -> None:
        AsWritten.__init__(self, stream)
        Composer.__init__(self)
        self._depth = 0
        self.size = 0
        self.unreadable = ""

    def next_node(self) -> Any:
        self.size = 0
        self.unreadable = ""
        return self.compose_node(None, None)

    def compose_node(self, parent: Any, index: Any) -> Any:
        self._depth += 1
        if self._depth > DEPTH_LIMIT:
            problem = f"nested more than {DEPTH_LIMIT} levels deep"
            refuse_at(self.peek_event(), problem)
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def compose_scalar_node(self, anchor: Any) -> Any:
        node = super().compose_scalar_node(anchor)
        self.size += len(node.value)
        if REPLACEMENT in node.value:
            self.unreadable = node.value
        return node

    def construct(self, node: Any) -> Any:
        """The node's value; a failure leaves nothing behind that the next node would trip over."""
        try:
            return self.construct_document(node)
        finally:
            self.state_generators: list[Any] = []
            self.constructed_objects: dict[Any, Any] = {}
            self.recursive_objects: dict[Any, Any] = {}
            self.deep_construct = False


class Characters:
    """A stream of UTF-8 as the text that YAML's parser takes in.

    What is no UTF-8, or not allowed in YAML, becomes U+FFFD, so that it costs its row only; `replaced` tells of it.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._text = io.TextIOWrapper(stream, encoding="utf-8", errors="surrogateescape", newline="")
        self.replaced = False

    def read(self, size: int) -> str:
        text = self._text.read(size)
        if UNACCEPTABLE.search(text):
            self.replaced = True
            return UNACCEPTABLE.sub(REPLACEMENT, text)
        return text


def load_yaml(path: Path, loader: type[AsWritten] = AsWritten) -> Any:
    """The file's one document, with text for every scalar but null.

    Raises:
        CatalogError: the file can't be read, is not UTF-8 or not YAML, or holds several documents.
    """
    text = read_text(path)
    try:
        check_depth(path, text)
        return yaml.load(text, Loader=loader)
    except BROKEN as error:
        refuse(str(path), error)


def check_depth(path: Path, text: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=AsWritten):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > DEPTH_LIMIT:
                raise CatalogError(f"{path} is nested more than {DEPTH_LIMIT} levels deep")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def refuse(name: str, error: Exception) -> NoReturn:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    place = f"{name} line {mark.line + 1}" if mark else name
    raise CatalogError(f"{place} is not valid YAML: {reason(error)}") from None


def refuse_at(event: Any, problem: str) -> NoReturn:
    raise yaml.MarkedYAMLError(None, None, problem, event.start_mark)


def reason(error: Exception) -> str:
    if isinstance(error, yaml.MarkedYAMLError):
        return ", ".join(filter(None, (error.context, error.problem)))
    return " ".join(str(error).split())


def read_yaml(source: Input, encoding: Encoding) -> Iterator[SourceRow]:
    """The mappings of the file's list, or of the one list in the file's mapping, as they are asked for.

    Raises:
        CatalogError: the file can't be read, is not YAML, or holds several documents, no list or several. Of several
            lists, and of what follows the first one, a source that can be read only once tells when it gets there.
    """
    if source.again:
        with open_utf8(source, encoding) as stream, parser(stream, source.name) as (loader, _):
            if starts_with(loader, yaml.MappingStartEvent):
                for _ in lists_of(loader, source.name):
                    skip_list(loader)
    with open_utf8(source, encoding) as stream, parser(stream, source.name) as (loader, characters):
        for _ in lists_of(loader, source.name):
            yield from items(loader, characters, encoding.name)


@contextmanager
def parser(stream: BinaryIO, name: str) -> Iterator[tuple[OneByOne, Characters]]:
    characters = Characters(stream)
    loader = OneByOne(characters)
    try:
        yield loader, characters
    except BROKEN as error:
        refuse(name, error)
    finally:
        loader.dispose()


def starts_with(loader: OneByOne, event: type[yaml.Event]) -> bool:
    """Whether the first document starts with such an event; goes up to it."""
    while loader.check_event(yaml.StreamStartEvent, yaml.DocumentStartEvent):
        loader.get_event()
    return bool(loader.check_event(event))


def lists_of(loader: OneByOne, name: str) -> Iterator[None]:
    """Stops at the start of the document's one list, which has to be read on before going on, and checks the rest.

    Raises:
        CatalogError: there are several lists, or none. MarkedYAMLError: several documents.
    """
    if starts_with(loader, yaml.StreamEndEvent):
        return
    if loader.check_event(yaml.SequenceStartEvent):
        yield
    elif loader.check_event(yaml.MappingStartEvent):
        loader.get_event()
        found: list[str] = []
        while not loader.check_event(yaml.MappingEndEvent):
            key = loader.next_node()
            if loader.check_event(yaml.SequenceStartEvent):
                found.append(str(key.value))
                if len(found) == 1:
                    yield
                else:
                    skip_list(loader)
            else:
                loader.next_node()
        loader.get_event()
        if len(found) > 1:
            raise CatalogError(f"{name} holds several lists ({', '.join(found)}): keep the one of the products")
        if not found:
            raise CatalogError(f"{name} holds one object with no list in it: it should hold a list of products")
    elif (content := loader.construct(loader.next_node())) is not None:
        raise CatalogError(f"{name} holds {kind_of(content)}: it should hold a list of products")
    loader.get_event()
    if not loader.check_event(yaml.StreamEndEvent):
        refuse_at(loader.get_event(), "expected a single document, but another one starts")


def skip_list(loader: OneByOne) -> None:
    depth = 0
    while True:
        event = loader.get_event()
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth == 0:
            return


def items(loader: OneByOne, characters: Characters, encoding: str) -> Iterator[SourceRow]:
    loader.get_event()
    for number in count(1):
        if loader.check_event(yaml.SequenceEndEvent):
            loader.get_event()
            return
        node = loader.next_node()
        problem = None
        if loader.size > ROW_LIMIT_BYTES:
            problem = f"the item has {loader.size:,} characters, and a row may have {LIMIT}: shorten it"
        elif characters.replaced and loader.unreadable:
            at = loader.unreadable.index(REPLACEMENT)
            near = loader.unreadable[max(0, at - 20) : at + 20]
            problem = f"not {label(encoding)}, or a control character, near {near!r}: correct these characters"
        else:
            try:
                value = loader.construct(node)
            except BROKEN as error:
                problem = f"not valid YAML: {reason(error)}"
        yield as_row(number, value) if problem is None else SourceRow(number, {}, problem, shown(node, loader.size))


def shown(node: Any, size: int) -> str | None:
    """The start of the node as YAML, for the rejects file."""
    if size > ROW_LIMIT_BYTES:
        return None
    try:
        return str(yaml.serialize(node, Dumper=yaml.CSafeDumper, allow_unicode=True))[:TEXT_LIMIT]
    except (yaml.YAMLError, RecursionError):
        return None

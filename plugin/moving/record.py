"""What the cluster knows of a move: one document an alias in `.prodsim-operations`."""

from __future__ import annotations

import getpass
import os
import socket
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

from prodsim.mappings.bundle import TextModel

Kind = Literal["reindex", "rollout"]
Phase = Literal[
    "create",  # the target is made
    "backfill",  # everything is copied
    "catch_up",  # what changed meanwhile is copied, until little is left
    "validate",
    "warm_up",
    "ready",  # a rollout rests here until it is promoted; a reindex passes through
    "swap",  # last changes, then the alias moves
    "drain",  # writes that were under way at the swap are carried over
    "done",  # the old index is kept for a rollback
    "back_copy",  # from here on a rollback: the old index gets what the new one got since the swap
    "back_swap",
    "back_drain",
    "rolled_back",
    "abort",
    "aborted",
]
NEXT: dict[Phase, Phase] = {
    "create": "backfill",
    "backfill": "catch_up",
    "catch_up": "validate",
    "validate": "warm_up",
    "warm_up": "ready",
    "ready": "swap",
    "swap": "drain",
    "drain": "done",
    "back_copy": "back_swap",
    "back_swap": "back_drain",
    "back_drain": "rolled_back",
    "abort": "aborted",
}
ENDED: frozenset[Phase] = frozenset({"done", "rolled_back", "aborted"})
BACK: frozenset[Phase] = frozenset({"back_copy", "back_swap", "back_drain", "rolled_back"})
# The alias still points at the old index, and the move can be given up without a trace.
ABORTABLE: frozenset[Phase] = frozenset(
    {"create", "backfill", "catch_up", "validate", "warm_up", "ready", "swap", "abort"}
)


@dataclass(frozen=True)
class Owner:
    """The process that holds the lease. `token` is new for each."""

    host: str
    pid: int
    user: str
    token: str

    @classmethod
    def this_process(cls) -> Owner:
        return cls(socket.gethostname(), os.getpid(), user_name(), uuid.uuid4().hex)

    def __str__(self) -> str:
        return f"{self.user}@{self.host}, process {self.pid}"


@dataclass(frozen=True)
class Tally:
    """Documents of a move so far.

    `copied` were written to the target, of which `embedded` got a vector anew and `unembedded` could get none.
    `removed` were deleted there, `kept` are late writes that lost to a newer one in the target. `total` is what the
    source held when the move began.
    """

    total: int = 0
    copied: int = 0
    embedded: int = 0
    unembedded: int = 0
    removed: int = 0
    kept: int = 0


@dataclass(frozen=True)
class Options:
    """`max_docs_per_s` 0 is unlimited. `adapt`: slow down where the cluster's queries do. `judgments` is the path of a
    judgment list that validation measures nDCG with. `force` is the reason for going on after a failed validation.
    `keep` is how many earlier indexes stay."""

    max_docs_per_s: float = 0
    adapt: bool = True
    judgments: str | None = None
    force: str | None = None
    keep: int = 1


@dataclass(frozen=True)
class Operation:
    """A move of `alias` from the index `source` to the index `target`, which prodsim makes for it.

    `checkpoints`: up to which _seq_no each shard of the index that is copied from is copied. `at_swap`: the highest
    _seq_no of each shard of the index that was swapped to, at that moment; what is above was written later.
    `back_checkpoints` and `back_at_swap` are the same of a rollback.
    `held`: the settings that the index which is swapped to had before its writers were kept waiting; empty when they
    are not. `at_release`: its highest _seq_no of each shard when they were let through.
    `resting`: it waits in phase `ready` to be promoted. `expires_at` is in seconds since 1970, of the owner's clock.
    `validation` holds what was checked and `error` why it stopped.
    """

    alias: str
    id: str
    kind: Kind
    phase: Phase
    source: str
    target: str
    model: TextModel
    source_model: TextModel
    options: Options = field(default_factory=Options)
    fence: int = 1
    owner: Owner | None = None
    expires_at: float = 0.0
    checkpoints: Mapping[str, int] = field(default_factory=dict)
    at_swap: Mapping[str, int] = field(default_factory=dict)
    back_checkpoints: Mapping[str, int] = field(default_factory=dict)
    back_at_swap: Mapping[str, int] = field(default_factory=dict)
    held: Mapping[str, Any] = field(default_factory=dict)
    at_release: Mapping[str, int] = field(default_factory=dict)
    resting: bool = False
    tally: Tally = field(default_factory=Tally)
    validation: Mapping[str, Any] = field(default_factory=dict)
    error: str | None = None
    started_at: str = ""
    updated_at: str = ""
    swapped_at: str | None = None

    @property
    def ended(self) -> bool:
        return self.phase in ENDED

    @property
    def goes_back(self) -> bool:
        return self.phase in BACK

    @property
    def copies_from(self) -> str:
        return self.target if self.goes_back else self.source

    @property
    def copies_to(self) -> str:
        return self.source if self.goes_back else self.target

    @property
    def copies_to_model(self) -> TextModel:
        return self.source_model if self.goes_back else self.model


def as_document(operation: Operation) -> dict[str, Any]:
    """The state document. Its fields are those of Operation; objects inside are not indexed."""
    return asdict(operation)


def as_operation(document: Mapping[str, Any]) -> Operation:
    """The operation of a state document; fields of a later release are passed over."""
    known = {one.name for one in fields(Operation)}
    values = {name: value for name, value in document.items() if name in known}
    values["model"] = TextModel(**values["model"])
    values["source_model"] = TextModel(**values["source_model"])
    values["options"] = Options(**values["options"])
    values["tally"] = Tally(**values["tally"])
    values["owner"] = Owner(**values["owner"]) if values.get("owner") else None
    return Operation(**values)


def user_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return str(os.getuid())

"""The error tree: what went wrong, on what, and what to do, in one line.

ProdsimError            exit code 1
├── UsageError          2   an argument or option that can't be used
├── ConfigError         2   a setting, a prodsim.yaml or a catalog.yaml that can't be used
├── CheckFailed         3   a check ran and the answer is no
├── NotFound            4   no such SKU, index, alias, profile
├── CatalogError        1   a source that can't be read, or a row set that can't be loaded
├── EngineError         1   OpenSearch refuses, is the wrong one, or is in a state that needs a person
│   ├── EngineUnreachable
│   ├── EngineBusy
│   ├── LeaseHeld       another process moves the catalog
│   └── LeaseLost       another process took over the move of this one
├── EmbedderError       1   the embedder refuses or answers nonsense
│   ├── EmbedderUnreachable
│   └── EmbedderNotReady
└── LocalEngineError    1   the engine on this machine can't be installed, started or stopped
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What a `prodsim-admin` command returns to the shell."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    CHECK_FAILED = 3
    NOT_FOUND = 4
    PARTLY_LOADED = 5


class ProdsimError(Exception):
    """Base of every error that prodsim raises on purpose.

    `str(error)` is one line: what happened, to what, and, after a colon or a full stop, what to do about it.
    """

    exit_code: ExitCode = ExitCode.FAILED


class UsageError(ProdsimError):
    exit_code = ExitCode.USAGE


class ConfigError(ProdsimError):
    exit_code = ExitCode.USAGE


class CheckFailed(ProdsimError):
    exit_code = ExitCode.CHECK_FAILED


class NotFound(ProdsimError):
    exit_code = ExitCode.NOT_FOUND


class CatalogError(ProdsimError):
    pass


class EngineError(ProdsimError):
    pass


class EngineUnreachable(EngineError):
    pass


class EngineBusy(EngineError):
    """It refuses for now (429, 502, 503, 504): the same call may go through later."""


class LeaseHeld(EngineError):
    pass


class LeaseLost(EngineError):
    pass


class EmbedderError(ProdsimError):
    pass


class EmbedderUnreachable(EmbedderError):
    pass


class EmbedderNotReady(EmbedderError):
    pass


class LocalEngineError(ProdsimError):
    pass

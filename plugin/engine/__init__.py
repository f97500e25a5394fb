"""A real OpenSearch on this machine, for trying out and for tests: installed, started, stopped.

engine = start_engine(settings.home, version="2.19.1", port=9200)
...
stop_engine(settings.home, engine.name)
"""

from __future__ import annotations

from .instance import DEFAULT_HEAP
from .lifecycle import (
    DEFAULT_PORT,
    DEFAULT_TIMEOUT_S,
    engines_to_stop,
    start_engine,
    stop_engine,
)
from .logs import log_lines
from .plan import StartPlan, plan_start
from .running import Engine
from .status import EngineStatus, list_engines

__all__ = [
    "DEFAULT_HEAP",
    "DEFAULT_PORT",
    "DEFAULT_TIMEOUT_S",
    "Engine",
    "EngineStatus",
    "StartPlan",
    "engines_to_stop",
    "list_engines",
    "log_lines",
    "plan_start",
    "start_engine",
    "stop_engine",
]

"""Interleaved timings, medians and ratios."""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "build" / "bench"


@dataclass(frozen=True)
class Timing:
    """Milliseconds over `calls` calls."""

    calls: int
    p50_ms: float
    p95_ms: float


def interleave(
    contenders: Mapping[str, Callable[[str], object]], inputs: Sequence[str], rounds: int
) -> dict[str, Timing]:
    """Times every contender on every input, in turn, so that what disturbs the machine disturbs all of them alike.

    A first round over all inputs is not counted: the engine compiles its hot paths after some hundred calls.
    """
    turns = [text for _ in range(rounds + 1) for text in inputs for _ in contenders]
    return interleave_fresh(contenders, iter(turns), calls=rounds * len(inputs), warm_up=len(inputs))


def interleave_fresh(
    contenders: Mapping[str, Callable[[str], object]], texts: Iterator[str], calls: int, warm_up: int
) -> dict[str, Timing]:
    """The same with a text of its own for every single call; the first `warm_up` calls of each are not counted."""
    times_ms: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(warm_up + calls):
        for name, call in contenders.items():
            text = next(texts)
            began = time.perf_counter()
            call(text)
            times_ms[name].append((time.perf_counter() - began) * 1000)
    return {name: timing(values[warm_up:]) for name, values in times_ms.items()}


def timing(values_ms: Sequence[float]) -> Timing:
    quantiles = statistics.quantiles(values_ms, n=20)
    return Timing(len(values_ms), round(statistics.median(values_ms), 2), round(quantiles[-1], 2))


def report(title: str, lines: Sequence[str]) -> None:
    sys.stdout.write("\n".join(["", title, *(f"  {line}" for line in lines)]) + "\n")
    sys.stdout.flush()


def save(name: str, content: Mapping[str, Any]) -> Path:
    """Writes a result with the machine it was made on, for docs/benchmarks.md to cite."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    machine = {"cpus": os.cpu_count(), "python": platform.python_version(), "system": platform.system()}
    path = RESULTS / f"{name}.json"
    plain = {key: asdict(value) if isinstance(value, Timing) else value for key, value in content.items()}
    path.write_text(json.dumps({"machine": machine, **plain}, indent=2) + "\n", encoding="utf-8")
    return path

"""How a move stands, for `reindex` and `model rollout`: while it runs, and when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING

from prodsim.plugin.telemetry import watched

from . import output
from .progress import progress

if TYPE_CHECKING:
    from prodsim.loaders.load import Report
    from prodsim.plugin.config import Settings
    from prodsim.plugin.moving.planning import Plan
    from prodsim.plugin.moving.record import Operation

Show = Callable[["Operation"], None]
Say = Callable[[str], None]


@contextmanager
def shown(settings: Settings, command: str) -> Iterator[tuple[Show, Say]]:
    """(what shows an operation, what shows a line): a line a phase, and a bar while documents are copied."""
    phase = ""
    with progress() as (show_report, say), watched(settings, command, show_report) as counted:

        def show(operation: Operation) -> None:
            nonlocal phase
            if operation.phase != phase and (operation.phase != "ready" or operation.resting):
                phase = operation.phase
                say(f"{operation.alias}: {phase.replace('_', ' ')}")
            counted(as_report(operation))

        yield show, say


def as_report(operation: Operation) -> Report:
    from prodsim.loaders.account import Account
    from prodsim.loaders.load import Report

    tally = operation.tally
    account = Account(read=tally.copied, indexed=tally.copied, embedded=tally.embedded, removed=tally.removed)
    return Report(account, min(1.0, tally.copied / tally.total) if tally.total else None)


def show_operation(operation: Operation, json: bool) -> None:
    if json:
        return output.result_json(asdict(operation))
    for line in describe(operation):
        output.result(line)


def describe(operation: Operation) -> Iterator[str]:
    from prodsim.plugin.moving.machine import command

    tally = operation.tally
    back = " back" if operation.goes_back else ""
    yield f"{operation.alias}: {operation.kind} {operation.source} -> {operation.target}{back}: {operation.phase}"
    yield (
        f"  {tally.copied:,} copied of {tally.total:,} there at the start, {tally.embedded:,} embedded, "
        f"{tally.removed:,} removed, {tally.kept:,} late ones left as they are"
    )
    if tally.unembedded:
        yield f"  {tally.unembedded:,} have no vector: the embedder refuses their text"
    for check in operation.validation.get("checks", ()):
        yield f"  {'ok ' if check['passed'] else 'NO '} {check['name']}: {check['found']}"
    if operation.owner is not None and not operation.ended:
        yield f"  held by {operation.owner}"
    if operation.error:
        yield f"  stopped: {operation.error}"
    if operation.held and operation.owner is None:
        yield f"  writes to {operation.alias} WAIT at the engine until this goes on: '{command(operation, 'resume')}'"
    if operation.phase == "done":
        yield f"before: {operation.source}, kept for '{command(operation, 'rollback')}'"


def describe_plan(plan: Plan) -> Iterator[str]:
    yield (
        f"would build {plan.index} for {plan.model} by copying {plan.products} products of {plan.serving}, "
        f"swap {plan.alias} to it" + (f", then remove {', '.join(plan.removes)}" if plan.removes else "")
    )
    yield f"  {plan.embeds:,} to embed, {plan.size_bytes / 1e6:,.1f} MB now, about {plan.estimated_s:,.0f} s"
    for problem in plan.problems:
        yield f"  in the way: {problem}"

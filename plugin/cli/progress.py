"""How a load stands while it runs: a bar on a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from . import output

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from prodsim.loaders.load import Report

LINE_EVERY_S = 5.0

Show = Callable[["Report"], None]
Say = Callable[[str], None]


@contextmanager
def progress() -> Iterator[tuple[Show, Say]]:
    """(what shows a report, what shows a line), both on stderr."""
    if not sys.stderr.isatty():
        yield plain_lines(), output.note
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (
        BarColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, TextColumn("{task.description}"), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("reading", total=None)
        yield on_bar(bar, task), lambda line: bar.console.print(line, markup=False, highlight=False)


def on_bar(bar: Progress, task: TaskID) -> Show:
    rate = Rate()

    def show(report: Report) -> None:
        share = report.share_read
        bar.update(
            task,
            total=None if share is None else 1.0,
            completed=share or 0.0,
            description=described(report, rate.rows_a_second(report)),
        )

    return show


def plain_lines() -> Show:
    rate = Rate()
    said_at = time.monotonic()

    def show(report: Report) -> None:
        nonlocal said_at
        if time.monotonic() - said_at < LINE_EVERY_S:
            return
        said_at = time.monotonic()
        line = described(report, rate.rows_a_second(report))
        left_s = rate.left_s(report)
        output.note(line if left_s is None else f"{line}, about {left_s:.0f} s left")

    return show


class Rate:
    """Rows a second since it was made; what an interrupted load did before does not count."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.rows_before: int | None = None
        self.share_before = 0.0

    def rows_a_second(self, report: Report) -> float:
        if self.rows_before is None:
            self.rows_before, self.share_before = report.account.read, report.share_read or 0.0
            return 0.0
        return (report.account.read - self.rows_before) / max(0.001, time.monotonic() - self.began)

    def left_s(self, report: Report) -> float | None:
        if report.share_read is None or report.share_read <= self.share_before:
            return None
        done = report.share_read - self.share_before
        return (1 - report.share_read) / done * (time.monotonic() - self.began)


def described(report: Report, rows_a_second: float) -> str:
    account = report.account
    new_texts = account.indexed + account.unchanged
    reused = f", {1 - account.embedded / new_texts:.0%} of the vectors reused" if new_texts else ""
    return (
        f"{account.read:,} rows, {rows_a_second:,.0f} a second: {account.indexed:,} indexed, "
        f"{account.unchanged:,} unchanged, {account.rejected:,} rejected{reused}"
    )

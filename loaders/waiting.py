"""Waiting for an engine or an embedder that is away and will come back."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

from prodsim.plugin.errors import EmbedderNotReady, EmbedderUnreachable, EngineBusy, EngineUnreachable

LONGEST_PAUSE_S = 10.0
TOLD_AFTER_S = 3.0
AWAY = (EngineUnreachable, EngineBusy, EmbedderUnreachable, EmbedderNotReady)

Result = TypeVar("Result")


class Waiting:
    """How long a load waits, and whom it tells. `pause(seconds)` sleeps, or raises to break the wait off."""

    def __init__(
        self, give_up_after_s: float, say: Callable[[str], None], pause: Callable[[float], None] = time.sleep
    ) -> None:
        self.give_up_after_s = give_up_after_s
        self.say = say
        self.pause = pause

    def outlast(self, call: Callable[[], Result]) -> Result:
        """The call's result, tried again while engine or embedder do not answer or can't take it now.

        Raises:
            EngineUnreachable, EngineBusy, EmbedderUnreachable, EmbedderNotReady: for longer than `give_up_after_s`.
        """
        began = time.monotonic()
        told = False
        attempt = 0
        while True:
            try:
                return call()
            except AWAY as error:
                waited_s = time.monotonic() - began
                if waited_s > self.give_up_after_s:
                    raise
                if not told and waited_s > TOLD_AFTER_S:
                    self.say(f"waiting, up to {self.give_up_after_s:.0f} s: {error}")
                    told = True
            attempt += 1
            self.pause(random.uniform(0, min(LONGEST_PAUSE_S, 0.5 * 2 ** min(attempt, 10))))

"""`prodsim-admin` in a process of its own, as an operator runs it, beside traffic."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from prodsim.plugin.config import Settings

NAMES = ("alias", "home", "engine_url", "embedder_url", "embedder_url_from_engine", "model")


def environment(settings: Settings) -> dict[str, str]:
    given = {name: getattr(settings, name) for name in NAMES}
    values = {f"PRODSIM_{name.upper()}": str(value) for name, value in given.items() if value is not None}
    return {**os.environ, **values, "PRODSIM_EMBEDDER_TIMEOUT_S": "20"}


def begin(settings: Settings, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [str(Path(sys.executable).with_name("prodsim-admin")), *arguments],
        env=environment(settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def admin(settings: Settings, *arguments: str, code: int | None = 0, timeout_s: float = 900) -> str:
    """Runs the command to its end and returns what it printed; it must end with that code, or None with any."""
    process = begin(settings, *arguments)
    try:
        printed, _ = process.communicate(timeout=timeout_s)
    except BaseException:
        process.kill()
        raise
    assert code is None or process.returncode == code, printed
    assert "Traceback" not in printed
    assert "Warning" not in printed, printed
    return printed

"""`python -m prodsim.embedder SETTINGS`: the embedder in the foreground, told by JSON; for `local.start`."""

from __future__ import annotations

import os
import sys

from prodsim.plugin.errors import ProdsimError

from .processes import MARK
from .server import serve_until_stopped
from .settings import ServerSettings

ERROR_PREFIX = "error: "


def say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def main() -> int:
    try:
        serve_until_stopped(ServerSettings.model_validate_json(sys.argv[1]), say, os.environ[MARK])
    except ProdsimError as error:
        say(f"{ERROR_PREFIX}{error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

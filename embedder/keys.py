"""API keys: who may have texts embedded."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
from pathlib import Path

from prodsim.plugin.errors import EmbedderError

KEYS_VARIABLE = "EMBEDDER_API_KEYS"  # several, separated by spaces or commas
OPEN_PATHS = {"/healthz", "/readyz", "/metrics", "/docs", "/openapi.json"}


class Keys:
    """The keys in a file, one a line, and in the environment. A changed file counts at once, so keys can be rotated."""

    def __init__(self, file: Path | None) -> None:
        """Reads the keys.

        Raises:
            EmbedderError: the file can't be read or holds no key: nobody could get in.
        """
        self.file = file
        self.stamp: tuple[int, int] | None = None
        self.of_environment = set(map(digest, os.environ.get(KEYS_VARIABLE, "").replace(",", " ").split()))
        self.of_file: set[bytes] = set()
        if file is not None:
            try:
                self.read(file)
            except OSError as error:
                raise EmbedderError(f"api_keys_file {file} can't be read: {error.strerror}") from None
            if not self.of_file:
                raise EmbedderError(f"api_keys_file {file} holds no key: write one a line")

    @property
    def asked(self) -> bool:
        """Whether a key is needed at all."""
        return self.file is not None or bool(self.of_environment)

    def read(self, file: Path) -> None:
        state = file.stat()
        stamp = (state.st_mtime_ns, state.st_size)
        if stamp != self.stamp:
            lines = (line.strip() for line in file.read_text(encoding="utf-8").splitlines())
            self.of_file = {digest(line) for line in lines if line and not line.startswith("#")}
            self.stamp = stamp

    def admit(self, path: str, authorization: str | None) -> bool:
        """Whether a request with this header may go on. It takes as long for a wrong key as for a right one."""
        if path in OPEN_PATHS or not self.asked:
            return True
        if self.file is not None:
            with contextlib.suppress(OSError):  # being replaced: the keys that were read last count
                self.read(self.file)
        scheme, _, key = (authorization or "").partition(" ")
        given = digest(key.strip() if scheme.lower() == "bearer" else "")
        matches = [hmac.compare_digest(given, known) for known in self.of_file | self.of_environment]
        return any(matches)


def digest(key: str) -> bytes:
    """Of one length for all keys, so that comparing them tells nothing of theirs."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()

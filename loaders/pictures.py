"""The picture of a product: a file below one folder, or a URL that the embedder fetches."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

URL = re.compile(r"https?://", re.IGNORECASE)
LARGEST_FILE_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True)
class Picture:
    """`content` is a file's bytes or a URL; `digest` changes when the file does, of a URL when the URL does.

    Without content there is none to be had: `problem` says why, unless the product has no picture at all. `unknown`:
    it is a file, and the folder is not known here.
    """

    content: bytes | str | None
    digest: str
    problem: str | None = None
    unknown: bool = False


NO_PICTURE = Picture(None, "")


def picture_of(document: Mapping[str, Any], folder: Path | None) -> Picture:
    """The picture that `image_url` names. A path is taken from `folder`, and may not lead out of it."""
    name = document.get("image_url")
    if not name:
        return NO_PICTURE
    name = str(name)
    if URL.match(name):
        return Picture(name, digest(b"url", name.encode()))
    if folder is None:
        return Picture(None, "", unknown=True)
    missing = digest(b"missing", name.encode())
    try:
        path = (folder / name).resolve()
        if not path.is_relative_to(folder.resolve()):
            return Picture(None, missing, f"{name} is outside the image folder")
        if path.stat().st_size > LARGEST_FILE_BYTES:
            return Picture(None, missing, f"{name} is larger than {LARGEST_FILE_BYTES} bytes")
        content = path.read_bytes()
    except (OSError, ValueError):
        return Picture(None, missing, f"{name} can't be read")
    return Picture(content, digest(b"file", content))


def digest(kind: bytes, content: bytes) -> str:
    return hashlib.sha256(kind + b"\0" + content).hexdigest()

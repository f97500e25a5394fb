"""Image files from strangers: what is let in, judged by the header before a pixel is decoded."""

from __future__ import annotations

import base64
import binascii
import io
import re
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from prodsim.embedder.encoder import BadItem

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "AVIF")
# An encoder scales the shorter side to its input: one row of a million pixels would become gigabytes.
LONGEST_TO_SHORTEST = 20
DATA_URI = re.compile(r"data:(?:image/[\w.+-]{1,40})?;base64,", re.IGNORECASE)
URL = re.compile(r"https?://", re.IGNORECASE)


@dataclass(frozen=True)
class ImageLimits:
    """What one image may be, in bytes of its file and in pixels once decoded."""

    max_bytes: int
    max_pixels: int


def is_url(text: str) -> bool:
    return URL.match(text) is not None


def decode_base64(text: str, limits: ImageLimits) -> bytes:
    """The file in base64 text, bare or as a data: URI.

    Raises:
        BadItem: it is no base64, or more than `limits.max_bytes`.
    """
    head = DATA_URI.match(text)
    encoded = text[head.end() :] if head else text
    if len(encoded) * 3 // 4 > limits.max_bytes + 3:
        raise BadItem(f"is an image of more than {limits.max_bytes} bytes", too_large=True)
    try:
        content = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise BadItem("is no image: give base64, a data: URI or a URL") from None
    if not content:
        raise BadItem("is an empty image")
    return content


def open_image(content: bytes) -> Image:
    """The image with its header read and no pixel decoded.

    Raises:
        BadItem: it is not in one of FORMATS, or damaged.
    """
    import PIL.Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PIL.Image.DecompressionBombWarning)  # the limits here are stricter
            return PIL.Image.open(io.BytesIO(content), formats=FORMATS)
    except PIL.Image.DecompressionBombError:
        raise BadItem("has more pixels than are read", too_large=True) from None
    except Exception:  # Pillow lets through whatever its readers stumble over
        raise BadItem(f"is no image, or a damaged one: {', '.join(FORMATS)} can be read") from None


def check_image(content: bytes, limits: ImageLimits) -> None:
    """Lets an image pass whose header promises no more than the limits.

    Raises:
        BadItem: what is wrong with it.
    """
    if len(content) > limits.max_bytes:
        raise BadItem(f"is an image of {len(content)} bytes, at most {limits.max_bytes} are read", too_large=True)
    with open_image(content) as image:
        width, height = image.size
    if width * height > limits.max_pixels:
        raise BadItem(f"is an image of {width} x {height} pixels, at most {limits.max_pixels} are read", too_large=True)
    if max(width, height) > LONGEST_TO_SHORTEST * max(1, min(width, height)):
        raise BadItem(f"is an image of {width} x {height} pixels: too narrow to be told by")


def decode_image(content: bytes) -> Image:
    """The pixels as RGB, upright as its EXIF data say, transparent parts white; of an animation the first frame.

    Raises:
        BadItem: the file is damaged.
    """
    import PIL.Image
    import PIL.ImageOps

    image = open_image(content)
    try:
        image.load()
        upright: Any = PIL.ImageOps.exif_transpose(image)
        if upright.mode.startswith("I;16"):  # 16 bits a pixel would be cut at 255
            upright = upright.convert("I").point(lambda value: value / 257).convert("L")
        if upright.mode in ("RGBA", "LA", "PA") or "transparency" in upright.info:
            upright = upright.convert("RGBA")
            white = PIL.Image.new("RGBA", upright.size, "white")
            upright = PIL.Image.alpha_composite(white, upright)
        rgb: Image = upright.convert("RGB")
        return rgb
    except Exception:  # as above
        raise BadItem("is a damaged image: its pixels can't be decoded") from None


def blank() -> bytes:
    """A small grey image, to try a model with."""
    import PIL.Image

    content = io.BytesIO()
    PIL.Image.new("RGB", (64, 48), "grey").save(content, "PNG")
    return content.getvalue()

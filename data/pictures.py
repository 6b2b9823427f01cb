"""Pictures from anywhere, as a person would see them: upright RGB on white, of a bounded size."""

import os
import warnings
from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageDraw, UnidentifiedImageError

from data.errors import StudyError

KINDS = ("JPEG", "PNG", "WEBP", "GIF", "AVIF", "TIFF", "BMP", "PPM", "JPEG2000")  # no other decoder is tried
PIXELS = 50_000_000  # of a decoded picture: 200 MB in memory
ASPECT = 8  # long side to short side; of a longer picture the middle is taken, before the short side is enlarged
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # fmt: skip
ORIENTATION = 0x0112  # the tag of EXIF and TIFF
# Beside names that begin with a dot: of Windows, macOS, Linux, and the file servers of Synology and QNAP.
SYSTEM = {
    "$recycle.bin", "recycler", "system volume information", "thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx",
    "icon\r", "temporary items", "network trash folder", "lost+found", "@eadir", "@tmp", "@recycle",
    "@recently-snapshot", "#recycle", "#snapshot", "__pycache__",
}  # fmt: skip


def open_picture(file: Path | str | BinaryIO, moving: bool = True) -> Image.Image:
    """A picture of any kind, file or bytes, as RGB, upright, on white; of a longer one than 8 to 1 the middle.

    Of several frames the first is taken, or without `moving`, an animation is refused. Raises StudyError, naming the
    file, for anything that cannot be shown.
    """
    path = None if hasattr(file, "read") else Path(file)
    name = printable(path) if path else "the picture"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd metadata, and of sizes, for which we have limits of our own
            if path and path.exists() and not path.is_file():
                raise OSError("not a file")
            picture = read(file, moving)
    except UnidentifiedImageError:
        reason = f"none of {', '.join(KINDS)}"
    except Image.DecompressionBombError:
        reason = f"huge, more than {PIXELS // 10**6} million pixels"
    except Exception as error:  # over a damaged file, Pillow's decoders raise about every kind there is
        reason = getattr(error, "strerror", None) or str(error).partition("\n")[0] or type(error).__name__
    else:
        return picture
    raise StudyError(f"{name}: not a picture that can be read ({reason}). Give a JPEG or PNG file.")


def read(file: Path | str | BinaryIO, moving: bool) -> Image.Image:
    """What `open_picture` returns; raises whatever Pillow's decoders raise."""
    Image.init()
    with Image.open(file, formats=[kind for kind in (*KINDS, "MPO") if kind in Image.OPEN]) as picture:
        kind = picture.format
        if not moving and kind in ("GIF", "PNG", "WEBP", "AVIF") and getattr(picture, "n_frames", 1) > 1:
            raise ValueError(f"animated, {picture.n_frames} frames")
        if prod(picture.size) > PIXELS and kind in ("JPEG", "MPO") and not picture.info.get("progressive"):
            picture.draft(None, (picture.width // 2, picture.height // 2))  # is decoded at half its size
        if prod(picture.size) > PIXELS:
            raise Image.DecompressionBombError
        if kind == "TIFF":  # Pillow turns these by itself, and fails over odd metadata
            picture.load_end = lambda: None
        picture.load()
        if not prod(picture.size):
            raise ValueError("without pixels")
        longest = ASPECT * min(picture.size)
        width, height = (min(length, longest) for length in picture.size)
        shown = picture
        if (width, height) != picture.size:
            left, top = (picture.width - width) // 2, (picture.height - height) // 2
            shown = picture.crop((left, top, left + width, top + height))
        shown, turn = flatten(shown, kind), orientation(picture)
        return shown.transpose(TURNS[turn]) if turn in TURNS else shown


def orientation(picture: Image.Image) -> int:
    """How a picture is to be turned, 1 to 8; 1 where its metadata cannot be read."""
    try:
        return (picture.tag_v2 if picture.format == "TIFF" else picture.getexif()).get(ORIENTATION, 1)
    except Exception:  # as odd as metadata can be
        return 1


def flatten(picture: Image.Image, kind: str) -> Image.Image:
    """A picture of any mode in RGB."""
    if picture.mode.startswith(("I", "F")):
        tops = (1, 255, 4095, 65535) if kind == "TIFF" or picture.mode == "F" else (65535,)
        picture = Image.fromarray(to_8_bits(np.array(picture, np.float32), tops))
    elif picture.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        white = Image.new("RGB", picture.size, "white")
        white.paste(picture, mask=picture)
        return white
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def to_8_bits(values: np.ndarray, tops: Sequence[int]) -> np.ndarray:
    """Gray levels (H, W) as uint8: white is the first of `tops` that none exceeds, or else black and white are the
    least and the greatest value."""
    finite = values[np.isfinite(values)].clip(-1e37, 1e37)
    low, high = (finite.min(), finite.max()) if finite.size else (0, 0)
    if top := next((top for top in tops if low >= 0 and high <= top), None):
        low, high = 0, top
    share = (np.nan_to_num(values, nan=low) - low) / max(high - low, 1e-30)
    return (255 * share.clip(0, 1)).round().astype(np.uint8)


def printable(path: Path | str) -> str:
    """A path as text that can be printed and stored; bytes of its name that are not UTF-8 are written as \\x...."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def is_system(name: str) -> bool:
    """Whether a file or folder is hidden, or one that a desktop, a file server or an editor left there."""
    return name.startswith((".", "~$")) or name.lower() in SYSTEM


def card(text: str) -> np.ndarray:
    """A gray card (192, 256, 3) uint8 that bears a text, where there is no picture to show."""
    picture = Image.new("RGB", (256, 192), "gainsboro")
    ImageDraw.Draw(picture).text((128, 96), text.replace(" ", "\n"), "black", anchor="mm", align="center", font_size=20)
    return np.array(picture)

"""Pictures from anywhere."""

from pathlib import Path
from typing import BinaryIO

from PIL import Image, ImageOps

from data.errors import StudyError


def open_picture(path: Path | BinaryIO) -> Image.Image:
    """A picture of any kind, file or bytes, as RGB, upright; raises StudyError, naming the file, for anything else."""
    try:
        with Image.open(path) as file:
            return ImageOps.exif_transpose(file).convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise StudyError(f"{path}: not a picture that can be read ({error}). Give a JPEG or PNG file.") from error

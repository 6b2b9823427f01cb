"""Pictures from anywhere."""

from pathlib import Path

from PIL import Image, ImageOps

from data.errors import StudyError


def open_picture(path: Path) -> Image.Image:
    """A picture file of any kind as RGB, upright; raises StudyError, naming the file, for anything else."""
    try:
        with Image.open(path) as file:
            return ImageOps.exif_transpose(file).convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise StudyError(f"{path}: not a picture that can be read ({error}). Give a JPEG or PNG file.") from error

"""Five corruptions of an image, at three severities each; after D. Hendrycks and T. Dietterich, "Benchmarking Neural
Network Robustness to Common Corruptions and Perturbations", ICLR 2019."""

import io

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

SIDE = 256  # pixels of the short side to which a picture is first made smaller, so that a severity means the same
STRENGTHS = {
    "blur": (1.5, 3, 6),  # radius of a Gaussian, in pixels of a picture of SIDE
    "noise": (15, 35, 70),  # standard deviation, of gray levels 0..255
    "jpeg": (25, 10, 4),  # quality
    "brightness": (0.55, 0.3, 0.12),  # factor
    "occlusion": (0.15, 0.35, 0.6),  # fraction of the center's area under a gray square
}


def corrupt(picture: Image.Image, kind: str, strength: int, rng: np.random.Generator) -> Image.Image:
    """A corrupted copy of an RGB picture, its short side at most SIDE pixels; `strength` is 1, 2 or 3."""
    amount, side = STRENGTHS[kind][strength - 1], min(picture.size)
    if side > SIDE:
        picture = picture.resize([round(length * SIDE / side) for length in picture.size], Image.Resampling.BILINEAR)
        side = SIDE
    if kind == "blur":
        return picture.filter(ImageFilter.GaussianBlur(amount * side / SIDE))
    if kind == "jpeg":
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=amount)
        return Image.open(file).convert("RGB")
    if kind == "brightness":
        return ImageEnhance.Brightness(picture).enhance(amount)
    pixels = np.array(picture, np.float32)  # (H, W, 3)
    if kind == "noise":
        pixels += rng.normal(0, amount, pixels.shape)
    else:
        hide(pixels, round(amount**0.5 * side), side, rng)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def hide(pixels: np.ndarray, edge: int, side: int, rng: np.random.Generator) -> None:
    """Put a gray square of so many pixels somewhere inside the centered square of `side`, in place."""
    corner = [(length - side) // 2 + rng.integers(side - edge + 1) for length in pixels.shape[:2]]
    pixels[corner[0] : corner[0] + edge, corner[1] : corner[1] + edge] = 128

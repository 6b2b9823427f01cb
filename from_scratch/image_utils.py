"""Pictures for the style and captioning notebooks: read, blur, prepare for SqueezeNet and back."""

import http.client
import io
import re
import time
from email.message import Message
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

import numpy as np

from data import StudyError
from data.pictures import card, open_picture
from from_scratch.checks import floats
from from_scratch.fast_layers import conv_forward_fast

SQUEEZENET_MEAN = np.array([0.485, 0.456, 0.406], dtype=np.float32)
SQUEEZENET_STD = np.array([0.229, 0.224, 0.225], dtype=np.float32)
# What a picture from the web may take: bytes, seconds without one, and seconds in all.
LARGEST, TIMEOUT, PATIENCE = 20_000_000, 10, 60


def blur_image(X: np.ndarray) -> np.ndarray:
    """Blur pictures a little, each channel by itself: X (N, C, H, W) -> the same shape.

    Convolution with [[1, 2, 1], [2, 188, 2], [1, 2, 1]] / 200, with zeros around the picture.
    Raises TypeError or ValueError unless X is an array of floats with 4 axes. Source: CS231n, assignment 3.
    """
    floats("X", X, 4)
    channels = X.shape[1]
    w = np.zeros((channels, channels, 3, 3), X.dtype)
    w[range(channels), range(channels)] = np.array([[1, 2, 1], [2, 188, 2], [1, 2, 1]]) / 200
    return conv_forward_fast(X, w, np.zeros(channels, X.dtype), {"stride": 1, "pad": 1})[0]


def preprocess_image(img: np.ndarray) -> np.ndarray:
    """(img / 255 - mean) / std of SqueezeNet's training pictures, float32; img (..., 3) in 0..255."""
    return (np.asarray(img).astype(np.float32) / 255 - SQUEEZENET_MEAN) / SQUEEZENET_STD


def deprocess_image(img: np.ndarray, rescale: bool = False) -> np.ndarray:
    """Undo `preprocess_image`: uint8 in 0..255; `rescale` stretches the picture's range to all of it first."""
    img = np.asarray(img) * SQUEEZENET_STD + SQUEEZENET_MEAN
    if rescale and np.ptp(img) > 0:
        img = (img - img.min()) / np.ptp(img)
    return np.clip(255 * img, 0, 255).astype(np.uint8)


def load_image(filename: str | Path, size: int | None = None) -> np.ndarray:
    """A picture file as (H, W, 3) uint8; with `size`, its shorter side becomes so long, in the same proportions.

    Raises StudyError for what is no picture, ValueError for a size below 1. Source: CS231n, assignment 3.
    """
    image = open_picture(Path(filename))
    if size is not None:
        if size < 1:
            raise ValueError(f"size must be at least 1, not {size}")
        scale = size / min(image.size)
        image = image.resize([round(side * scale) for side in image.size])
    return np.array(image)


def image_from_url(url: str) -> np.ndarray | None:
    """A picture from the web as (H, W, 3) uint8, or None where there is none to be had, which it prints, with why.

    Only by https, to which redirections are held as well, and no more than LARGEST bytes. What is no address is one of
    Flickr8k's photographs: a file, or a card that bears its name where photographs were not downloaded.
    Source: CS231n, assignment 3.
    """
    try:
        if "://" not in url:
            return load_image(url) if Path(url).is_file() else card(Path(url).name)
        content = _download(re.sub("^http:", "https:", url))  # the course's lists of addresses are older than https
        return np.array(open_picture(io.BytesIO(content)))
    except StudyError:
        print(f"{url}: the download is not a readable picture")
    except (OSError, ValueError, http.client.HTTPException) as error:  # urllib's own errors are OSErrors
        print(f"{url}: could not be downloaded ({error})")
    return None


def _check_https(url: str) -> None:
    if urlsplit(url).scheme != "https":
        raise ValueError(f"only https will do, not {url}")


class _HttpsRedirects(HTTPRedirectHandler):
    """Follows redirections, but not to http or ftp."""

    def redirect_request(
        self, request: Request, file: IO[bytes], code: int, message: str, headers: Message, url: str
    ) -> Request | None:
        _check_https(url)
        return super().redirect_request(request, file, code, message, headers, url)


def _download(url: str) -> bytes:
    """The bytes at an address; raises OSError or ValueError when they are not there, too many or too slow."""
    _check_https(url)
    content, begun = bytearray(), time.monotonic()
    request = Request(url, headers={"User-Agent": "pytorch-study"})
    with build_opener(_HttpsRedirects).open(request, timeout=TIMEOUT) as answer:
        while part := answer.read1(1 << 16):
            content += part
            if len(content) > LARGEST:
                raise ValueError(f"more than {LARGEST / 1e6:.0f} MB")
            if time.monotonic() - begun > PATIENCE:
                raise ValueError(f"not finished after {PATIENCE} s")
        if len(content) < int(answer.headers.get("Content-Length", 0)):
            raise ValueError("the connection was cut before the end")
    return bytes(content)

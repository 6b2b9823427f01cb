"""Any picture is shown as a person would see it, or refused in one line, in bounded memory."""

import io
import random
import re
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

from data import StudyError
from data.pictures import ASPECT, open_picture

ROOT = Path(__file__).parents[2]
KINDS = ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "PPM", "MPO", "JPEG2000"]
KINDS += ["AVIF"] if features.check("avif") else []
MEMORY = 1500  # MB that a picture may take, with Python, NumPy and Pillow


def scene(mode: str = "RGB", size: tuple[int, int] = (24, 20)) -> Image.Image:
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
    return Image.fromarray(noise).convert(mode)


def written(picture: Image.Image, kind: str, **more) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **more)
    return file.getvalue()


def reopened(content: bytes) -> np.ndarray:
    return np.asarray(open_picture(io.BytesIO(content)))


# Files by the thousand


def seeds() -> list[bytes]:
    """Small files of all kinds, modes and compressions, with metadata and several frames."""
    exif = Image.Exif()
    exif[0x0112], exif[0x0110] = 6, "a camera"
    frames = [scene(), scene().rotate(90), scene().rotate(180)]
    more = dict(save_all=True, append_images=frames[1:])
    files = [written(scene(), kind) for kind in KINDS if kind != "MPO"]
    files += [written(scene(), kind, exif=exif.tobytes()) for kind in ("JPEG", "PNG", "WEBP", "TIFF")]
    files += [written(frames[0], kind, **more) for kind in ("PNG", "WEBP", "GIF", "TIFF", "MPO")]
    files += [written(scene(mode), "PNG") for mode in ("1", "L", "LA", "P", "RGBA", "I;16")]
    files += [written(scene(mode), "TIFF") for mode in ("1", "L", "RGBA", "CMYK", "I;16", "I", "F")]
    files += [written(scene(), "TIFF", compression=way) for way in ("tiff_lzw", "tiff_adobe_deflate", "jpeg")]
    files += [written(scene("1"), "TIFF", compression="group4"), written(scene("CMYK"), "JPEG")]
    return [*files, written(scene(), "JPEG", progressive=True), written(scene("P"), "GIF", transparency=3)]


def mutant(draw: random.Random, content: bytes) -> bytes:
    """A file with some bytes changed, most of them in its head, numbers set to the extremes, or an end cut off."""
    changed = bytearray(content)
    for _ in range(draw.choice((1, 1, 2, 4, 16))):
        place = draw.randrange(min(len(changed), draw.choice((64, 256, 10**6))))
        extreme = struct.pack(draw.choice((">I", "<I", ">H", "<H")), draw.choice((0, 1, 2**15 - 1, 2**16 - 1, 40000)))
        piece = draw.choice((bytes([draw.randrange(256)]), bytes([changed[place] ^ 1 << draw.randrange(8)]), extreme))
        changed[place : place + len(piece)] = piece
    if changed[:4] == b"\x89PNG" and draw.random() < 0.7:  # a checksum that holds, or nothing behind it is read
        place = 8
        while place + 12 <= len(changed):
            length = int.from_bytes(changed[place : place + 4])
            end = place + 8 + length
            changed[end : end + 4] = zlib.crc32(changed[place + 4 : end]).to_bytes(4)
            place = end + 4
    return bytes(changed[: draw.randrange(len(changed))] if draw.random() < 0.1 else changed)


def fuzz(count: int, seed: int = 0) -> dict[str, int]:
    """How many of so many damaged files were shown, and refused; and the most memory that was taken, in MB."""
    draw, files, found = random.Random(seed), seeds(), {"shown": 0, "refused": 0}
    for number in range(count):
        try:
            picture = open_picture(io.BytesIO(mutant(draw, files[number % len(files)])))
            assert picture.mode == "RGB" and max(picture.size) <= ASPECT * min(picture.size)
            found["shown"] += 1
        except StudyError as error:
            assert str(error).count("\n") == 0 and len(str(error)) < 500
            found["refused"] += 1
    return found | {"memory": most_memory()}


def most_memory() -> int:
    """The most memory that this process has taken, in MB; getrusage counts what the process had that began it."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(re.search(r"VmHWM:\s+(\d+) kB", status.read_text())[1]) // 1024
    import resource  # Windows has none

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (2**20 if sys.platform == "darwin" else 1024)


def apart(code: str) -> str:
    """What a process of its own prints, whose memory can be told and which may crash."""
    command = [sys.executable, "-c", f"from tests.data.test_pictures import *\n{code}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_of_a_damaged_file_comes_a_picture_or_one_line_and_no_more_memory_than_a_large_one_takes():
    found = eval(apart("print(fuzz(400))"))
    assert found["shown"] > 50 and found["refused"] > 50 and found["memory"] < MEMORY, found


# What a person would see


@pytest.mark.parametrize(
    "entries, tail",
    [
        ([struct.pack("<HHII", 0x9204, 10, 1, 38)], struct.pack("<ii", -1, 0)),  # an exposure bias of -1/0
        ([struct.pack("<HHI4s", 0x011A, 2, 3, b"72\0\0")], b""),  # a resolution in letters
        ([struct.pack("<HHII", 0x8769, 4, 1, 2**31)], b""),  # a directory beyond the end
    ],
)
def test_odd_metadata_is_ignored_and_the_picture_turned(entries, tail):
    turned = struct.pack("<HHI4s", 0x0112, 3, 1, struct.pack("<HH", 6, 0))  # by 90 degrees
    head = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 1 + len(entries))
    exif = head + turned + b"".join(entries) + struct.pack("<I", 0) + tail
    assert open_picture(io.BytesIO(written(scene(), "JPEG", exif=exif))).size == (20, 24)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_a_picture_is_turned_as_its_metadata_say(kind):
    upright = np.asarray(scene())
    crossed = upright.swapaxes(0, 1)
    ways = {1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1], 5: crossed,
            6: crossed[:, ::-1], 7: crossed[::-1, ::-1], 8: crossed[::-1], 9: upright}  # fmt: skip
    for orientation, expected in ways.items():
        exif = Image.Exif()
        exif[0x0112] = orientation
        more = {"lossless": True} if kind == "WEBP" else {}
        assert np.array_equal(reopened(written(scene(), kind, exif=exif.tobytes(), **more)), expected), orientation


def test_more_than_eight_bits_become_gray_levels_instead_of_white():
    ramp = np.tile(np.linspace(0, 65535, 16), (4, 1)).astype(np.uint16)
    expected = np.round(ramp / 257)
    for kind in ("PNG", "TIFF"):
        assert np.array_equal(reopened(written(Image.fromarray(ramp), kind))[..., 0], expected)
    assert np.array_equal(reopened(b"P5 16 4 65535\n" + ramp.astype(">u2").tobytes())[..., 1], expected)
    for scale in (1, 255, 4095, 1e6):  # the units of floats are anybody's
        shown = reopened(written(Image.fromarray((ramp / 65535 * scale).astype(np.float32)), "TIFF"))
        assert abs(shown[..., 0] - expected).max() <= 1, scale
    for wrong in (np.nan, np.inf, -np.inf):
        broken = (ramp / 65535).astype(np.float32)
        broken[0, 0] = wrong
        assert abs(reopened(written(Image.fromarray(broken), "TIFF"))[1:, :, 0] - expected[1:]).max() <= 1
    flat = [reopened(written(Image.fromarray(np.full((4, 4), value, np.float32)), "TIFF")) for value in (-9, np.nan)]
    assert not np.any(flat)


def test_what_is_transparent_is_white_and_other_colors_are_colors():
    half = Image.new("RGBA", (8, 8), (255, 0, 0, 255))
    half.paste((0, 0, 0, 0), (0, 0, 8, 4))
    palette = half.convert("RGB").quantize(4)
    clear = palette.getpixel((0, 0))
    gray = Image.new("L", (8, 8), 0)
    gray.paste(90, (0, 4, 8, 8))
    files = [written(half, "PNG"), written(half, "WEBP", lossless=True), written(half, "TIFF"),
             written(palette, "PNG", transparency=clear), written(palette, "GIF", transparency=clear),
             written(half.convert("RGB"), "PNG", transparency=(0, 0, 0)), written(half.convert("LA"), "PNG"),
             written(gray, "PNG", transparency=0)]  # fmt: skip
    for content in files:
        shown = reopened(content)
        assert (shown[:4] == 255).all() and not (shown[4:] == 255).all(), content[:16]
    for mode in ("1", "L", "P", "CMYK"):
        red = reopened(written(Image.new("RGB", (8, 8), (255, 0, 0)).convert(mode), "TIFF"))
        assert abs(red[0, 0].astype(int) - (255, 0, 0)).max() <= 4 or mode in ("1", "L")


def test_of_several_frames_the_first_is_shown_or_an_animation_refused():
    frames = [Image.new("RGB", (20, 20), color) for color in ("red", "blue")]
    for kind in ("PNG", "WEBP", "GIF", "TIFF", "MPO"):
        content = written(frames[0], kind, save_all=True, append_images=frames[1:])
        red, _, blue = reopened(content)[10, 10].tolist()
        assert red > 250 and blue < 5, kind
        if kind in ("TIFF", "MPO"):  # pages of a scan, and a phone's photograph with its depth
            open_picture(io.BytesIO(content), moving=False)
        else:
            with pytest.raises(StudyError, match="animated, 2 frames"):
                open_picture(io.BytesIO(content), moving=False)


def huge(kind: str, width: int, height: int) -> bytes:
    """A small file that says it is large."""
    content = bytearray(written(scene(), kind))
    if kind == "PNG":
        content[16:24] = struct.pack(">II", width, height)
        content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    else:
        place = content.index(b"\xff\xc0") + 5
        content[place : place + 4] = struct.pack(">HH", height, width)
    return bytes(content)


def test_memory_is_bounded_for_any_size(tmp_path):
    thin = reopened(written(Image.new("RGB", (60000, 1), "red"), "PNG"))
    assert thin.shape == (1, ASPECT, 3) and (thin == (255, 0, 0)).all()
    line = Image.new("L", (3, 1001))
    line.paste(255, (0, 490, 3, 511))
    assert reopened(written(line, "PNG")).shape == (24, 3, 3) and reopened(written(line, "PNG")).mean() > 200
    for kind, side in (("PNG", 7100), ("PNG", 60000), ("JPEG", 30000)):
        with pytest.raises(StudyError, match="huge, more than 50 million pixels"):
            open_picture(io.BytesIO(huge(kind, side, side)))
    path = tmp_path / "large.jpg"  # of 100 million pixels, as telephones make them
    Image.new("L", (10_000, 10_000), 200).save(path)
    assert open_picture(path).size == (5000, 5000)


def test_what_is_no_picture_is_named_with_the_reason(tmp_path):
    (tmp_path / "text.jpg").write_text("no picture")
    (tmp_path / "run.eps").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n")
    (tmp_path / "empty.png").touch()
    whole = written(scene(size=(99, 99)), "JPEG")
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    for name, reason in (("text.jpg", "none of JPEG, PNG"), ("run.eps", "none of"), ("empty.png", "none of"),
                         ("cut.jpg", "truncated"), ("none.png", "No such file"), (".", "not a file")):  # fmt: skip
        with pytest.raises(StudyError, match=rf"not a picture that can be read \(.*{reason}.*\). Give a JPEG or PNG"):
            open_picture(tmp_path / name)
    with pytest.raises(StudyError, match=r"caf\\xe9.png"):
        open_picture(Path("caf\udce9.png"))

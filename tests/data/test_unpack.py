"""Archives from outside, whatever their bytes are: unpacked whole, or refused in one line and nothing is left."""

import io
import random
import tarfile
import zipfile
from pathlib import Path

import pytest

from data import StudyError
from data.unpack import GROWTH, unpack

TEXT = "".join(f"line {n} of some text\n" for n in range(40)).encode()


def make_zip(names: tuple[str, ...] = ("a/b.txt", "a/c.txt"), content: bytes = TEXT) -> bytes:
    with zipfile.ZipFile(stream := io.BytesIO(), "w", zipfile.ZIP_DEFLATED) as file:
        for name in names:
            file.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return stream.getvalue()


def make_tar(kind: str = "w", content: bytes = TEXT, count: int = 2, **attributes) -> bytes:
    with tarfile.open(fileobj=(stream := io.BytesIO()), mode=kind, format=tarfile.PAX_FORMAT) as file:
        for name in ["a/b.txt", "a/c.txt", *(f"a/{n}" for n in range(2, count))]:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            for attribute, value in attributes.items():
                setattr(info, attribute, value)
            file.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def flip(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 0x55]) + content[place + 1 :]


def told(folder: Path, content: bytes) -> str:
    """What is told of an archive that cannot be unpacked, in one line, and nothing of one that can."""
    (folder / "archive").write_bytes(content)
    try:
        unpack(folder / "archive", {"a": "there"}, folder)
    except StudyError as error:
        assert not (folder / "there").exists() and str(error).startswith(f"{folder / 'archive'}")
        return str(error)
    return ""


@pytest.mark.parametrize(
    "content",
    [
        flip(make_tar("w:xz", random.Random(0).randbytes(9000)), 9000),
        make_zip(("a/b.txt", "")),
        make_zip(("a/b.txt", "a/" + "é" * 300)),
        make_zip(("a/é.txt",)).replace("é".encode(), b"\xff\xfe"),
        make_tar(mtime=2.0**70),
        make_tar(pax_headers={"mtime": "nan"}),
        make_tar(pax_headers={"mtime": "inf"}),
        make_tar(pax_headers={"GNU.sparse.map": "0,x", "GNU.sparse.size": "9" * 30}),
        make_tar(pax_headers={"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "12"}),
    ],
    ids=["xz", "nameless", "long", "not-utf8", "2^70", "nan", "inf", "sparse-map", "sparse-1.0"],
)
def test_oddities_are_refused_or_do_no_harm(tmp_path, content):
    message = told(tmp_path, content)
    if message:
        assert "cannot be unpacked" in message or "refused to unpack" in message, message
    else:
        assert (tmp_path / "there/b.txt").read_bytes() == TEXT


def test_no_archive_grows_beyond_its_bound(tmp_path):
    for bomb in (make_zip(content=bytes(10**6)), make_tar("w:gz", bytes(10**6)), make_tar("w:gz", b"", count=999)):
        assert f"more than {GROWTH} times as large" in told(tmp_path, bomb)
    (tmp_path / "archive").write_bytes(make_zip(content=bytes(10**6)))
    unpack(tmp_path / "archive", {"a": "there"}, tmp_path, size=10**5)  # as the table of sources says
    assert (tmp_path / "there/b.txt").stat().st_size == 10**6


def test_damaged_archives_are_refused_in_words(tmp_path, count=150):
    draw, good = random.Random(0), 0
    kinds = [make_zip(), *(make_tar(kind) for kind in ("w", "w:gz", "w:bz2", "w:xz"))]
    for number in range(count):
        content = draw.choice(kinds)
        for _ in range(draw.randrange(1, 4)):
            content = flip(content, draw.randrange(len(content)))
        (archive := tmp_path / f"archive{number}").write_bytes(content[: draw.choice((None, None, -1, -300))])
        try:
            unpack(archive, {"a": f"there{number}"}, tmp_path)
            good += 1
        except StudyError as error:
            assert str(error).startswith(str(archive))
    assert 0 < good < count and not list((tmp_path / ".partial").iterdir())

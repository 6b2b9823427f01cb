"""Unpack an archive that came from outside: plain files and folders only, inside the folder, whole or not at all."""

import errno
import shutil
import stat
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from data.errors import StudyError

GROWTH = 20  # times its size is the most that an archive may unpack to: text shrinks to a tenth, pictures hardly
# Failures of the disk. Windows has no quotas.
DISK = {errno.ENOSPC, errno.EACCES, errno.EPERM, errno.EROFS, errno.EMFILE, getattr(errno, "EDQUOT", errno.ENOSPC)}
STALE = 24 * 3600  # seconds after which a killed process's temporary folder is swept away


@contextmanager
def workspace(root: Path) -> Iterator[Path]:
    """A temporary folder below the data root; what killed processes left in theirs is swept away after a day."""
    partial = root / ".partial"
    partial.mkdir(parents=True, exist_ok=True)
    for old in partial.iterdir():
        if time.time() - old.stat().st_mtime > STALE:
            shutil.rmtree(old, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=partial, ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def unpack(archive: Path, members: Mapping[str, str], root: Path, size: int | None = None) -> None:
    """Unpack an archive into a fresh folder and move the wanted members into place, whole or not at all.

    Raises StudyError when it is damaged, when a member would land outside the folder or is a link or a device, and when
    it would become larger than GROWTH times its `size`, that of the file where nothing is known.
    """
    with workspace(root) as folder:
        tree = folder / "tree"
        tree.mkdir()
        try:
            extract(archive, tree, GROWTH * (size or archive.stat().st_size))
        except StudyError:
            raise
        except Exception as error:  # damaged bytes may raise nearly anything in tarfile, zipfile and the decompressors
            if isinstance(error, OSError) and error.errno in DISK:
                raise
            raise StudyError(f"{archive} cannot be unpacked: {error!r}. Remove it and run again.") from error
        for member, target in members.items():
            move(tree / member, root / target, archive)


def move(unpacked: Path, target: Path, archive: Path) -> None:
    """Rename into place; when another process was first, its result stays."""
    if not unpacked.exists():
        raise StudyError(f"{archive} has no {unpacked.name!r}: it is not the archive that was expected. Remove it.")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        unpacked.rename(target)
    except OSError:
        if not target.exists():
            raise


def extract(archive: Path, folder: Path, room: int) -> None:
    """Extract regular files and folders, `room` bytes at most; anything else, or a path that leaves the folder, stops
    it all."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as file:
            for info in file.infolist():
                kind = stat.S_IFMT(info.external_attr >> 16)
                check_member(archive, info.filename, kind in (0, stat.S_IFREG, stat.S_IFDIR))
                room = take_room(archive, room, info.file_size)
            file.extractall(folder)
    else:
        with tarfile.open(archive) as file:
            for info in file:
                check_member(archive, info.name, info.isreg() or info.isdir())
                room = take_room(archive, room, info.size)
            file.extractall(folder, filter="data")


def take_room(archive: Path, room: int, size: int) -> int:
    """What is left after a member of this size; each takes a block at least."""
    if (left := room - max(size, 512)) < 0:
        raise StudyError(
            f"{archive}: refused to unpack: it would become more than {GROWTH} times as large. This is not the "
            "official file; remove it."
        )
    return left


def check_member(archive: Path, name: str, plain: bool) -> None:
    path = PurePosixPath(name.replace("\\", "/"))
    if not plain or path.is_absolute() or ".." in path.parts or ":" in (path.parts or ("",))[0]:
        raise StudyError(
            f"{archive}: refused to unpack {name!r}: a link, a device or a path outside the folder. "
            "This is not the official file; remove it."
        )

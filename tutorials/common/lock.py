"""One writer for each folder."""

from pathlib import Path

import filelock

from data.errors import StudyError


class FolderLock:
    """One writer for each run folder: the operating system lets go of the lock even of a killed process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        whole = folder.resolve()  # "." has no name
        self.lock = filelock.FileLock(whole.with_name(f".{whole.name}.lock"), timeout=0)

    def acquire(self) -> None:
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            self.lock.acquire()
        except filelock.Timeout:
            raise StudyError(
                f"{self.folder}: another process is writing this run. Wait for it, or choose another "
                "folder with --run-dir."
            ) from None

    def release(self) -> None:
        self.lock.release(force=True)

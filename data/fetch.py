"""Download, verify and unpack what `data/sources.py` lists.

Nothing is ever half there: a file appears under its name only after its hash was right, a folder only after all of
it was unpacked. Both arrive by a rename, so an interruption leaves nothing that a later run could take for finished,
and two processes at once do the same work twice at worst.
"""

import hashlib
import os
import sys
import time
from collections.abc import Iterable
from functools import partial
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from data.errors import StudyError
from data.sources import SOURCES, File, Source
from data.unpack import unpack, workspace

# pooch and requests are imported where something is downloaded: they would take a third of a prediction's imports.
RETRIES = 2  # further tries of one address, before the next mirror
TIMEOUT = 20  # seconds without a byte
# Some official hosts have become so slow that a file takes an hour: below this rate, after this time, go to a mirror.
SLOWEST, PATIENCE = 100_000, 20  # bytes a second, seconds
# One mirror of WikiText-2 refuses clients that do not look like a browser.
USER_AGENT = "Mozilla/5.0 (compatible; pytorch-study)"


def default_root() -> Path:
    """Where data lies when no `--data-root` is given: the environment's `STUDY_DATA`, else `data/cache`."""
    return Path(os.environ.get("STUDY_DATA") or os.path.relpath(Path(__file__).parent / "cache"))


def get_source(name: str) -> Source:
    """The table's row for `name` (`ag-news` and `ag_news` are the same); raises StudyError for an unknown one."""
    try:
        return SOURCES[name.replace("-", "_")]
    except KeyError:
        raise StudyError(f"data: there is no data set {name!r}. Choose one of: {', '.join(SOURCES)}") from None


def matches(path: Path, known: str | None) -> bool:
    """Whether a file has the hash `algorithm:digits`; a sha256 may be a prefix, as torchvision publishes them."""
    if known is None:
        return True
    algorithm, _, digits = known.partition(":")
    return file_hash(path, algorithm).startswith(digits.lower())


def file_hash(path: Path, algorithm: str = "sha256") -> str:
    """A file's hash in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def present(file: File, root: Path) -> bool:
    """Whether everything that this file brings is in place (its hash is not read here)."""
    targets = file.unpack.values() if file.unpack else [file.path]
    return all((root / target).exists() for target in targets)


def fetch(name: str, root: Path | None = None, only: Iterable[str] | None = None) -> Path:
    """Bring a data set's files below `root`, verified, and return `root`.

    `only` names some of its files (the end of their path, as `train.csv`); without it all are brought.
    Raises StudyError when a file can be neither found nor downloaded, or is not what it should be.
    """
    source, root = get_source(name), Path(root or default_root())
    files = source.files if only is None else [pick(source, ending) for ending in only]
    try:
        for file in files:
            bring(name, file, root)
        verify(name, source, files, root)
    except OSError as error:  # requests' own errors are handled mirror by mirror
        raise StudyError(
            f"{name}: cannot read or write below {root}: {error}. Free some space or choose another folder "
            "with --data-root or STUDY_DATA."
        ) from error
    return root


def pick(source: Source, ending: str) -> File:
    """The one file of a data set whose path ends so."""
    found = [file for file in source.files if PurePosixPath(file.path).match(ending)]
    if len(found) != 1:
        known = ", ".join(PurePosixPath(file.path).name for file in source.files)
        raise StudyError(f"{source.title}: no file {ending!r}. It has: {known}")
    return found[0]


def bring(name: str, file: File, root: Path) -> None:
    """Download (unless a good copy is there) and unpack (unless it is unpacked) one file."""
    path = root / file.path
    if file.unpack and present(file, root):
        return
    if not (path.exists() and matches(path, file.hash)):
        download(name, file, root)
    if file.unpack:
        unpack(path, file.unpack, root, file.size)


def verify(name: str, source: Source, files: Iterable[File], root: Path) -> None:
    """Check the unpacked files against their published hashes, where there are any; nothing may be an empty folder."""
    targets = [target for file in files for target in file.unpack.values()]
    for path in (root / target for target in targets):
        if path.is_dir() and not any(path.iterdir()):
            raise StudyError(f"{name}: {path} is an empty folder. Remove it and run again.")
    for relative, known in source.checks.items():
        if not any(relative == target or relative.startswith(f"{target}/") for target in targets):
            continue
        path = root / relative
        if not path.exists() or not matches(path, known):
            wrong = "is missing" if not path.exists() else f"is damaged (its hash is not {known})"
            raise StudyError(
                f"{name}: {path} {wrong}. Remove {root / relative.split('/')[0]} and run again: "
                "it is then unpacked or downloaded anew."
            )


class GiveUpError(Exception):
    """This address will not do, and trying it again is of no use."""


class Progress(tqdm):
    """pooch's progress bar, silent when not on a terminal, which gives a crawling host up."""

    impatient = True

    def __bool__(self) -> bool:
        return True  # tqdm's own asks for a total, which some servers do not tell

    def update(self, n: float = 1) -> bool | None:
        self.begun, self.received = getattr(self, "begun", time.monotonic()), getattr(self, "received", 0) + n
        waited = time.monotonic() - self.begun
        if self.impatient and waited > PATIENCE and self.received / waited < SLOWEST:
            raise GiveUpError(f"slower than {SLOWEST // 1000} kB/s for {waited:.0f} s")
        return super().update(n)


def download(name: str, file: File, root: Path) -> None:
    """Try each address in turn; the file appears at its path once its hash is right."""
    import pooch
    import requests

    pooch.get_logger().setLevel("WARNING")  # its progress messages repeat ours
    path, failures = root / file.path, []
    for place, url in enumerate(file.urls, start=1):
        print(f"{name}: downloading {path.name} ({megabytes(file.size)}) from {url}", file=sys.stderr)
        try:
            transfer = partial(transfer_verified, file.hash, impatient=place < len(file.urls))
            with workspace(root) as folder:
                pooch.core.stream_download(url, folder / path.name, None, transfer, retry_if_failed=RETRIES)
                (folder / path.name).chmod(0o644)  # pooch's files are private; a class shares its data folder
                path.parent.mkdir(parents=True, exist_ok=True)
                (folder / path.name).replace(path)
        except (requests.RequestException, ValueError, GiveUpError) as error:
            failures.append(f"  {url}\n    {reason(error)}")
            continue
        if file.hash is None:
            what = f"what came has sha256:{file_hash(path)}"
            print(f"{name}: nobody publishes a hash of {path.name}; {what}", file=sys.stderr)
        return
    damaged = f"\n{path} is there, but its hash is not {file.hash}." if path.exists() else ""
    ready = ", ".join(str(root / target) for target in file.unpack.values())
    raise StudyError(
        f"{name}: could not download {path.name} ({megabytes(file.size)}). Tried:\n"
        + "\n".join(failures)
        + f"{damaged}\nPut the file at {path}"
        + (f", or what it unpacks to at {ready}" if ready else "")
        + ("." if name == "weights" else ". Or run on synthetic data: --data tiny (make … DATA=tiny).")
    )


def transfer_verified(known: str | None, url: str, part: str, _pooch: object, impatient: bool = False) -> None:
    """Bring one address's bytes to `part`; raises ValueError when they are not those of the hash."""
    import pooch
    import requests

    with Progress(unit="B", unit_scale=True, leave=False, disable=None) as bar:
        bar.impatient = impatient
        http = pooch.HTTPDownloader(
            progressbar=bar, chunk_size=1 << 16, timeout=TIMEOUT, headers={"User-Agent": USER_AGENT}
        )
        try:
            http(url, part, None)
        except requests.HTTPError as error:
            if error.response.status_code < 500:
                raise GiveUpError(reason(error)) from error
            raise
        except requests.ConnectionError as error:
            if "NameResolution" in str(error):
                raise GiveUpError("no network, or the host does not exist") from error
            raise
    if not matches(Path(part), known):
        raise ValueError(f"the downloaded file is the wrong one (its hash is not {known})")


def reason(error: Exception) -> str:
    """One line for a failed transfer: requests' own messages run over several."""
    import requests

    if isinstance(error, requests.HTTPError):
        return f"the server answered {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.ConnectTimeout | requests.ReadTimeout):
        return f"no answer within {TIMEOUT} s"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection was cut before the end of the file"
    if isinstance(error, requests.ConnectionError):
        return "the connection was refused or cut"
    return str(error)


def megabytes(size: int | None) -> str:
    """A size in bytes, as people say it."""
    if size is None:
        return "size unknown"
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{max(size / 1e6, 0.1):.1f} MB"

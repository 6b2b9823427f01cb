"""Text that a user brings: files in any encoding, read whole or refused with file, line and byte."""

import codecs
import io
import json
import re
from pathlib import Path
from typing import Any, BinaryIO

from data.errors import StudyError

# Byte order marks, the longer ones first: UTF-32's begins like UTF-16's.
MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
NO_TEXT = re.compile("[\0\ud800-\udfff]")  # in no text, but in bytes that are read in a wrong encoding
EXAMPLES = "cp949, gb18030, shift_jis, utf-16-le, cp1252"
ADVICE = f"Name the file's encoding with --encoding ({EXAMPLES} …), or save the file as UTF-8."


def check_encoding(name: str) -> None:
    """Raise ValueError for what is no encoding of text."""
    try:
        b"\xff".decode(name, "replace")
    except (LookupError, ValueError):
        raise ValueError(f"--encoding must be the name of an encoding ({EXAMPLES} …), not {name!r}") from None


def find_encoding(file: BinaryIO, path: Path, encoding: str = "utf-8") -> str:
    """What a byte order mark at the start says, else `encoding`; leaves the file at its start.

    Raises StudyError, with line and byte, for a file that is not all of that encoding.
    """
    start, own = file.read(4), codecs.lookup(encoding).name
    own += "-le" * (own in ("utf-16", "utf-32"))  # without a mark the byte order has to be told
    found = next((name for mark, name in MARKS.items() if start.startswith(mark)), own)
    decoder, line, chunk = codecs.getincrementaldecoder(found)(), 1, start
    file.seek(0)
    while chunk:
        chunk = file.read(1 << 20)
        try:
            text = decoder.decode(chunk, final=not chunk)
        except UnicodeDecodeError as error:
            offset = file.tell() - len(error.object) + error.start
            file.seek(0)
            line = file.read(offset).decode(found, "replace").count("\n") + 1
            byte = f"byte 0x{error.object[error.start]:02x} is not {found.removesuffix('-sig').upper()}"
            raise StudyError(f"{path}, line {line:,}: {byte}. {ADVICE}") from None
        if wrong := NO_TEXT.search(text):
            line += text.count("\n", 0, wrong.start())
            raise StudyError(f"{path}, line {line:,}: the character U+{ord(wrong[0]):04X} is in no text. {ADVICE}")
        line += text.count("\n")
    file.seek(0)
    return found


def read_text(path: Path, encoding: str = "utf-8") -> str:
    """A whole file's text; raises StudyError as `find_encoding` does, and for a file that cannot be read."""
    try:
        content = path.read_bytes()  # once: it may be a pipe
    except OSError as error:
        raise StudyError(f"cannot read {path}: {error.strerror}.") from error
    return content.decode(find_encoding(io.BytesIO(content), path, encoding))


def read_json(path: Path) -> Any:
    """What a JSON file holds; raises StudyError for any other file, and for one that is nested too deep."""
    try:
        return json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise StudyError(f"{path} is not readable JSON ({error}). Remove it, or get it again.") from error


def check_name(path: Path) -> str:
    """A file's name without its ending; raises StudyError for one that is not UTF-8, which nothing could print."""
    try:
        path.name.encode()
    except UnicodeEncodeError:
        raise StudyError(f"{path.parent}: the name {path.name!a} in it is not UTF-8. Rename it.") from None
    return path.stem

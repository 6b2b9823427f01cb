"""Downloads against a local server that behaves well and badly: what arrives is the file, or nothing."""

import hashlib
import http.server
import io
import os
import stat
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

import data
from data import StudyError, sources
from data.fetch import fetch
from data.sources import SOURCES, File, Source
from tests.processes import finish, start

CONTENT = os.urandom(300_000)
SHA256 = "sha256:" + hashlib.sha256(CONTENT).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    """/good, /missing, /wrong, /cut (half of the bytes), /slow (a trickle), /flaky (cut the first time)."""

    asked: list[str] = []  # noqa: RUF012

    def do_GET(self) -> None:
        self.asked.append(self.path)
        name = self.path.split("/")[1]
        cut = name == "cut" or (name == "flaky" and self.asked.count(self.path) == 1)
        content = CONTENT[::-1] if name == "wrong" else self.server.files.get(name, CONTENT)
        if name == "missing":
            return self.send_error(404)
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if name == "slow":
            for place in range(0, len(content), 10_000):
                self.wfile.write(content[place : place + 10_000])
                time.sleep(0.01)
        else:
            self.wfile.write(content[: len(content) // 2] if cut else content)

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch):
    """The server's address; retries do not wait."""
    Handler.asked = []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.files = {}
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    monkeypatch.setattr("pooch.core.time", SimpleNamespace(sleep=lambda seconds: None))
    server.address = f"http://127.0.0.1:{server.server_port}"
    yield server
    server.shutdown()


@pytest.fixture
def offer(server, monkeypatch):
    """Put a data set named `thing` into the table: its addresses are paths of the server."""

    def put(*names: str, known: str | None = SHA256, path: str = "thing.bin", unpack=None, checks=None) -> None:
        urls = tuple(f"{server.address}/{name}" for name in names)
        file = File(path, urls, len(CONTENT), known, unpack or {})
        monkeypatch.setitem(SOURCES, "thing", Source("Thing", (file,), "none", "nobody", ("thing",), checks or {}))

    return put


def leftovers(root: Path) -> list[str]:
    """Whatever lies below the root, temporary files included."""
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def test_a_good_file_arrives_and_is_not_asked_for_again(offer, tmp_path):
    offer("good")
    assert fetch("thing", tmp_path) == tmp_path
    assert (tmp_path / "thing.bin").read_bytes() == CONTENT
    assert stat.S_IMODE((tmp_path / "thing.bin").stat().st_mode) == 0o644
    fetch("thing", tmp_path)
    assert Handler.asked == ["/good"]


def test_404_goes_to_the_mirror_without_a_second_try(offer, tmp_path):
    offer("missing", "good")
    fetch("thing", tmp_path)
    assert Handler.asked == ["/missing", "/good"]
    assert leftovers(tmp_path) == ["thing.bin"]


def test_a_cut_connection_is_tried_again(offer, tmp_path):
    offer("flaky")
    fetch("thing", tmp_path)
    assert (tmp_path / "thing.bin").read_bytes() == CONTENT and Handler.asked == ["/flaky", "/flaky"]


@pytest.mark.parametrize("name, told", [("wrong", "file is the wrong one"), ("cut", "the connection was cut")])
def test_a_bad_file_never_gets_its_name(offer, tmp_path, name, told):
    offer(name)
    with pytest.raises(StudyError, match=told):
        fetch("thing", tmp_path)
    assert leftovers(tmp_path) == []
    assert len(Handler.asked) == 3


def test_a_crawling_host_is_given_up_for_a_mirror(offer, tmp_path, monkeypatch):
    monkeypatch.setattr("data.fetch.PATIENCE", 0.05)
    monkeypatch.setattr("data.fetch.SLOWEST", 10_000_000)
    offer("slow", "good")
    fetch("thing", tmp_path)
    assert Handler.asked == ["/slow", "/good"], "the mirror is asked only if the whole trickle was not waited for"
    offer("slow")  # the last address is waited for
    (tmp_path / "thing.bin").unlink()
    fetch("thing", tmp_path)


def test_a_damaged_copy_is_replaced_and_named_when_it_cannot_be(offer, tmp_path):
    (tmp_path / "thing.bin").write_bytes(b"damaged")
    offer("missing")
    with pytest.raises(StudyError, match=r"thing.bin is there, but its hash is not"):
        fetch("thing", tmp_path)
    assert (tmp_path / "thing.bin").read_bytes() == b"damaged"
    offer("good")
    fetch("thing", tmp_path)
    assert (tmp_path / "thing.bin").read_bytes() == CONTENT


def test_offline_the_message_says_all(offer, tmp_path):
    offer("missing", "cut", path="archives/thing.zip", unpack={"a": "folder/a"})
    with pytest.raises(StudyError) as caught:
        fetch("thing", tmp_path)
    message = str(caught.value)
    for part in ("thing.zip", "/missing\n", "404", "/cut\n", str(tmp_path / "archives/thing.zip"),
                 str(tmp_path / "folder/a"), "--data tiny"):  # fmt: skip
        assert part in message, part


def test_a_sha256_may_be_a_prefix_and_md5_is_known(offer, tmp_path):
    offer("good", known=SHA256[: len("sha256:") + 8])
    fetch("thing", tmp_path / "a")
    offer("good", known="md5:" + hashlib.md5(CONTENT).hexdigest())
    fetch("thing", tmp_path / "b")
    offer("good", known="sha256:" + "0" * 8)
    with pytest.raises(StudyError):
        fetch("thing", tmp_path / "c")


def test_a_file_nobody_published_a_hash_of_has_its_own_told(offer, tmp_path, capsys):
    offer("good", known=None)
    fetch("thing", tmp_path)
    assert SHA256 in capsys.readouterr().err


def zipped(*members: tuple[str, bytes, int]) -> bytes:
    """A zip of (name, content, unix mode)."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, content, mode in members:
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            file.writestr(info, content)
    return buffer.getvalue()


def tarred(*members: tuple[str, bytes | str, bytes]) -> bytes:
    """A tar.gz of (name, content or link target, type)."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as file:
        for name, content, kind in members:
            info = tarfile.TarInfo(name)
            info.type = kind
            if kind == tarfile.REGTYPE:
                info.size = len(content)
            else:
                info.linkname = content
            file.addfile(info, io.BytesIO(content) if kind == tarfile.REGTYPE else None)
    return buffer.getvalue()


PLAIN = ("thing/a.txt", b"good", stat.S_IFREG | 0o644)
EVIL = {
    "zip, path up": zipped(PLAIN, ("../evil", b"", 0)),
    "zip, path up inside": zipped(PLAIN, ("thing/../../evil", b"", 0)),
    "zip, absolute": zipped(PLAIN, ("/evil", b"", 0)),
    "zip, drive": zipped(PLAIN, ("C:/evil", b"", 0)),
    "zip, backslash": zipped(PLAIN, ("..\\evil", b"", 0)),
    "zip, link": zipped(PLAIN, ("thing/link", b"/etc/passwd", stat.S_IFLNK | 0o777)),
    "tar, path up": tarred(("../evil", b"x", tarfile.REGTYPE)),
    "tar, absolute": tarred(("/evil", b"x", tarfile.REGTYPE)),
    "tar, link": tarred(("thing/link", "/etc", tarfile.SYMTYPE), ("thing/link/evil", b"x", tarfile.REGTYPE)),
    "tar, hard link": tarred(("thing/link", "/etc/passwd", tarfile.LNKTYPE)),
    "tar, device": tarred(("thing/device", "", tarfile.CHRTYPE)),
}


@pytest.mark.parametrize("kind", EVIL)
def test_an_evil_archive_is_refused_whole(offer, server, tmp_path, kind):
    archive = EVIL[kind]
    server.files["evil"] = archive
    digest = "sha256:" + hashlib.sha256(archive).hexdigest()
    offer("evil", known=digest, path="archives/evil", unpack={"thing": "thing"})
    root = tmp_path / "deep" / "root"
    with pytest.raises(StudyError, match="refused to unpack"):
        fetch("thing", root)
    assert leftovers(tmp_path) == ["deep/root/archives/evil"]


@pytest.fixture
def archived(offer, server):
    """A good archive on offer, of two files, one of them held to a hash."""
    archive = zipped(("thing/a.txt", b"good", 0o100644), ("thing/sub/b.txt", b"also", 0o100644), ("other", b"", 0))
    server.files["archive"] = archive
    checks = {"there/a.txt": "sha256:" + hashlib.sha256(b"good").hexdigest()}
    digest = "sha256:" + hashlib.sha256(archive).hexdigest()
    offer("archive", known=digest, path="archives/thing.zip", unpack={"thing": "there"}, checks=checks)


def test_an_archive_is_unpacked_where_the_table_says(archived, tmp_path):
    fetch("thing", tmp_path)
    assert leftovers(tmp_path) == ["archives/thing.zip", "there/a.txt", "there/sub/b.txt"]
    (tmp_path / "archives/thing.zip").unlink()
    fetch("thing", tmp_path)  # what is unpacked is enough
    assert len(Handler.asked) == 1


@pytest.mark.parametrize("damage", ["changed", "removed"])
def test_a_damaged_unpacked_file_is_named(archived, tmp_path, damage):
    fetch("thing", tmp_path)
    file = tmp_path / "there/a.txt"
    file.write_text("bad") if damage == "changed" else file.unlink()
    with pytest.raises(StudyError, match=r"there/a.txt is (damaged|missing).*Remove .*there and run again"):
        fetch("thing", tmp_path)


def test_an_interrupted_unpacking_is_not_taken_for_a_finished_one(archived, tmp_path, monkeypatch):
    def interrupted(self: zipfile.ZipFile, folder: Path) -> None:
        (Path(folder) / "thing").mkdir()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(zipfile.ZipFile, "extractall", interrupted)
        fetch("thing", tmp_path)
    assert not (tmp_path / "there").exists()
    fetch("thing", tmp_path)
    assert (tmp_path / "there/sub/b.txt").read_text() == "also"


def test_a_file_that_is_no_archive_is_named(offer, tmp_path):
    offer("good", path="archives/thing.zip", unpack={"thing": "there"})
    with pytest.raises(StudyError, match="cannot be unpacked"):
        fetch("thing", tmp_path)


def fetch_here(root: str, source: Source) -> None:
    SOURCES["thing"] = source
    fetch("thing", Path(root))


def test_two_at_once_do_no_harm(archived, tmp_path):
    processes = [start(fetch_here, str(tmp_path), SOURCES["thing"], output=tmp_path / f"{n}.log") for n in range(4)]
    assert [finish(process, 60) for process in processes] == [0] * 4
    assert [name for name in leftovers(tmp_path) if not name.endswith(".log")] == [
        "archives/thing.zip", "there/a.txt", "there/sub/b.txt"]  # fmt: skip


def test_a_folder_that_cannot_be_written_is_named(offer, tmp_path):
    (tmp_path / "file").write_text("")
    offer("good")
    with pytest.raises(StudyError, match="cannot read or write below"):
        fetch("thing", tmp_path / "file")


def test_unknown_names_are_refused_with_the_known_ones():
    with pytest.raises(StudyError, match="cifar10"):
        fetch("cifar11", Path("."))
    with pytest.raises(StudyError, match="official or tiny"):
        data.load("cifar10", "huge")
    with pytest.raises(StudyError, match=r"resnet18-f37072fd\.pth"):
        fetch("weights", Path("."), ["resnet19.pth"])


@pytest.mark.parametrize("name", SOURCES)
def test_the_table_is_sound(name):
    source = SOURCES[name]
    assert source.title and source.license and source.citation and source.used_by and source.files
    for file in source.files:
        assert file.urls and all(url.startswith(("https://", "http://")) for url in file.urls)
        for path in (file.path, *file.unpack.values()):
            assert not Path(path).is_absolute() and ".." not in Path(path).parts
        if file.hash is None:
            assert all(url.startswith("https://") for url in file.urls), "without a hash only https will do"
        else:
            algorithm, digits = file.hash.split(":")
            shortest = {"sha256": 8, "md5": 32}[algorithm]
            assert len(digits) >= shortest and int(digits, 16) >= 0
    targets = [target for file in source.files for target in file.unpack.values()]
    assert all(any(path == target or path.startswith(f"{target}/") for target in targets) for path in source.checks)


def test_every_torchvision_weight_has_the_digits_of_its_name():
    weights = sources.SOURCES["weights"].files
    assert len(weights) == 23
    for file in weights:
        assert file.hash.removeprefix("sha256:").startswith(Path(file.path).stem.rpartition("-")[2])


@pytest.mark.parametrize("name", ["cifar10", "hymenoptera", "names", "eng_fra", "multi30k", "wikitext2"])
def test_the_real_data_pass_as_they_lie(real_data, name):
    assert fetch(name, real_data) == real_data


def test_the_real_archive_unpacks_to_the_real_files(real_data, tmp_path):
    if not (real_data / "archives/data.zip").exists():
        pytest.skip("needs archives/data.zip below STUDY_DATA")
    (tmp_path / "archives").mkdir()
    (tmp_path / "archives/data.zip").write_bytes((real_data / "archives/data.zip").read_bytes())
    fetch("names", tmp_path)
    fetch("eng_fra", tmp_path)
    assert (tmp_path / "eng-fra.txt").read_bytes() == (real_data / "eng-fra.txt").read_bytes()
    assert len(list((tmp_path / "names").iterdir())) == 18


def test_the_command_line_lists_and_refuses(tmp_path):
    def call(*argv: str) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "data", *argv, "--data-root", str(tmp_path)]
        return subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2])

    (tmp_path / "hymenoptera_data").mkdir()
    listed = call("list")
    assert listed.returncode == 0
    for name, source in SOURCES.items():
        assert f"data-{name.replace('_', '-')} " in listed.stdout and source.title.split()[0] in listed.stdout
    for name, told in (("nothing", "no data set 'nothing'"), ("hymenoptera", "is an empty folder")):
        result = call("fetch", name)
        assert result.returncode == 1 and told in result.stderr and "Traceback" not in result.stderr

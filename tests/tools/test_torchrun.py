"""Several hosts: two network namespaces that see each other through a cable of their own, and one file system."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.processes import same
from tests.programs import LANGUAGE_MODEL
from tutorials.common import plots
from tutorials.tools import torchrun

ROOT = Path(__file__).parents[2]
ARGV = (*LANGUAGE_MODEL.small, "--recipe", "original", "--epochs", "4", "--log-every", "1", "--dropout", "0",
        "--device", "cpu", "--save-every", "0.2")  # fmt: skip


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@pytest.fixture(scope="module")
def hosts():
    """Two namespaces, with the addresses 10.99.0.1 and 10.99.0.2."""
    if sys.platform != "linux" or os.geteuid() != 0 or not shutil.which("ip"):
        pytest.skip("needs root's right to make network namespaces")
    names = [f"study{os.getpid()}{letter}" for letter in "ab"]
    try:
        for name in names:
            ip("netns", "add", name)
        ip("link", "add", "end0", "netns", names[0], "type", "veth", "peer", "name", "end1", "netns", names[1])
        for number, name in enumerate(names):
            ip("-n", name, "addr", "add", f"10.99.0.{number + 1}/24", "dev", f"end{number}")
            for link in ("lo", f"end{number}"):
                ip("-n", name, "link", "set", link, "up")
    except subprocess.CalledProcessError as error:
        pytest.skip(f"cannot make network namespaces: {error.stderr!r}")
    yield names
    for name in names:
        ip("netns", "delete", name)


def begin(hosts: list[str], port: int, folder: Path) -> list[subprocess.Popen]:
    command = [sys.executable, "-m", "tutorials.tools.torchrun", "1", LANGUAGE_MODEL.module, "--run-dir", str(folder)]
    return [
        subprocess.Popen(
            ["ip", "netns", "exec", name, *command, *ARGV],
            env=os.environ | {"NNODES": "2", "NODE_RANK": str(rank), "MASTER": f"10.99.0.1:{port}", "RESTARTS": "3"},
            cwd=ROOT,
            text=True,
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
        )
        for rank, name in enumerate(hosts)
    ]


def workers(folder: Path) -> list[int]:
    """The processes that train, which know their rank."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words, environment = ((process / name).read_bytes() for name in ("cmdline", "environ"))
        except OSError:
            continue
        if str(folder).encode() in words and b"\0RANK=1\0" in environment:
            found.append(int(process.name))
    return found


@pytest.mark.slow
def test_two_hosts_train_as_one_and_survive_a_killed_process(hosts, tmp_path):
    for name, port in (("whole", 29511), ("killed", 29512)):
        running = begin(hosts, port, tmp_path / name)
        if name == "killed":
            while not (tmp_path / name / "last.safetensors").exists() and running[0].poll() is None:
                time.sleep(0.01)
            [worker] = workers(tmp_path / name)
            os.kill(worker, signal.SIGKILL)
        said = [process.communicate(timeout=200)[1] for process in running]
        assert [process.returncode for process in running] == [0, 0], said
        assert "host 1 of 2, 10.99.0.2: waiting for the others at 10.99.0.1:" in said[1]
    same(tmp_path / "whole", tmp_path / "killed")
    code, printed = LANGUAGE_MODEL.run(tmp_path / "one", *ARGV)
    assert code == 0, printed
    one, two = (plots.read_curves(tmp_path / name / "metrics.jsonl")["loss/train"] for name in ("one", "whole"))
    assert one[0] == two[0]
    np.testing.assert_allclose(two[1][:20], one[1][:20], rtol=1e-4)  # before rounding grows


@pytest.mark.parametrize(
    "given, message",
    [
        ({"NNODES": "2"}, "MASTER=host:port"),
        ({"NNODES": "2", "NODE_RANK": "2", "MASTER": "127.0.0.1"}, "NODE_RANK must be a whole number from 0 to 1"),
        ({"NNODES": "two"}, "NNODES must be a whole number from 1"),
        ({"NNODES": "2", "MASTER": "127.0.0.1:x"}, "MASTER's port must be a whole number"),
        ({"NNODES": "2", "MASTER": "no.such.host.invalid:1"}, "there is no way to that host"),
        ({"RESTARTS": "-1"}, "RESTARTS must be a whole number from 0"),
    ],
)
def test_what_does_not_fit_is_named(given, message, monkeypatch, capsys):
    for name in ("NNODES", "NODE_RANK", "MASTER", "RESTARTS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "argv", ["torchrun", "1", "tutorials.cifar10"])
    assert torchrun.main() == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1

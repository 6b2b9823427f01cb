"""`make study`: its table comes row by row, a failing row says where it wrote, and Ctrl-C ends all of it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.processes import KILLED

ROOT = Path(__file__).parents[2]


def start(folder: Path, *rows: str) -> subprocess.Popen:
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, "-m", "tests.study_rows", *rows],
        cwd=folder, env=os.environ | {"PYTHONPATH": path}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def wait_until(true) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def gone(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    return Path(f"/proc/{process}/stat").read_text().split()[2] == "Z"  # ended, and nobody has asked


def children(process: int) -> list[int]:
    """All processes below one."""
    below = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text().rsplit(")", 1)[1].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
        below.setdefault(parent, []).append(int(path.parent.name))
    found = list(below.get(process, []))
    for child in found:
        found += below.get(child, [])
    return found


def test_it_tells_who_learnt_and_where_a_failing_row_wrote(tmp_path):
    process = start(tmp_path, "good", "poor", "broken", "silent")
    told = process.communicate(timeout=120)[0]
    rows = {line.split()[0]: line for line in told.splitlines() if line.endswith(("figures", ".log"))}
    assert process.returncode == 1 and "3 of 4 did not learn or failed" in told
    assert " yes " in rows["good"] and rows["good"].endswith("runs/study/good/figures")
    for name, said in (("poor", "0.200"), ("broken", "failed, exit code 3"), ("silent", "failed, exit code 0")):
        assert said in rows[name] and " NO " in rows[name] and rows[name].endswith(f"see runs/study/{name}.log")
    assert "this is" not in told
    assert (tmp_path / "runs/study/broken.log").read_text() == "this is broken\n"


def test_all_is_well_when_all_have_learnt(tmp_path):
    process = start(tmp_path, "good")
    assert "did not learn" not in process.communicate(timeout=120)[0] and process.returncode == 0


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize(
    "sent", [signal.SIGINT, *(pytest.param(one, marks=pytest.mark.slow) for one in (signal.SIGTERM, -KILLED))]
)
def test_rows_come_one_by_one_and_a_signal_ends_them_all(tmp_path, sent):
    process = start(tmp_path, "good", "slow", "good")
    for line in process.stdout:
        if line.startswith("good"):
            break  # while the slow one goes on
    wait_until((tmp_path / "runs/study/begun").exists)
    below = children(process.pid)
    assert len(below) >= 2
    process.send_signal(sent)
    told = process.communicate(timeout=60)[0]
    wait_until(lambda: all(map(gone, below)))
    assert process.returncode == {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -9}[sent]
    assert sent == signal.SIGKILL or "slow: saved. To continue: …" in told
    assert "saved" in (tmp_path / "runs/study/slow.log").read_text()

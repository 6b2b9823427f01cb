"""What make runs ends in one line: where nothing can be written, and at Ctrl-C from the first moment on."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.processes import needs_signals

ROOT = Path(__file__).parents[2]
COMMANDS = {
    "study": ("tutorials.tools.run_all",),
    "scorecard": ("tutorials.tools.scorecard",),
    "exercise": ("comparisons.exercise", "relu_forward"),
    "race": ("comparisons.race", "--steps", "1"),
    "notebooks": ("docs.notebooks",),
    "initialization": ("from_scratch.studies.initialization",),
    "race-translation": ("tutorials.tools.race_translation",),
}


def launch(folder: Path, *words: str, **options: object) -> subprocess.Popen:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "tutorials.tools.launch", *words]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=folder, env=environment, **pipes, **options)


@pytest.mark.slow
@pytest.mark.parametrize("target", COMMANDS)
def test_a_checkout_that_cannot_be_written_gives_one_line(tmp_path, target):
    for folder in ("runs", "exercises", "docs"):  # files, where folders would have to be made
        (tmp_path / folder).touch()
    if target == "scorecard":
        (tmp_path / "docs").unlink()
        (tmp_path / "runs").unlink()
        shutil.copytree(ROOT / "docs/results", tmp_path / "docs/results")
        for name in ("README.md", "README.ko.md"):
            shutil.copy(ROOT / name, tmp_path)
        shutil.copytree(ROOT / "from_scratch", tmp_path / "from_scratch", ignore=shutil.ignore_patterns("*.py*"))
        (tmp_path / "docs/scorecard.md").mkdir()
    process = launch(tmp_path, target, *COMMANDS[target])
    out, err = process.communicate(timeout=120)
    assert process.returncode == 1 and "Traceback" not in out + err, out + err
    said = err.strip().splitlines()
    assert len(said) == 1 and ("cannot write" in said[0] or target == "race-translation"), err


@needs_signals
@pytest.mark.parametrize("ignored", [False, True], ids=["at a terminal", "in the background of a shell"])
def test_ctrl_c_while_modules_are_imported_is_not_lost(tmp_path, ignored):
    def before() -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN if ignored else signal.default_int_handler)

    (tmp_path / "slow.py").write_text("import time\nfrom pathlib import Path\nPath('begun').touch()\ntime.sleep(60)\n")
    process = launch(tmp_path, "slow", "slow", preexec_fn=before)
    while not (tmp_path / "begun").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130 and err.strip() == "make slow: stopped" and not out


def test_ctrl_c_that_was_lost_in_a_callback_counts_when_the_run_begins():
    from tutorials.common.interrupts import Stopping
    from tutorials.tools.launch import Early

    early = Early()
    with pytest.raises(KeyboardInterrupt):
        early(signal.SIGINT, None)  # raised in a callback, Python prints and forgets it
    before = signal.signal(signal.SIGINT, early)
    stopping = Stopping()
    try:
        with pytest.raises(KeyboardInterrupt):
            stopping.listen()
        assert stopping.asked and stopping.exit_code == 130
    finally:
        stopping.ignore()
        signal.signal(signal.SIGINT, before)


def test_more_processes_than_a_machine_can_bear_are_refused(tmp_path):
    environment = {"NPROC": "100000", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "tutorials.tools.launch", "names", "tutorials.char_rnn", "NPROC"]
    done = subprocess.run(command, cwd=tmp_path, env=os.environ | environment, capture_output=True, text=True)
    assert done.returncode == 2 and f"NPROC must be a whole number from 1 to {4 * os.cpu_count()}" in done.stderr


@pytest.mark.parametrize("script", ["tutorials/char_rnn.py", "from_scratch/studies/dropout.py"])
def test_a_script_runs_by_its_path_from_any_folder(tmp_path, script):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}  # what the environment's study.pth does
    command = [sys.executable, str(ROOT / script), "--help"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0 and "--run-dir" in done.stdout and not done.stderr

"""What a run keeps: the name of its data, their fingerprint, and files that come back damaged."""

import io
import json
import os
import shutil
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from data import StudyError, hymenoptera, load, names, tiny
from data.fingerprint import fingerprint
from tests.processes import context, needs_signals, run_ranks
from tests.trainings import SmallOptions, train
from tutorials.common import checkpoint, console, plots, summary
from tutorials.common.options import MOST_THREADS, own_name, parse
from tutorials.common.session import is_run

with suppress(ImportError):  # Windows has none
    import pty

SHORT = ("--epochs", "1")


@pytest.fixture
def go(capsys):
    """Runs the small training in this process: its exit code, and what it printed."""

    def run(*argv: object) -> tuple[int, str]:
        try:
            code = train(*map(str, argv)) or 0
        except SystemExit as ended:
            code = ended.code
        return code, "".join(capsys.readouterr())

    return run


@pytest.fixture(scope="module")
def half(tmp_path_factory) -> Path:
    """A run on a table of the user's that was left with two good checkpoints, and all that a run leaves."""
    folder = tmp_path_factory.mktemp("half")
    (folder / "My pairs (1).tsv").write_text("a\tb\n")
    train("--run-dir", str(folder / "run"), "--table", str(folder / "My pairs (1).tsv"), "--save-every", "0", *SHORT)
    return folder


@pytest.fixture
def copied(half, tmp_path) -> Path:
    """A copy of its folder; the table keeps its path, which is an option."""
    shutil.copytree(half / "run", tmp_path / "run")
    return tmp_path / "run"


# The data that a run was trained on


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("my pairs.tsv", "my-pairs"), ("tiny.tsv", "own-tiny"), ("official-2.tsv", "own-official-2"),
        ("ß한국.csv", "ß한국"), ("a$(b);c.tsv", "a-b-c"), ("...", "data"), ("x" * 90, "x" * 40),
        ("bad\udce8.tsv", "bad"),
    ],
)  # fmt: skip
def test_own_data_have_a_short_safe_name(tmp_path, file, name):
    assert own_name(SmallOptions(table=tmp_path / file)) == name
    assert own_name(SmallOptions()) == ""


def test_a_folder_is_called_by_its_whole_name(tmp_path):
    (tmp_path / "photos.v2").mkdir()
    assert own_name(SmallOptions(table=tmp_path / "photos.v2")) == "photos-v2"


def test_a_run_is_called_after_its_own_data_and_predictions_find_it(tmp_path, monkeypatch, go):
    monkeypatch.chdir(tmp_path)
    Path("My pairs.tsv").write_text("a\tb\n")
    assert go("--data", "official", "--table", "My pairs.tsv", *SHORT)[0] == 0
    folder = Path("runs/small-My-pairs-study-seed0")
    told = summary.read(folder / "summary.json")
    assert (told["data"], told["options"]["data"]) == ("My-pairs", "My-pairs")
    assert checkpoint.find_best("small") == folder / "best.safetensors"
    assert go(*SHORT)[0] == 0  # the twin's net is newer, and knows less
    assert checkpoint.find_best("small") == folder / "best.safetensors"
    shutil.rmtree(folder)
    path = checkpoint.find_best("small")
    assert path == Path("runs/small-tiny-study-seed0/best.safetensors")
    assert "trained on synthetic data only; make small DATA=official" in checkpoint.describe(path, "small")


def test_every_option_for_own_data_names_the_run():
    from tutorials import char_rnn, seq2seq, text_sentiment, transfer_learning, translation

    kinds = [(char_rnn.NamesOptions, "folder"), (seq2seq.Seq2SeqOptions, "pairs"), (text_sentiment.TextOptions, "csv"),
             (transfer_learning.TransferOptions, "images"), (translation.TranslationOptions, "source")]  # fmt: skip
    for kind, option in kinds:
        more = ["--target", "b.en"] if option == "source" else []
        options = parse(kind, {}, [f"--{option}", "mine/my own.x", *more])
        assert (options.data, own_name(options)) == ("my-own", "my-own"), kind


@pytest.mark.parametrize("given", [["--source", "a.de"], ["--source=a.de"], ["--recipe", "study", "--source", "a.de"]])
def test_own_data_are_trained_on_by_the_recipe_for_real_data(given):
    from tutorials.translation import RECIPES, TranslationOptions

    sizes = [parse(TranslationOptions, RECIPES, argv).d_model for argv in ([], [*given, "--target", "a.en"])]
    assert sizes == [RECIPES["study-tiny"]["d_model"], RECIPES["study"]["d_model"]] != sizes[:1] * 2


def test_data_that_changed_are_refused_on_resume_and_put_back_taken(half, copied, go):
    table = half / "My pairs (1).tsv"
    before = table.read_bytes()
    argv = ["--run-dir", copied, "--table", table, "--resume", *SHORT]
    for changed in (b"a\tb\nc\td\n", b"b\ta\n"):
        table.write_bytes(changed)
        code, printed = go(*argv)
        table.write_bytes(before)
        assert code == 1 and printed.count("\n") <= 2 and "the data have changed since the run" in printed
        assert str(table) in printed and "leave out --resume" in printed
    (copied / "identity.json").unlink()  # the checkpoint knows them too
    table.write_bytes(b"other")
    assert go(*argv)[0] == 1
    table.write_bytes(before)
    code, printed = go(*argv)
    assert code == 0 and "trained already" in printed


@pytest.mark.parametrize("name", sorted({*tiny.__all__} - {"digits"}))  # which are real, and their own twin
def test_a_twin_follows_from_its_seed_and_so_does_its_fingerprint(name, tmp_path):
    first, again, other = (fingerprint(load(name, "tiny", seed=seed), tmp_path) for seed in (0, 0, 1))
    assert first == again != other


def test_a_fingerprint_follows_from_what_is_read_alone(tmp_path):
    written = []
    for place in ("here", "there/deeper"):
        root = tmp_path / place
        for label in ("a", "b"):
            (root / "data").mkdir(parents=True, exist_ok=True)
            (root / "data" / f"{label}.txt").write_text("Łukasz\nšedý\n漢\n")
        written.append(fingerprint(names.read_folder(root / "data"), root))
    assert written[0] == written[1]
    pictures = hymenoptera.Pictures((tmp_path / "1.png",), np.zeros(1), (tmp_path / "2.png",), np.zeros(1), ("a",))
    (tmp_path / "1.png").write_bytes(b"one")
    before = fingerprint(pictures, tmp_path)
    (tmp_path / "1.png").write_bytes(b"two")
    assert fingerprint(pictures, tmp_path) != before


def test_two_processes_refuse_other_data_together(tmp_path):
    (tmp_path / "x.tsv").write_text("a")
    argv = ["--table", str(tmp_path / "x.tsv"), *SHORT]
    assert run_ranks(train, tmp_path / "run", *argv) == [0, 0]
    (tmp_path / "x.tsv").write_text("ab")
    assert run_ranks(train, tmp_path / "run", *argv, "--resume") == [1, 1]
    assert (tmp_path / "run.0.txt").read_text().count("the data have changed") == 1


# Runs that failed


def test_a_run_that_failed_at_once_is_no_earlier_run(copied, go, tmp_path):
    before = sorted(path.name for path in copied.iterdir())
    code, printed = go("--run-dir", copied, "--table", tmp_path / "none.tsv", *SHORT)
    assert code == 1 and "none.tsv" in printed
    assert sorted(path.name for path in copied.iterdir()) == before, "the earlier run is back in its place"
    assert go("--run-dir", tmp_path / "new", "--table", tmp_path / "none.tsv", *SHORT)[0] == 1
    assert not (tmp_path / "new").exists()


def test_what_a_kill_in_the_first_second_leaves_is_no_earlier_run(tmp_path, go):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "metrics.jsonl").touch()
    (folder / ".identity.json.part").write_text("{")
    code, printed = go("--run-dir", folder, *SHORT)
    assert code == 0 and "earlier run" not in printed and not (tmp_path / "run.1").exists()


def test_what_is_no_run_is_left_alone(tmp_path, go):
    record = {"metrics.jsonl": "{}\n"}
    owned = record | {"identity.json": '{"owner": "me"}'}
    for number, foreign in enumerate((record, owned, {"thesis.txt": "years of work"})):
        folder = tmp_path / f"mine{number}"
        folder.mkdir()
        for name, text in foreign.items():
            (folder / name).write_text(text)
        code, printed = go("--run-dir", folder, *SHORT)
        assert code == 1 and "files of other kinds" in printed and not is_run(folder)
        assert {path.name: path.read_text() for path in folder.iterdir()} == foreign


# Damaged files


def drop_key(name: str, *keys: str):
    def damage(folder: Path) -> None:
        path = folder / name
        tree = checkpoint.load(path)
        part = tree
        for key in keys[:-1]:
            part = part[key]
        del part[keys[-1]]
        checkpoint.save(path, tree)

    return damage


def write(name: str, content: bytes):
    return lambda folder: (folder / name).write_bytes(content)


def in_record(line: bytes):
    def damage(folder: Path) -> None:
        first, rest = (folder / "metrics.jsonl").read_bytes().split(b"\n", 1)
        (folder / "metrics.jsonl").write_bytes(line + b" " * (len(first) - len(line)) + b"\n" + rest)

    return damage


DAMAGES = {
    "identity cut": (write("identity.json", b'{"tuto'), 0, ""),
    "identity emptied": (write("identity.json", b""), 0, ""),
    "identity not UTF-8": (write("identity.json", b"\xff\xfe{}"), 0, ""),
    "identity no object": (write("identity.json", b"[1]"), 0, ""),
    "threads no number": (write("threads", b"\xb2\xff"), 0, ""),
    "threads a long number": (write("threads", b"9" * 5000), 0, ""),
    "record emptied": (write("metrics.jsonl", b""), 0, ""),
    "record no JSON": (in_record(b"\xff\xfe{"), 0, "1 damaged lines are left out"),
    "record no point": (in_record(b'{"a": 1}'), 0, "1 damaged lines are left out"),
    "record no object": (in_record(b"7"), 0, "1 damaged lines are left out"),
    "summary cut": (write("summary.json", b'{"name"'), 0, ""),
    "last cut": (lambda folder: os.truncate(folder / "last.safetensors", 200), 0, "Continuing from the one before it"),
    "last emptied": (write("last.safetensors", b""), 0, "Continuing from the one before it"),
    "last no checkpoint": (drop_key("last.safetensors", "epoch"), 0, "lacks epoch"),
    "last of no options": (drop_key("last.safetensors", "identity"), 0, "lacks identity"),
    "last without its net": (drop_key("last.safetensors", "tracked", "net"), 1, "net in it cannot be continued"),
    "last without a weight": (drop_key("last.safetensors", "tracked", "net", "0.bias"), 1, "Remove the file"),
    "last without Adam's": (drop_key("last.safetensors", "tracked", "optimizer", "state"), 1, "optimizer in it"),
    "last without generators": (drop_key("last.safetensors", "processes", 0, "random"), 1, "progress in it"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_mended_or_told_in_one_line(name, half, copied, go):
    damage, wanted, told = DAMAGES[name]
    damage(copied)
    code, printed = go("--run-dir", copied, "--table", half / "My pairs (1).tsv", "--resume", *SHORT)
    assert code == wanted and told in printed and "Traceback" not in printed, printed
    assert wanted == 0 or printed.strip().count("\n") == 0
    if wanted == 0:
        assert summary.read(copied / "summary.json")["metrics"]["val/accuracy"] > 0.4
        assert is_run(copied)


def test_a_damaged_record_of_another_run_does_not_end_a_figure(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 1, "epoch": 1, "seconds": 0.5, "loss/train": 3}\n\xff{\n[]\n{"step": 2, "epo')
    assert plots.read_curves(path) == {"loss/train": ([1], [3])}


def test_a_damaged_summary_is_told_and_left_out(copied, capsys):
    for damage in (b"", b"{", b"[]", b"\xff", b'{"name": "small"}'):
        (copied / "summary.json").write_bytes(damage)
        assert summary.read(copied / "summary.json") is None
        assert capsys.readouterr().err.count("summary.json is damaged") == 1
    assert summary.read(copied / "none.json") is None and not capsys.readouterr().err


def test_a_saved_net_without_a_weight_is_told_in_one_line(tmp_path):
    from tutorials import cifar10

    path = tmp_path / "best.safetensors"
    for about in ({"tutorial": "cifar10", "options": {"width": 1}, "classes": ["a"]}, {"tutorial": "cifar10"}):
        checkpoint.save(path, {"fc3.bias": np.zeros(3), "about": about})
        with pytest.raises(StudyError, match=r"best\.safetensors is damaged or from an earlier version .*make cifar10"):
            cifar10.load_net(path)


# Folders, limits, signals


def test_folders_that_cannot_be_are_told_in_one_line(tmp_path, go):
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    for folder in ("/", "x" * 300, tmp_path / "a", tmp_path / "a" / "run", "y" * 300 + "/run"):
        code, printed = go("--run-dir", folder)
        assert code == 2 and printed.count("\n") == 1 and "--run-dir" in printed, folder
        assert "give another folder" in printed


def test_threads_have_a_limit(tmp_path, go):
    code, printed = go("--run-dir", tmp_path / "run", "--threads", MOST_THREADS + 1)
    assert code == 2 and f"--threads must be in 0..{MOST_THREADS} (four for each of the cores)" in printed


def slow(folder: str, terminal: str) -> None:
    """The training with the progress bar of a terminal."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests may run under nohup
    os.setsid()
    descriptor = os.open(terminal, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(descriptor, stream)
    os.close(descriptor)
    sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
    train("--run-dir", folder, "--pause", "0.01", "--epochs", "20", "--save-every", "1000")


@needs_signals
@pytest.mark.parametrize("opened", ["terminal", "pipe"])
def test_a_line_for_a_closed_terminal_or_pipe_is_lost_and_no_more(opened, monkeypatch):
    reading, writing = pty.openpty() if opened == "terminal" else os.pipe()
    os.close(reading)
    with pytest.raises(OSError, match=r"Input/output error|Broken pipe"):
        os.write(writing, b"a line")
    for buffer in (io.FileIO(writing, "w"), io.BufferedWriter(io.FileIO(os.dup(writing), "w"))):
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(buffer))
        console.say("a line")
        sys.stdout.flush()  # as Python does at its end


@needs_signals
def test_a_closed_terminal_saves_and_ends(tmp_path):
    master, terminal = pty.openpty()
    process = context.Process(target=slow, args=(str(tmp_path / "run"), os.ttyname(terminal)), daemon=True)
    process.start()
    record = tmp_path / "run" / "metrics.jsonl"
    while not (record.exists() and record.stat().st_size):
        time.sleep(0.01)
    os.close(terminal)
    os.close(master)
    process.join(60)
    assert process.exitcode == 128 + signal.SIGHUP
    assert checkpoint.load(tmp_path / "run" / "last.safetensors")["step"] > 0
    assert json.loads((tmp_path / "run" / "identity.json").read_text())["tutorial"] == "small"

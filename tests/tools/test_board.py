"""make board: entries are read, run within their budget, and stand in a row beside ours."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tutorials.tools import board

ENTRY = '"""A wider step."""\nBUDGET = "cifar10-net"\nOPTIONS = {"lr": 0.03, "flip": False, "batch_size": 64}\n'


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_an_entry_is_begun_and_then_has_its_row(place, capsys):
    assert board.main(["--entry", "mine.py"]) == 0
    assert 'BUDGET = "cifar10-net"' in Path("mine.py").read_text() and "wrote mine.py" in capsys.readouterr().out
    assert board.read(Path("mine.py"))[2] == {"lr": 0.025, "width": 6, "val_size": 5000}
    Path("mine.py").write_text(ENTRY)
    assert board.main(["--entry", "mine.py", "--data", "tiny", "--seeds", "1"]) == 0
    [row] = json.loads(Path("runs/board/board.json").read_text())
    assert row["parameters"] == 62_006 and row["val"][0] > 0.5 and 0 < row["minutes"][0] < 3
    options = json.loads(Path("runs/board/mine-tiny-seed0/summary.json").read_text())["options"]
    assert (options["lr"], options["flip"], options["batch_size"]) == (0.03, False, 64)
    line = next(line for line in capsys.readouterr().out.splitlines() if "A wider step.  " in line)
    assert line.startswith("1 ") and "yours" in line and "62,006" in line


@pytest.mark.slow
def test_a_net_of_ones_own(place):
    Path("net.py").write_text(
        '"""Small."""\nfrom torch import nn\nBUDGET = "cifar10"\nOPTIONS = {"epochs": 1}\n\n\ndef make_net():\n'
        "    return nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(4, 10))\n"
    )
    command = [
        sys.executable,
        "-m",
        "tutorials.tools.board",
        "--entry",
        "net.py",
        "--data",
        "tiny",
        "--train",
        "0",
        "run",
    ]
    subprocess.run(command, check=True, capture_output=True)
    assert json.loads(Path("run/summary.json").read_text())["parameters"] == 4 * 27 + 4 + 4 * 10 + 10


@pytest.mark.parametrize(
    "text, message",
    [
        ("BUDGET = 'fast'\nOPTIONS = {}", "BUDGET must be one of cifar10-net, cifar10, names, not 'fast'"),
        ("BUDGET = 'names'\nOPTIONS = [1]", "OPTIONS must be a dict"),
        ("BUDGET = 'cifar10-net'\nOPTIONS = {'width': 12}", "width is 6 for every entry of cifar10-net"),
        ("BUDGET = 'names'\nOPTIONS = {}\ndef make_net(): 0", "make_net goes with the budget cifar10"),
        ("import nothing_there", "line 1: ModuleNotFoundError"),
        ("x = 1\ndef f(:", "line 2: SyntaxError"),
    ],
)
def test_what_an_entry_must_not_be(place, capsys, text, message):
    Path("mine.py").write_text(text)
    with pytest.raises(SystemExit) as ended:
        board.main(["--entry", "mine.py"])
    error = capsys.readouterr().err
    assert ended.value.code == 1 and message in error and error.count("\n") == 1


def test_what_takes_longer_than_its_budget_is_not_placed(place, monkeypatch, capsys):
    row = {"budget": "names", "title": "slow", "file": "a.py", "data": "official", "options": {}, "own net": False,
           "parameters": 1, "minutes": [1.0, 2.1], "val": [0.9, 0.9], "test": [0.9, 0.8], "machine": "x"}  # fmt: skip
    monkeypatch.setattr(board, "OURS", place / "ours.json")
    board.keep(row, board.OURS)
    board.keep({**row, "minutes": [1.0], "val": [0.8], "title": "quick", "file": "b.py"}, board.YOURS)
    board.keep({**row, "minutes": [1.5], "val": [0.7], "title": "other", "file": "b.py"}, board.YOURS)
    assert board.main([]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if "0.0" in line or "%" in line or "(n =" in line]
    assert lines[0].startswith("1 ") and "other" in lines[0] and "70.00 (n = 1)" in lines[0]
    assert lines[1].startswith("over") and "90.00 ± 0.00 (n = 2)" in lines[1] and "quick" not in "".join(lines)

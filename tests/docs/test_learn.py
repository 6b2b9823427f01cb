"""The ladder of exercises: honest about what is done, and plain about what comes next."""

import pytest

from comparisons.exercise import FUNCTIONS, NOTEBOOKS, create, mark
from docs import learn
from docs.ideas import IDEAS, home

NAMES = [name for names in learn.rungs().values() for name in names]


def test_every_exercise_stands_on_one_rung_and_has_a_page():
    assert len(NAMES) == len(set(NAMES)) and set(NAMES) == {
        n for c in NOTEBOOKS.values() for x in c for n in x.functions
    }
    assert set(NAMES) <= FUNCTIONS.keys() and {home(name) for name in NAMES} <= set(IDEAS)
    assert NAMES[0] == "affine_forward" and list(learn.rungs())[1:3] == ["Nearest neighbors", "Linear classifiers"]


def test_a_reader_who_begins_is_told_what_to_do(tmp_path, capsys):
    assert learn.main(["--folder", str(tmp_path / "exercises")]) == 0
    out = capsys.readouterr().out
    assert f"0 of {len(NAMES)} exercises are done" in out and "Begun" not in out
    assert "Next: affine_forward\n" in out and "make exercise LAYER=affine_forward" in out
    assert "read      runs/book/ideas/affine-layers.html" in out.replace("\\", "/")
    assert not list(tmp_path.iterdir()), "to look changes nothing"


def test_the_ladder_tells_done_from_begun(tmp_path):
    for name in NAMES[:2]:
        mark(create(name, tmp_path / f"{name}.py"), [])  # done: none of no checks is red
    text = learn.ladder(tmp_path)
    assert f"2 of {len(NAMES)} exercises are done" in text and f"Next: {NAMES[2]}" in text
    path = tmp_path / f"{NAMES[0]}.py"
    path.write_text(path.read_text() + "# changed\n")
    (tmp_path / f"{NAMES[1]}.green").write_bytes(b"\xff\x00 8 of 8\n")  # no mark of ours
    text = learn.ladder(tmp_path)
    row = next(line.split() for line in text.splitlines() if line.startswith(learn.FIRST))
    assert row[1:] == ["2", str(len(learn.rungs()[learn.FIRST]) - 2)], "none done, two begun, the others open"
    assert f"0 of {len(NAMES)} exercises are done" in text and f"Next: {NAMES[0]}\n" in text
    assert text.count(f"{NAMES[0]}: {learn.UNCHECKED}") == text.count(f"{NAMES[1]}: {learn.UNCHECKED}") == 1


def test_at_the_top_nothing_comes_next(tmp_path, monkeypatch):
    monkeypatch.setattr(learn, "state", lambda path: ("done", ""))
    text = learn.ladder(tmp_path)
    assert f"{len(NAMES)} of {len(NAMES)} exercises are done" in text and "top of the ladder" in text
    assert "Next" not in text


def test_a_folder_that_is_none_is_told_in_one_line(tmp_path, capsys):
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit, match="1"):
        learn.main(["--folder", str(tmp_path / "file")])
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "file is no folder" in err

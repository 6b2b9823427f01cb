"""The scorecard keeps what official runs wrote; the table of make study tells a failure from a success."""

import json

import pytest

from tutorials.common import scorecard, study


def summary(**changes) -> dict:
    return {
        "name": "thing", "recipe": "study", "data": "official", "seed": 0, "device": "cpu", "threads": 2,
        "seconds": {"train": 10.0, "total": 12.0}, "changed": {}, "processes": 1,
        "metrics": {"test/accuracy": 0.7}, "published": {"test/accuracy": 0.5},
        "chance": {"test/accuracy": 0.1},
    } | changes  # fmt: skip


def write(folder, content: dict) -> None:
    folder.mkdir(parents=True)
    (folder / "summary.json").write_text(json.dumps(content))


def test_summaries_of_official_runs_are_kept_and_averaged(tmp_path):
    runs, results = tmp_path / "runs", tmp_path / "results"
    for seed, accuracy in enumerate((0.70, 0.72, 0.74)):
        write(runs / f"thing-official-study-seed{seed}", summary(seed=seed, metrics={"test/accuracy": accuracy}))
    write(runs / "thing-official-study-seed0.1", summary(metrics={"test/accuracy": 0.0}))  # an older one, moved aside
    write(runs / "thing-official-study-seed7", summary(seed=7, changed={"epochs": 1}))  # not the recipe
    write(runs / "thing-tiny-study-seed0", summary(data="tiny"))
    scorecard.keep_summaries(runs, results)
    assert len(list(results.iterdir())) == 3
    table = scorecard.table(scorecard.read_summaries(results))
    assert "0.720 ± 0.020" in table and "0.500" in table and table.count("\n") == 2


def test_the_table_goes_between_its_markers_and_nowhere_else():
    text = f"before\n{scorecard.BEGIN}\nold\n{scorecard.END}\nafter\n"
    once = scorecard.replace_table(text, "new")
    assert once == f"before\n{scorecard.BEGIN}\nnew\n{scorecard.END}\nafter\n"
    assert scorecard.replace_table(once, "new") == once
    with pytest.raises(SystemExit, match="markers"):
        scorecard.replace_table("no markers", "new")


@pytest.mark.parametrize(
    "code, accuracy, told", [(0, 0.9, "yes"), (0, 0.2, "NO"), (1, None, "failed"), (0, None, "failed")]
)
def test_study_tells_who_learnt(tmp_path, monkeypatch, capsys, code, accuracy, told):
    monkeypatch.setattr(study, "RUNS", tmp_path / "study")
    monkeypatch.setattr(study, "STUDIES", (study.Study("thing", "tutorials.thing", "test/accuracy", 0.5),))

    def run(command):
        if accuracy is not None:
            write(tmp_path / "study" / "thing", summary(metrics={"test/accuracy": accuracy}))
        return type("Result", (), {"returncode": code})

    monkeypatch.setattr(study.subprocess, "run", run)
    assert study.main() == (0 if told == "yes" else 1)
    assert told in capsys.readouterr().out

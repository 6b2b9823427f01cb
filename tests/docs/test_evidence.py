"""Which run's figures the book shows."""

import json
from pathlib import Path

from docs import evidence
from tutorials.common.summary import NEEDED


def test_figures_are_those_kept_of_an_official_run_else_its_own_else_the_twins(tmp_path, monkeypatch):
    def write(folder: Path, name: str, data: str) -> None:
        (folder / "figures" if name == "summary" else folder).mkdir(parents=True)
        known = dict.fromkeys(NEEDED) | {"data": data, "recipe": "study", "seed": 0, "changed": {}}
        (folder / f"{name}.json").write_text(json.dumps(known))
        (folder / ("figures" if name == "summary" else "") / f"{data}.png").touch()

    monkeypatch.setattr(evidence, "FIGURES", tmp_path / "kept")
    runs = tmp_path / "runs"
    assert evidence.gather("thing", runs).figures == {}
    write(runs / "study/thing", "summary", "tiny")
    twin = evidence.gather("thing", runs)
    assert list(twin.figures) == ["tiny"] and "(it only checks that everything runs)" in twin.source()
    write(runs / "thing-official-study-seed0", "summary", "official")
    assert list(evidence.gather("thing", runs).figures) == ["official"]
    write(tmp_path / "kept/thing", "source", "official")
    found = evidence.gather("thing", runs)
    assert found.figures == {"official": tmp_path / "kept/thing/official.png"} and found.twin
    assert found.source() == "the real data, recipe study, seed 0"

"""Exercises: write a layer yourself, and let its parity cases check it, step by step.

    python -m comparisons.exercise --list                          all of them, in the course's order
    python -m comparisons.exercise batchnorm_backward              a file to fill in, below exercises/
    python -m comparisons.exercise batchnorm_backward --check      red until it is right, then green

Nothing of the repository is touched: exercises/ is yours, and git does not see it.
"""

import argparse
import ast
import hashlib
import inspect
import re
import runpy
import sys
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from textwrap import dedent

from comparisons.cases import CASES, NOTEBOOKS
from comparisons.checks import Check, examine
from comparisons.public import FUNCTIONS, HELPERS
from data import StudyError
from tutorials.common.interrupts import one_line_errors

FOLDER, GREEN = Path("exercises"), ".green"


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("layer", nargs="?", help="the function to write, such as affine_forward")
    parser.add_argument("--check", action="store_true", help="end with exit code 1 unless it is green")
    parser.add_argument("--list", action="store_true", help="name all exercises, in the course's order")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the files lie (default: exercises)")
    options = parser.parse_args(argv)
    with one_line_errors():
        if options.list or not options.layer:
            print(listing(options.folder))
            return 0
        name = known(options.layer)
        path = options.folder / f"{name}.py"
        if not options.check and not path.exists():
            print(f"wrote {create(name, path)}: fill in {name}, and run the same again.")
        checks = examine(name, load(name, path), path)
        green = mark(path, checks)
        print(report(name, path, checks))
        return 0 if green or not options.check else 1


def known(name: str) -> str:
    """The exercise's name; raises StudyError, with the nearest ones, for another."""
    names = {name for case in CASES for name in case.functions}
    if name not in names:
        near = get_close_matches(name, names, cutoff=0.4)
        meant = f" Did you mean: {', '.join(near)}?" if near else ""
        raise StudyError(f"exercise: there is no {name}.{meant} All of them: make exercises.")
    return name


def listing(folder: Path) -> str:
    """Every exercise under its notebook; those with a file say whether it is there."""
    lines = []
    for notebook, names in by_notebook().items():
        lines.append(f"\n{notebook}")
        for name in names:
            word, note = state(folder / f"{name}.py")
            lines.append(f"  {name}" if word == "open" else f"  {name}  ({word}{note and f': {note}'})")
    return "\n".join([*lines, "", "Begin one: make exercise LAYER=affine_forward"]).lstrip()


def by_notebook() -> dict[str, list[str]]:
    """The exercises of each notebook; one that stands in two belongs to the first."""
    homes = {}
    for notebook, cases in NOTEBOOKS.items():
        for name in (name for case in cases for name in case.functions):
            homes.setdefault(name, notebook)
    return {notebook: [name for name, home in homes.items() if home == notebook] for notebook in NOTEBOOKS}


def state(path: Path) -> tuple[str, str]:
    """Whether an exercise is open, begun, or done: green as it stands. Of a begun one how far it is, or nothing after
    a change that was not checked."""
    if not path.is_file():
        return "open", ""
    found = path.with_suffix(GREEN)
    text = found.read_text(encoding="utf-8", errors="replace") if found.is_file() else ""
    match = re.fullmatch(r"(\w{64}) (\d+) of (\d+)\n", text)
    if not match or match[1] != digest(path):
        return "begun", ""
    return ("done", "") if match[2] == match[3] else ("begun", f"{match[2]} of {match[3]} green")


def mark(path: Path, checks: list[Check]) -> bool:
    """Remember how many checks of which text of a file were green; whether all were."""
    green = sum(check.state == "green" for check in checks)
    path.with_suffix(GREEN).write_text(f"{digest(path)} {green} of {len(checks)}\n", encoding="utf-8")
    return green == len(checks)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def report(name: str, path: Path, checks: list[Check]) -> str:
    """How many checks are green, and a line for each; of a red one, why."""
    green = sum(check.state == "green" for check in checks)
    lines = [f"{'GREEN' if green == len(checks) else 'RED'}: {name} in {path}: {green} of {len(checks)} checks green"]
    for check in checks:
        lines += [f"  {check.state:7}  {check.label}", *(f"             {line}" for line in check.why)]
    return "\n".join([*lines, *["What comes next: make learn"] * (green == len(checks))])


def create(name: str, path: Path) -> Path:
    """Write the scratch file: the layer's imports, signature and docstring, and nothing of its body."""
    path.parent.mkdir(parents=True, exist_ok=True)
    (path.parent / ".gitignore").write_text("*\n", encoding="utf-8")
    path.write_text(scratch(name), encoding="utf-8")
    return path


def scratch(name: str) -> str:
    """The text of the file to fill in."""
    function = FUNCTIONS[name]
    head, _ = head_and_body(function)
    return (
        f'"""Exercise {name}: fill in the function below, then run `make exercise LAYER={name}` again.\n\n'
        f"It replaces from_scratch's own function, whose parts you may import; whatever else you need, write here. Do\n"
        f"not change the arrays that it is given; if it is given an `rng`, draw all random numbers from it.\n"
        f'"""\n\nfrom __future__ import annotations\n\n{imports(function)}\n\n\n'
        + "\n".join([*head, "    raise NotImplementedError", *forward_shown(name)])
        + "\n"
    )


def head_and_body(function: Callable) -> tuple[list[str], list[str]]:
    """The lines of its source up to the end of the docstring, and those after."""
    source = dedent(inspect.getsource(function))
    end, lines = ast.parse(source).body[0].body[0].end_lineno, source.splitlines()
    return lines[:end], lines[end:]


def forward_shown(name: str) -> list[str]:
    """For a backward: the body of its forward in comments, since that is where the cache comes from."""
    forwards = [case.forward for case in CASES if case.backward and case.backward.__name__ == name]
    if not forwards:
        return []
    _, body = head_and_body(forwards[0])
    return ["", "", f"# How {forwards[0].__name__} makes the cache:", *(f"# {line}".rstrip() for line in body)]


def imports(function: Callable) -> str:
    """What its module imports, and the helpers of the module that the function's own body uses."""
    module = inspect.getmodule(function)
    text = inspect.getsource(module)
    lines = [
        ast.get_source_segment(text, node)
        for node in ast.parse(text).body
        if isinstance(node, ast.Import | ast.ImportFrom) and function.__name__ not in ast.unparse(node)
    ]
    used = HELPERS & set(function.__code__.co_names) & vars(module).keys()
    own = sorted(helper for helper in used if getattr(module, helper).__module__ == module.__name__)
    return "\n".join(lines + [f"from {module.__name__} import {', '.join(own)}"] * bool(own))


def load(name: str, path: Path) -> Callable:
    """The student's function; raises StudyError if there is none, or if the file does not run."""
    if not path.exists():
        raise StudyError(f"exercise: there is no {path}. Begin with: make exercise LAYER={name}")
    try:
        # An import would take what it compiled before, if the file was changed within a second to another of its size.
        found = runpy.run_path(str(path), run_name=f"exercise_{name}")
    except (Exception, SystemExit) as error:  # a student's file may do anything
        said = " ".join(f"{type(error).__name__}: {error}".split())
        raise StudyError(f"exercise: {path} does not run: {said}. Fix it and try again.") from error
    if name not in found:
        raise StudyError(f"exercise: {path} does not run: there is no {name} in it. Define it and try again.")
    return found[name]


if __name__ == "__main__":
    sys.exit(main())

"""`make learn`: the ladder of exercises, from an affine layer to diffusion: done, next, and the page to read."""

import argparse
import sys
from pathlib import Path

from comparisons.exercise import FOLDER, by_notebook, state
from comparisons.table import layout
from data import StudyError
from docs.ideas import home
from tutorials.common.interrupts import one_line_errors

FIRST = "FullyConnectedNets"  # it begins with the affine layer; the other notebooks follow in the course's order
BOOK = Path("runs/book")
COLUMNS = ("done", "begun", "open")
UNCHECKED = "changed since it was checked"


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("`: ")[2])
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the exercises lie (default: exercises)")
    options = parser.parse_args(argv)
    with one_line_errors():
        if options.folder.exists() and not options.folder.is_dir():
            raise StudyError(
                f"learn: {options.folder} is no folder. Give that of your exercises, or leave out --folder."
            )
        print(ladder(options.folder))
    return 0


def rungs() -> dict[str, list[str]]:
    """The exercises of each rung."""
    found = by_notebook()
    return {FIRST: found[FIRST]} | found


def ladder(folder: Path) -> str:
    """A row for each rung, and what comes next: the first exercise that is not done."""
    states = {name: state(folder / f"{name}.py") for names in rungs().values() for name in names}
    rows = []
    for rung, names in rungs().items():
        words = [states[name][0] for name in names]
        rows.append((rung, *(str(words.count(word) or "") for word in COLUMNS)))
    begun = [f"  {name}: {note or UNCHECKED}" for name, (word, note) in states.items() if word == "begun"]
    left = [name for name, (word, _) in states.items() if word != "done"]
    parts = [layout(("rung", *COLUMNS), rows, (0,)), "\n".join(["Begun:", *begun]) if begun else ""]
    parts.append(f"{len(states) - len(left)} of {len(states)} exercises are done; make exercises lists all of them.")
    parts.append(following(left[0], *states[left[0]], folder) if left else "You are at the top of the ladder.")
    return "\n\n".join(filter(None, parts))


def following(name: str, word: str, note: str, folder: Path) -> str:
    """What to do about an exercise, and what to read."""
    page = BOOK / "ideas" / f"{home(name).page}.html"
    file = folder / f"{name}.py"
    todo = f"begins {file}" if word == "open" else f"checks {file}: {note or UNCHECKED}"
    return "\n".join([
        f"Next: {name}",
        f"  read      {page}" + ("" if page.exists() else "   (make book writes it)"),
        f"  write it  make exercise LAYER={name}   ({todo})",
    ])  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())

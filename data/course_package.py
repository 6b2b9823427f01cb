"""Where a reader's own solution of CS231n lies."""

from pathlib import Path

from data.errors import StudyError

SIGNS = ("layers.py", "optim.py", "rnn_layers.py", "classifiers")


def find_package(given: str) -> Path:
    """The folder that is imported as cs231n; raises StudyError."""
    folder = Path(given).expanduser()
    if not folder.is_dir():
        raise StudyError(f"FOLDER={given} is {'a file' if folder.exists() else 'not there'}. Give the folder "
                         f"of your cs231n package, or the one that holds it.")  # fmt: skip
    for one in (folder / "cs231n", folder):
        if any((one / sign).exists() for sign in SIGNS):
            return one.resolve()
    below = sorted(str(path) for path in folder.glob("*/cs231n") if path.is_dir())
    if below:
        raise StudyError(f"FOLDER={given} holds {len(below)} packages. Give one of: {', '.join(below)}.")
    raise StudyError(f"FOLDER={given} holds no cs231n package: no layers.py, optim.py, rnn_layers.py or "
                     f"classifiers/. Give the folder of your cs231n package, or the one that holds it.")  # fmt: skip

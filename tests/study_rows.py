"""Rows of a small `make study`: what each does follows from the name of its folder."""

import json
import sys
import time
from pathlib import Path

from tutorials.common.interrupts import Stopping
from tutorials.tools import run_all


def main() -> None:
    folder = Path(sys.argv[-1])
    print(f"this is {folder.name}", flush=True)
    if folder.name == "broken":
        raise SystemExit(3)
    if folder.name == "slow":
        stopping = Stopping()
        stopping.listen()
        try:
            (folder.parent / "begun").touch()
            time.sleep(60)
        except KeyboardInterrupt:
            print("saved. To continue: …", flush=True)
            raise SystemExit(stopping.exit_code) from None
    if folder.name != "silent":
        folder.mkdir()
        value = 0.9 if folder.name == "good" else 0.2
        summary = {"metrics": {"test/accuracy": value}, "chance": {"test/accuracy": 0.1}}
        (folder / "summary.json").write_text(json.dumps(summary))


if __name__ == "__main__":
    run_all.PROGRAMS = tuple(run_all.Program(name, "tests.study_rows", "test/accuracy", 0.5) for name in sys.argv[1:])
    run_all.PRELOAD = []
    sys.exit(run_all.main())

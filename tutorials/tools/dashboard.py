"""`make tensorboard`: TensorBoard with all runs ticked. Of more than 40 it ticks none, and its tabs look empty; `make
study` alone leaves 70, with the many small nets of the studies by hand."""

import io
import sys
import zipfile

from absl import app
from tensorboard import assets, default, main_lib, program
from tensorboard.plugins.base_plugin import FlagsError

# A TensorBoard whose pages do not have these words is served as it is.
LIMIT = b"maxNamesToEnableByDefault=40", b"maxNamesToEnableByDefault=1e4"


def pages() -> io.BytesIO:
    """The archive of TensorBoard's pages, the limit lifted."""
    changed, packed = io.BytesIO(), assets.get_default_assets_zip_provider()()
    with packed, zipfile.ZipFile(packed) as old, zipfile.ZipFile(changed, "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name).replace(*LIMIT))
    changed.seek(0)
    return changed


def main() -> None:
    """What TensorBoard's own main does, with these pages."""
    main_lib.global_init()
    board = program.TensorBoard(default.get_plugins(), pages)
    try:
        app.run(board.main, flags_parser=board.configure)
    except FlagsError as error:
        sys.exit(f"tensorboard: {error}")


if __name__ == "__main__":
    main()

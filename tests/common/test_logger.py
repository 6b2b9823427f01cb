"""What TensorBoard is given."""

from tutorials.common.logger import Logger


def test_a_text_that_names_a_path_that_is_not_utf_8_is_shown(tmp_path):
    logger = Logger(tmp_path)
    logger.text("summary", "make transfer IMAGES=caf\udce9", step=1)
    logger.writer.close()
    (events,) = tmp_path.glob("events.*")
    assert rb"make transfer IMAGES=caf\udce9" in events.read_bytes()

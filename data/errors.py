"""The one exception that means: the user can mend this."""


class StudyError(Exception):
    """A failure whose message names the thing, the place and the next step; shown without a traceback, exit code 1."""

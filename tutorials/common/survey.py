"""A run that measures many things rather than train one: each is measured once and kept."""

from collections.abc import Callable, Mapping
from typing import Any, Self

from data import StudyError
from tutorials.common.options import Options, deciding
from tutorials.common.session import Session


class Survey(Session):
    """One run of many measurements: `measure` each, show `figure`, `finish` with the summary."""

    def __init__(self, name: str, options: Options) -> None:
        super().__init__(name, options)
        self.measured = 0

    def __enter__(self) -> Self:
        super().__enter__()
        if self.place.world_size > 1:
            error = StudyError(f"{self.name}: several processes would slow each other's times. Leave out NPROC.")
            self.__exit__(StudyError, error, None)
        return self

    def measure(self, name: str, function: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
        """What `function` returns (see `once`). Its "metrics" are a point of the record."""
        kept = self.once(name, function)
        self.measured += 1
        points = {f"results/{name}/{metric}": value for metric, value in kept.get("metrics", {}).items()}
        self.logger.scalars(points, self.measured, 1, self.seconds)
        return kept

    def hparams(self, name: str, about: Mapping[str, Any], metrics: Mapping[str, float]) -> None:
        """A row of its own on the dashboard's table of options and results."""
        from tutorials.common.logger import Logger

        row = Logger(self.folder / "rows" / name)
        row.hparams(deciding(self.options) | about, metrics, 0)
        row.close()

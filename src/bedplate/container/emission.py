"""Tells CloudWatch about a release's answers: at most one line of embedded metric format a second, none when idle."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from bedplate.domain.drift import AnswerProfile

NAMESPACE = "Bedplate/Serving"
RING = 2000
"""Latest answers that AnswerShift looks at."""
DEFAULT_MIN_ANSWERS = 300
EVERY_S = 1.0


class Emission:
    """Collects answers; `line` says what there is to say since the last one."""

    def __init__(self, *, endpoint: str, release: str, champion: AnswerProfile | None, min_answers: int) -> None:
        self._dimensions = {"Endpoint": endpoint, "Release": release}
        self._champion = champion
        self._min_answers = min_answers
        self._ring: deque[float] = deque(maxlen=RING)
        self._given = 0
        self._since = 0
        self._sum_since = 0.0

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Emission:
        """Raises ValueError when the champion's profile is none."""
        profile = None
        if environment.get("BEDPLATE_CHAMPION_ANSWERS"):
            from bedplate.domain.drift import AnswerProfile

            profile = AnswerProfile.from_json(environment["BEDPLATE_CHAMPION_ANSWERS"])
        return cls(
            endpoint=environment.get("BEDPLATE_ENDPOINT", "unknown"),
            release=environment.get("BEDPLATE_RELEASE", "unknown"),
            champion=profile,
            min_answers=int(environment.get("BEDPLATE_MIN_ANSWERS") or DEFAULT_MIN_ANSWERS),
        )

    @property
    def pending(self) -> bool:
        return self._since > 0

    def add(self, answers: Sequence[float]) -> None:
        self._given += len(answers)
        self._since += len(answers)
        self._sum_since += sum(answers)
        if self._champion is not None:
            self._ring.extend(answers)

    def line(self, at_ms: int) -> bytes | None:
        """The next line, without line end; None when nothing was answered since the last. `at_ms` is Unix time."""
        if not self.pending:
            return None
        values = {"Answers": self._since, "MeanAnswer": self._sum_since / self._since}
        units = {"Answers": "Count", "MeanAnswer": "None"}
        if self._champion is not None and self._given >= self._min_answers:
            values["AnswerShift"] = self._champion.psi(list(self._ring))
            units["AnswerShift"] = "None"
        self._since, self._sum_since = 0, 0.0
        directive: dict[str, Any] = {
            "Namespace": NAMESPACE,
            "Dimensions": [list(self._dimensions)],
            "Metrics": [{"Name": name, "Unit": unit} for name, unit in units.items()],
        }
        return orjson.dumps(
            {"_aws": {"Timestamp": at_ms, "CloudWatchMetrics": [directive]}, **self._dimensions, **values}
        )

"""Tells CloudWatch about a release's answers: embedded metric lines, at most once a second, none when idle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from bedplate.domain.guard import NAMESPACE, Edges, counted, decode

EVERY_S = 1.0
_HIGH_RESOLUTION = 1
"""Seconds: kept by CloudWatch as they come, so that an alarm may look at 10 s of them."""


class Emission:
    """Collects answers; `lines` says what there is to say since the last ones.

    `edges` is the release whose bins they are -> inner edges: a release counts in its own bins and in the champion's,
    so that an alarm can hold the two against each other over the same minutes.
    """

    def __init__(self, *, endpoint: str, release: str, edges: Mapping[str, Edges]) -> None:
        self._dimensions = {"Endpoint": endpoint, "Release": release}
        self._edges = {name or release: cuts for name, cuts in edges.items()}
        self._answers: list[float] = []

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Emission:
        """Raises ValueError when BEDPLATE_ANSWER_EDGES holds something else."""
        return cls(
            endpoint=environment.get("BEDPLATE_ENDPOINT", "unknown"),
            release=environment.get("BEDPLATE_RELEASE", "unknown"),
            edges=decode(environment.get("BEDPLATE_ANSWER_EDGES")),
        )

    @property
    def pending(self) -> bool:
        return bool(self._answers)

    def add(self, answers: Sequence[float]) -> None:
        self._answers.extend(answers)

    def lines(self, at_ms: int) -> list[bytes]:
        """The next lines, without line ends; none when nothing was answered since the last. `at_ms` is Unix time."""
        answers, self._answers = self._answers, []
        if not answers:
            return []
        told = {"Answers": len(answers), "MeanAnswer": sum(answers) / len(answers)}
        return [
            _line(at_ms, self._dimensions, told, {"Answers": "Count", "MeanAnswer": "None"}),
            *(
                _line(at_ms, {**self._dimensions, "Bins": name}, bins, dict.fromkeys(bins, "Count"))
                for name, bins in self._binned(answers)
            ),
        ]

    def _binned(self, answers: Sequence[float]) -> list[tuple[str, dict[str, float]]]:
        return [
            (name, {f"Bin{i}": count for i, count in enumerate(counted(cuts, answers), start=1)})
            for name, cuts in self._edges.items()
        ]


def _line(at_ms: int, dimensions: Mapping[str, str], values: Mapping[str, float], units: Mapping[str, str]) -> bytes:
    directive: dict[str, Any] = {
        "Namespace": NAMESPACE,
        "Dimensions": [list(dimensions)],
        "Metrics": [{"Name": n, "Unit": unit, "StorageResolution": _HIGH_RESOLUTION} for n, unit in units.items()],
    }
    return orjson.dumps({"_aws": {"Timestamp": at_ms, "CloudWatchMetrics": [directive]}, **dimensions, **values})

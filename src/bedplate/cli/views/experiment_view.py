"""Shows the progress and the outcome of a rollout that compares two releases: canary, A/B, shadow or bandit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from bedplate.cli.views.rollout_view import RolloutView
from bedplate.domain.formatting import format_short
from bedplate.domain.release import display_name
from bedplate.domain.rollout.tick import format_weights

if TYPE_CHECKING:
    from bedplate.domain.rollout.state_machine import RolloutState


class ExperimentView(RolloutView):
    """A Reporter that also prints `experiment` events: one line per change."""

    def __call__(self, event: str, fields: Mapping[str, Any]) -> None:
        if event != "experiment" or self._quiet:
            super().__call__(event, fields)
            return
        self._stop()
        line = format_tick(fields)
        if self._last != (line,):
            self._last = (line,)
            click.echo(f"    {line}", err=True)

    def __enter__(self) -> ExperimentView:
        return self


def format_tick(fields: Mapping[str, Any]) -> str:
    """Returns one tick of a rollout as a line of text.

    >>> format_tick({"phase": "splitting", "weights": {"live": 0.5, "challenger": 0.5}, "message": "120 of 500 pairs"})
    'splitting (live 50 %, challenger 50 %): 120 of 500 pairs'
    """
    return f"{fields['phase']} ({format_weights(fields['weights'])}): {fields['message']}"


def format_outcome(state: RolloutState) -> str:
    """Returns the outcome of a rollout as a sentence, with the next command where one is needed."""
    new, old, model = display_name(state.terms.challenger), display_name(state.terms.champion), state.model
    outcomes = {
        "promoted": f"{new} is live and replaces {old}",
        "passed": f"{new} passed: {state.reason}. Next: bedplate rollout promote {model}",
        "paused": f"Paused: {old} serves all requests. Next: bedplate rollout resume {model}",
        "aborted": f"Aborted: {old} serves all requests",
    }
    return outcomes.get(state.phase, f"{new} is {state.phase}. Next: bedplate rollout status {model}")


def measurement_rows(measurements: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Returns measurements as rows of a table: name and value."""
    return [(name.replace("_", " "), _format_value(value)) for name, value in measurements.items() if value is not None]


def _format_value(value: Any) -> str:
    """Formats a measurement for people.

    >>> [_format_value(value) for value in (0.123456, 12345, {"live": 10, "challenger": 0.5}, [0.01, 0.02])]
    ['0.1235', '12,345', 'live 10, challenger 0.5', '0.01 to 0.02']
    """
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_format_value(v)}" for name, v in value.items())
    if isinstance(value, list | tuple) and len(value) == 2:
        return " to ".join(_format_value(v) for v in value)
    if isinstance(value, float):
        return format_short(value)
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)

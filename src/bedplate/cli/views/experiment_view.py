"""Shows a rollout of two releases side by side while it happens, and how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from bedplate.cli.views.rollout_view import RolloutView
from bedplate.domain.formatting import short
from bedplate.domain.release import spoken
from bedplate.domain.rollout.ticking import spoken_weights

if TYPE_CHECKING:
    from bedplate.domain.rollout.machine import RolloutState


class ExperimentView(RolloutView):
    """A `Say` that knows `experiment` events too: one line a change."""

    def __call__(self, event: str, fields: Mapping[str, Any]) -> None:
        if event != "experiment" or self._quiet:
            super().__call__(event, fields)
            return
        self._stop()
        told = line(fields)
        if self._last != (told,):
            self._last = (told,)
            click.echo(f"    {told}", err=True)

    def __enter__(self) -> ExperimentView:
        return self


def line(fields: Mapping[str, Any]) -> str:
    """One tick in words.

    >>> line({"phase": "splitting", "weights": {"live": 0.5, "challenger": 0.5}, "told": "120 of 500 answers"})
    'splitting (live 50 %, challenger 50 %): 120 of 500 answers'
    """
    return f"{fields['phase']} ({spoken_weights(fields['weights'])}): {fields['told']}"


def told_end(state: RolloutState) -> str:
    """Where a rollout came to rest, with what to type next."""
    new, old, model = spoken(state.terms.challenger), spoken(state.terms.champion), state.model
    told = {
        "promoted": f"{new} is live: it took the place of {old}",
        "passed": f"{new} passed: {state.reason}. Next: bedplate rollout promote {model}",
        "paused": f"Paused: {old} alone decides. Next: bedplate rollout resume {model}",
        "aborted": f"Given up: {old} alone answers",
    }
    return told.get(state.phase, f"{new} is {state.phase}. Next: bedplate rollout status {model}")


def facts_rows(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Figures as rows of a table."""
    return [(name.replace("_", " "), _figure(value)) for name, value in facts.items() if value is not None]


def _figure(value: Any) -> str:
    """A figure as people read it.

    >>> _figure(0.123456), _figure(12345), _figure({"live": 10, "challenger": 0.5}), _figure([0.01, 0.02])
    ('0.1235', '12,345', 'live 10, challenger 0.5', '0.01 to 0.02')
    """
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_figure(v)}" for name, v in value.items())
    if isinstance(value, list | tuple) and len(value) == 2:
        return " to ".join(_figure(v) for v in value)
    if isinstance(value, float):
        return short(value)
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)

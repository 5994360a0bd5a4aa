"""Calls providers to check the inputs of a resource and to compare them with the old inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bedplate.engine.deployment.events import Events
from bedplate.engine.deployment.providers import Providers, UnconfiguredProvider
from bedplate.engine.property_paths import Path, apply_ignore_changes, contains, parse_path
from bedplate.engine.property_values import mark_secrets, mask, reveal
from bedplate.engine.protocol import CheckResult, DiffChanges, DiffResult, Properties, compare_inputs
from bedplate.engine.state.snapshot import Resource, name_of


class RegistrationRejected(Exception):
    """A registration is invalid and no step was executed for it. The reason is already reported as an error."""


class ProviderChecks:
    """Calls the provider of a resource, or for a provider resource that provider itself."""

    def __init__(self, providers: Providers, events: Events, olds: Mapping[str, Resource]) -> None:
        self._providers = providers
        self._events = events
        self._olds = olds

    def check(self, new: Resource, news: Properties, olds: Properties | None, seed: bytes) -> None:
        """Sets the inputs of `new` to `news` with the provider's defaults. Raises RegistrationRejected if invalid."""
        if new.is_provider:
            result = self._providers.check_config(new.copy(inputs=news), reveal(olds) if olds is not None else None)
        else:
            provider = self._providers.get(new.provider, self._olds)
            result = provider.check(new.urn, new.type, reveal(olds) if olds is not None else None, reveal(news), seed)
        new.inputs = mark_secrets(result.inputs, news)
        if result.failures:
            self._reject(new, result)

    def _reject(self, new: Resource, result: CheckResult) -> None:
        subject = f"{new.type} resource '{name_of(new.urn)}'"
        for failure in result.failures:
            if failure.property:
                value = mask(new.inputs.get(failure.property))
                message = f"{subject}: property {failure.property} value {{{value}}} has a problem: {failure.reason}"
            else:
                message = f"{subject} has a problem: {failure.reason}"
            self._events.emit_error(message, urn=new.urn)
        raise RegistrationRejected(new.urn)

    def diff(self, old: Resource, new: Resource, ignore: Sequence[str]) -> DiffResult:
        """Compares `new` with `old`, after restoring the old values at the paths `ignore`."""
        inputs = apply_ignore_changes(new.inputs, old.inputs, ignore)
        return self.diff_with_provider(old, new.copy(inputs=inputs), ignore)

    def diff_with_provider(self, old: Resource, new: Resource, ignore: Sequence[str]) -> DiffResult:
        """Returns the provider's diff, or a comparison of the inputs if the provider cannot compare them."""
        if new.is_provider:
            return self._providers.diff_config(new.urn, new.type, old.inputs, new.inputs)
        olds, news = reveal(old.inputs), reveal(new.inputs)
        provider = self._providers.get(new.provider, self._olds)
        if isinstance(provider, UnconfiguredProvider):
            self._events.emit_diagnostic("warning", provider.warning, urn=new.urn)
            return DiffResult(DiffChanges.SOME)
        diff = provider.diff(new.urn, old.id, new.type, olds, reveal(old.outputs), news, tuple(ignore))
        return diff if diff.changes != DiffChanges.UNKNOWN else compare_inputs(olds, news)


def apply_replace_on_changes(diff: DiffResult, options: Sequence[str], has_init_errors: bool) -> DiffResult:
    """Returns the diff with replacements at the paths `options`, which is Pulumi's replaceOnChanges.

    `has_init_errors` is whether the create of the resource did not finish; then the path `#initerror` has changed.
    """
    if not options or (diff.changes != DiffChanges.SOME and not has_init_errors):
        return diff
    patterns = [parse_path(option) for option in options]
    paths = dict.fromkeys((*diff.diffs, *diff.detailed_diff))
    forced = [path for path in paths if path not in diff.replaces and _matches_any(patterns, path)]
    changes = diff.changes
    if has_init_errors and any(contains(pattern, ("#initerror",)) for pattern in patterns):
        forced.append("#initerror")
        changes = DiffChanges.SOME
    return DiffResult(changes, diff.diffs, (*diff.replaces, *forced), diff.delete_before_replace, diff.detailed_diff)


def _matches_any(patterns: list[Path], path: str) -> bool:
    return any(contains(pattern, parse_path(path)) for pattern in patterns)

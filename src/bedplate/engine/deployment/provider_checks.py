"""What a provider says of a resource's inputs: whether they hold, and how they differ from those before."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from bedplate.engine import property_paths
from bedplate.engine.deployment.events import Events
from bedplate.engine.deployment.providers import NotConfigured, Providers
from bedplate.engine.property_values import mark_secrets, mask, reveal
from bedplate.engine.protocol import CheckResult, DiffChanges, DiffResult, Properties
from bedplate.engine.state.snapshot import Resource, name_of


class RegistrationRejected(Exception):  # the reason has been told already
    """A registration that cannot be carried out; nothing was done for it."""


class ProviderChecks:
    """Asks the provider of each resource, or the provider itself when it is one that is registered."""

    def __init__(self, providers: Providers, events: Events, olds: Mapping[str, Resource]) -> None:
        self._providers = providers
        self._events = events
        self._olds = olds

    def check(self, new: Resource, news: Properties, olds: Properties | None, seed: bytes) -> None:
        """Put in `new` the inputs as the provider completes them. Raises Rejected when they do not hold."""
        if new.is_provider:
            result = self._providers.check_config(new.copy(inputs=news), reveal(olds) if olds is not None else None)
        else:
            provider = self._providers.get(new.provider, self._olds)
            result = provider.check(new.urn, new.type, reveal(olds) if olds is not None else None, reveal(news), seed)
        new.inputs = mark_secrets(result.inputs, news)
        if result.failures:
            self._reject(new, result)

    def _reject(self, new: Resource, result: CheckResult) -> None:
        what = f"{new.type} resource '{name_of(new.urn)}'"
        for failure in result.failures:
            if failure.property:
                value = mask(new.inputs.get(failure.property))
                message = f"{what}: property {failure.property} value {{{value}}} has a problem: {failure.reason}"
            else:
                message = f"{what} has a problem: {failure.reason}"
            self._events.error(message, urn=new.urn)
        raise RegistrationRejected(new.urn)

    def diff(self, old: Resource, new: Resource, ignore: Sequence[str]) -> DiffResult:
        """How `new` differs from `old`, with the old values where changes are ignored."""
        return self.ask(old, new.copy(inputs=property_paths.restore(new.inputs, old.inputs, ignore)), ignore)

    def ask(self, old: Resource, new: Resource, ignore: Sequence[str]) -> DiffResult:
        """The provider's own answer, told what to ignore."""
        if new.is_provider:
            return self._providers.diff_config(new.urn, new.type, old.inputs, new.inputs)
        olds, news = reveal(old.inputs), reveal(new.inputs)
        provider = self._providers.get(new.provider, self._olds)
        if isinstance(provider, NotConfigured):
            self._events.say("warning", provider.warning, urn=new.urn)
            return DiffResult(DiffChanges.SOME)
        diff = provider.diff(new.urn, old.id, new.type, olds, reveal(old.outputs), news, tuple(ignore))
        if diff.changes != DiffChanges.UNKNOWN:
            return diff
        changed = tuple(sorted(key for key in {*olds, *news} if olds.get(key) != news.get(key)))
        return DiffResult(DiffChanges.SOME if changed else DiffChanges.NONE, changed)


def seed_of(urn: str, replaced: Resource | None) -> bytes:
    """The same in preview and up, another one for each generation: a name comes from it."""
    return hashlib.sha256(f"{urn}\n{replaced.id if replaced else ''}".encode()).digest()


def replace_on_changes(diff: DiffResult, options: Sequence[str], init_errors: bool) -> DiffResult:
    """The difference, replacing where the program asks for it; `init_errors`: its create did not come to its end."""
    if not options or (diff.changes != DiffChanges.SOME and not init_errors):
        return diff
    wanted = [property_paths.parse(option) for option in options]
    forced = [p for p in diff.diffs if p not in diff.replaces and _below_any(wanted, p)]
    forced += [p for p in diff.detailed if p not in diff.replaces and p not in forced and _below_any(wanted, p)]
    changes = diff.changes
    if init_errors and any(property_paths.contains(path, ("#initerror",)) for path in wanted):
        forced.append("#initerror")
        changes = DiffChanges.SOME
    return DiffResult(changes, diff.diffs, (*diff.replaces, *forced), diff.delete_before_replace, diff.detailed)


def _below_any(wanted: list[property_paths.Path], path: str) -> bool:
    return any(property_paths.contains(each, property_paths.parse(path)) for each in wanted)

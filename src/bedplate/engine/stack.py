"""A stack as an application sees it: preview, up, refresh, destroy, outputs, history; the same by either engine."""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bedplate.engine import lock, paths, pulumi_cli
from bedplate.engine.continuity import Continuity
from bedplate.engine.embedded import EmbeddedCommand, require_loopback
from bedplate.engine.handover import Engine, Handover
from bedplate.engine.project import Project
from bedplate.engine.providers import Factory
from bedplate.engine.state import PROVIDER_PREFIX, name_of, type_of
from bedplate.engine.store import IN_PROGRESS, Paths
from bedplate.engine.targets import pattern
from bedplate.engine.values import MASK, mask
from bedplate.errors import BedplateError, Locked, NotFound, PlatformError, UsageError

if TYPE_CHECKING:
    from pulumi.automation import EngineEvent, UpdateSummary
    from pulumi.automation import Stack as AutomationStack


@dataclass(frozen=True, slots=True)
class PropertyChange:
    """One property before and after; a secret is `[secret]` in both, what is absent is None."""

    path: str
    old: Any
    new: Any
    replaces: bool


@dataclass(frozen=True, slots=True)
class StackStep:
    """What happens to one resource. A replacement is one step `replace`, not its parts."""

    op: str
    """create, update, replace, delete, read, import, delete-replaced (left over from an earlier run), same."""
    urn: str
    type: str
    name: str
    changes: tuple[PropertyChange, ...] = ()
    replace_keys: tuple[str, ...] = ()
    parent: str = ""
    before: Mapping[str, Any] | None = None
    """Inputs in the state, secrets as `[secret]`; None for what is not there yet."""
    after: Mapping[str, Any] | None = None
    """Inputs as the program wants them; None for what goes."""


@dataclass(frozen=True, slots=True)
class Update:
    """How a run went, or would go."""

    verb: str
    steps: tuple[StackStep, ...]
    """In order; without what stays the same."""
    counts: Mapping[str, int]
    """Per operation, `same` included; providers that Pulumi makes by itself are not counted."""
    outputs: Mapping[str, Any] = field(default_factory=dict)
    """What the program exports, secrets as `[secret]`; empty for a preview."""
    messages: tuple[str, ...] = ()
    """Warnings, and what the program printed."""
    duration_s: float = 0.0
    resources: tuple[StackStep, ...] = ()
    """Everything that the run looked at, what stays the same included."""

    @property
    def changed(self) -> bool:
        return any(count for op, count in self.counts.items() if op not in ("same", "read", "refresh"))


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run is: `state` of one resource's operation, `done` resources so far."""

    state: Literal["begin", "done", "failed"]
    op: str
    type: str
    name: str
    done: int


@dataclass(frozen=True, slots=True)
class PastUpdate:
    """One entry of a stack's history."""

    version: int | None
    """Its number, from 1; None where the backend does not number."""
    verb: str
    result: str
    """succeeded, failed, in-progress, or interrupted: begun, never ended, and nobody is at it."""
    started_at: datetime
    ended_at: datetime | None
    counts: Mapping[str, int]
    message: str
    who: str
    """`user@host`, with the Pulumi CLI the author that git names; empty where nobody knows."""
    engine: str
    """embedded or pulumi, with its version where it is known."""

    @property
    def duration_s(self) -> float | None:
        return (self.ended_at - self.started_at).total_seconds() if self.ended_at else None


class Stack:
    """One stack of the project in `work_dir`.

    With `endpoint_url` (loopback only) it is a local one: its state is in `state_dir`, and the engine asked for takes
    it over from the other. `world` is what the platform calls what it holds: when it is another one than at the last
    run, this run looks at the world first. `engine="embedded"` needs `endpoint_url` and `provider_factory` (package
    name -> Provider). `engine="pulumi"` runs the Pulumi CLI (`install` downloads it where there is none); without
    `endpoint_url` with the backend, login and AWS provider that are the CLI's own.
    """

    def __init__(
        self,
        work_dir: Path,
        name: str,
        *,
        engine: Engine = "embedded",
        endpoint_url: str | None = None,
        provider_factory: Factory | None = None,
        state_dir: Path | None = None,
        environment: Mapping[str, str] | None = None,
        parallel: int = 8,
        install: bool = False,
        world: str | None = None,
    ) -> None:
        """Raises UsageError for an endpoint off this machine, or when the embedded engine's arguments lack."""
        self.work_dir = work_dir
        self.name = name
        self.engine = engine
        self._endpoint_url = endpoint_url
        self._environment = dict(environment or {})
        self._parallel = parallel
        self._install = install
        self._state_dir = state_dir or work_dir / ".bedplate" / "state"
        self._continuity = Continuity(self._state_dir, name, world)
        self._command: EmbeddedCommand | None = None
        self._limits: dict[str, Any] = {}
        self._replace: list[str] | None = None
        self._message: str | None = None
        if endpoint_url is not None:
            require_loopback(endpoint_url)
        if engine == "embedded":
            if provider_factory is None or endpoint_url is None:
                raise UsageError("The embedded engine needs a provider factory and the endpoint that it applies to")
            self._command = EmbeddedCommand(
                self._state_dir,
                provider_factory,
                endpoint_url=endpoint_url,
                parallel=parallel,
            )

    def limit(self, *, targets: Sequence[str] = (), dependents: bool = False, replace: Sequence[str] = ()) -> Stack:
        """The same stack, of which only `targets` are looked at (with `dependents` what depends on them too), and of
        which `replace` are made anew: URNs, patterns of them (`**::name`), or bare names."""
        self._limits = {
            "target": [pattern(text) for text in targets] or None,
            "target_dependents": dependents or None,
        }
        self._replace = [pattern(text) for text in replace] or None
        return self

    def noting(self, message: str | None) -> Stack:
        """The same stack, whose history will hold this word about what the next run was for."""
        self._message = message or None
        return self

    # --- verbs ----------------------------------------------------------------------------------------------------

    def preview(self, *, on_progress: Callable[[Progress], None] | None = None, refresh: bool = False) -> Update:
        """What `up` would do. Raises PlatformError with every problem found."""
        return self._run(
            "preview",
            on_progress,
            lambda stack, event: stack.preview(
                on_event=event, refresh=self._looks(refresh), replace=self._replace, **self._limits
            ),
        )

    def preview_destroy(self, *, on_progress: Callable[[Progress], None] | None = None) -> Update:
        """What `destroy` would do. Raises NotFound for a stack that was never made."""
        return self._run(
            "preview",
            on_progress,
            lambda stack, event: stack.preview_destroy(on_event=event, **self._limits),
            create=False,
        )

    def preview_refresh(self, *, on_progress: Callable[[Progress], None] | None = None) -> Update:
        """What `refresh` would take over. Raises NotFound for a stack that was never made."""
        return self._run(
            "preview",
            on_progress,
            lambda stack, event: stack.preview_refresh(on_event=event),
            create=False,
            refreshing=True,
        )

    def up(self, *, on_progress: Callable[[Progress], None] | None = None, refresh: bool = False) -> Update:
        """Create or update. Raises PlatformError when a step failed, Locked when another run is at work."""
        self._continuity.begin()
        done = self._run(
            "up",
            on_progress,
            lambda stack, event: stack.up(
                on_event=event,
                refresh=self._looks(refresh),
                replace=self._replace,
                message=self._message,
                **self._limits,
            ),
        )
        self._continuity.whole()
        return done

    def refresh(self, *, on_progress: Callable[[Progress], None] | None = None) -> Update:
        """Take over into the state what the world has become. Raises NotFound, PlatformError, Locked."""
        done = self._run(
            "refresh",
            on_progress,
            lambda stack, event: stack.refresh(on_event=event, message=self._message),
            create=False,
            refreshing=True,
        )
        self._continuity.whole()
        return done

    def destroy(self, *, on_progress: Callable[[Progress], None] | None = None) -> Update:
        """Delete everything, protected resources last and in vain. Raises NotFound, PlatformError, Locked."""
        return self._run(
            "destroy",
            on_progress,
            lambda stack, event: stack.destroy(
                on_event=event, refresh=self._looks(False), message=self._message, **self._limits
            ),
            create=False,
        )

    def outputs(self, *, show_secrets: bool = False) -> dict[str, Any]:
        """What the program exported at the last `up`. Raises NotFound for a stack that was never made."""
        with self._translated():
            found = self._select(create=False).outputs()
        return {key: MASK if out.secret and not show_secrets else out.value for key, out in found.items()}

    def history(self, limit: int = 20) -> list[PastUpdate]:
        """The latest runs, newest first. Raises NotFound for a stack that was never made."""
        with self._translated():
            runs = self._select(create=False).history(page_size=limit)
        busy = lock.at_work(Paths.of(self._state_dir, self.name).lock)
        return [_past(run, at_work=busy and number == 0) for number, run in enumerate(runs)]

    def keeper(self) -> Engine:
        """Which engine keeps the state; asking the other one for anything moves it there."""
        return "pulumi" if self._endpoint_url is None else self._handover().keeper()

    def locked(self) -> lock.Held | None:
        """Who holds the stack's lock on this machine's disk; a backend of the Pulumi CLI has locks of its own."""
        return lock.look(Paths.of(self._state_dir, self.name).lock)

    def unlock(self) -> str | None:
        """Take away the lock that a run on another machine left; whose it was, None without one. Raises Locked."""
        return lock.unlock(Paths.of(self._state_dir, self.name).lock, stack=self.name)

    def export(self, *, show_secrets: bool = False) -> dict[str, Any]:
        """The state in Pulumi's checkpoint format, for `pulumi stack import`; secrets encrypted unless shown."""
        with self._translated():
            stack = self._select(create=False)
            if show_secrets:
                deployment = stack.export_stack()
                return {"version": deployment.version, "deployment": deployment.deployment}
            words = ["stack", "export", "--stack", self.name]
            result = stack.workspace.pulumi_command.run(words, str(self.work_dir), self._environment)
        exported: dict[str, Any] = json.loads(result.stdout)
        return exported

    def import_(self, document: Mapping[str, Any]) -> None:
        """Put an exported state in the place of this stack's. Raises UsageError for what is no checkpoint, Locked."""
        from pulumi.automation import Deployment

        with self._translated():
            stack = self._select(create=True)
            command = stack.workspace.pulumi_command
            if isinstance(command, pulumi_cli.LocalCommand):
                document = command.for_import(document)
            stack.import_stack(Deployment(document.get("version"), document.get("deployment")))

    def _looks(self, asked: bool) -> bool | None:
        return asked or self._continuity.broken() or None

    # --- the Automation API ---------------------------------------------------------------------------------------

    def _run(
        self,
        verb: str,
        on_progress: Callable[[Progress], None] | None,
        call: Callable[[AutomationStack, Callable[[EngineEvent], None]], Any],
        *,
        create: bool = True,
        refreshing: bool = False,
    ) -> Update:
        watch = _Watch(on_progress, refreshing=refreshing)
        started = time.perf_counter()
        if self._command is not None:
            self._command.store(self.name).prepare()
        with _no_collections(), self._translated(watch):
            stack = self._select(create=create)
            self._refuse_after_interruption()
            result = call(stack, watch.event)
        outputs = getattr(result, "outputs", None) or {}
        return Update(
            verb=verb,
            steps=watch.steps(),
            counts=watch.counts,
            outputs={key: MASK if out.secret else out.value for key, out in outputs.items()},
            messages=tuple(watch.messages),
            duration_s=time.perf_counter() - started,
            resources=watch.resources(),
        )

    def _select(self, *, create: bool) -> AutomationStack:
        from pulumi import automation

        workspace = automation.LocalWorkspace(
            work_dir=str(self.work_dir), pulumi_command=self._pulumi(), env_vars=self._environment
        )
        if self._endpoint_url is not None:
            handover = self._handover()
            state = handover.due(self.engine)
            if state is not None:
                stack = automation.Stack.create_or_select(self.name, workspace)
                stack.import_stack(automation.Deployment(state["version"], state["deployment"]))
            handover.taken(self.engine)
        if create:
            return automation.Stack.create_or_select(self.name, workspace)
        return automation.Stack.select(self.name, workspace)

    def _handover(self) -> Handover:
        return Handover(self._state_dir, Project.load(self.work_dir).name, self.name)

    def _refuse_after_interruption(self) -> None:
        """The CLI would make again what a killed run of it was making; the embedded engine finds it."""
        if self.engine == "embedded" or self._endpoint_url is None:
            return
        urns = self._handover().interrupted()
        if urns:
            names = ", ".join(sorted({name_of(urn) for urn in urns}))
            raise PlatformError(
                f"The last run of the Pulumi CLI was interrupted while at work on {names}; the embedded engine finds "
                "out what became of it, and either engine goes on from there",
                next_step=f"bedplate up --engine embedded --stack {self.name}",
            )

    def _pulumi(self) -> Any:
        """What stands in for the CLI, or the CLI."""
        if self._command is not None:
            return self._command
        cli = pulumi_cli.command(install=self._install)
        if self._endpoint_url is None:
            return cli
        return pulumi_cli.LocalCommand(
            cli,
            work_dir=self.work_dir,
            stack=self.name,
            state_dir=self._state_dir,
            endpoint_url=self._endpoint_url,
        )

    @contextmanager
    def _translated(self, watch: _Watch | None = None) -> Iterator[None]:
        from pulumi.automation.errors import CommandError, ConcurrentUpdateError, StackNotFoundError

        try:
            yield
        except StackNotFoundError as exc:
            raise self._not_found() from exc
        except ConcurrentUpdateError as exc:
            raise Locked(
                f"Stack {self.name!r} is locked: another update is under way", next_step="pulumi cancel, if it is dead"
            ) from exc
        except CommandError as exc:
            errors = watch.errors if watch is not None and watch.errors else [_stderr(exc)]
            raise PlatformError("\n".join(errors), next_step=f"bedplate up --stack {self.name}") from exc

    def _not_found(self) -> BedplateError:
        return NotFound(f"Stack {self.name!r} was never brought up", next_step=f"bedplate up --stack {self.name}")


@contextmanager
def _no_collections() -> Iterator[None]:
    """No search for cycles while a program makes its tens of thousands of objects, which live to its end anyway.

    It takes a third of the processor time of a stack with fifty models. Afterwards they count as old, so that the
    first search does not begin with all of them.
    """
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.freeze()
            gc.unfreeze()
            gc.enable()


def _past(run: UpdateSummary, *, at_work: bool) -> PastUpdate:
    told = run.environment
    engine = told.get("engine", "pulumi")
    version = told.get("engine.version") or told.get("pulumi.version") or ""
    result = str(run.result)
    return PastUpdate(
        version=run.version or None,
        verb="up" if run.kind == "update" else run.kind,
        result="interrupted" if result == IN_PROGRESS and not at_work else result,
        started_at=run.start_time.replace(tzinfo=UTC),
        ended_at=run.end_time.replace(tzinfo=UTC) if run.end_time else None,
        counts=_counts(run.resource_changes or {}),
        message=run.message,
        who=told.get("user") or told.get("git.author", ""),
        engine=f"{engine} {version}".strip(),
    )


_OUR_PLUGIN = "using pulumi-resource-aws from $PATH"
"""What the CLI warns of when it is told to use our plugin."""


class _Watch:
    """Listens to engine events; makes steps of them, of looks at the world only when the run is for looking."""

    def __init__(self, on_progress: Callable[[Progress], None] | None, *, refreshing: bool) -> None:
        self._refreshing = refreshing
        self.errors: list[str] = []
        self.messages: list[str] = []
        self.counts: dict[str, int] = {}
        self._on_progress = on_progress
        self._seen: list[StackStep] = []
        self._done = 0

    def event(self, event: EngineEvent) -> None:
        if not self._refreshing and _is_look(event):
            return
        if event.resource_pre_event is not None:
            metadata = event.resource_pre_event.metadata
            if not _is_default_provider(metadata):
                if _op(metadata) != "refresh":
                    self._seen.append(_step(metadata))
                self._tell("begin", metadata)
        elif event.res_outputs_event is not None:
            metadata = event.res_outputs_event.metadata
            if _op(metadata) == "refresh" and (found := _found(metadata)) is not None:
                self._seen.append(found)
            self._tell("done", metadata)
        elif event.res_op_failed_event is not None:
            self._tell("failed", event.res_op_failed_event.metadata)
        elif event.diagnostic_event is not None:
            self._diagnostic(event.diagnostic_event)
        elif event.summary_event is not None:
            self.counts = _counts(event.summary_event.resource_changes)

    def steps(self) -> tuple[StackStep, ...]:
        return tuple(step for step in self.resources() if step.op != "same")

    def resources(self) -> tuple[StackStep, ...]:
        replaced = {step.urn for step in self._seen if step.op == "replace"}
        parts = {"create-replacement", "read-replacement", "import-replacement", "delete-replaced", "discard-replaced"}
        return tuple(step for step in self._seen if not (step.op in parts and step.urn in replaced))

    def _diagnostic(self, event: Any) -> None:
        message = event.message.strip()
        if event.severity == "error":
            if message not in ("update failed", "preview failed") or not self.errors:
                self.errors.append(_about(event.urn, message))
        elif event.severity == "debug" or event.ephemeral or message.startswith(_OUR_PLUGIN):
            return
        elif message:
            self.messages.append(message)

    def _tell(self, state: Literal["begin", "done", "failed"], metadata: Any) -> None:
        if _is_default_provider(metadata):
            return
        op = _op(metadata)
        if state != "begin" and op not in ("replace", "delete-replaced"):
            self._done += 1
        if self._on_progress is not None:
            self._on_progress(Progress(state, op, metadata.type, name_of(metadata.urn), self._done))


def _is_look(event: EngineEvent) -> bool:
    body = event.resource_pre_event or event.res_outputs_event
    return body is not None and _op(body.metadata) == "refresh"


def _op(metadata: Any) -> str:
    return str(getattr(metadata.op, "value", metadata.op))


def _about(urn: str | None, message: str) -> str:
    """An error with the resource that it is about, unless it names it itself."""
    if not urn or name_of(urn) in message:
        return message
    return f"{type_of(urn)} {name_of(urn)}: {message}"


def _step(metadata: Any) -> StackStep:
    op = _op(metadata)
    keys = tuple(metadata.keys or ())
    changes: tuple[PropertyChange, ...] = ()
    if op in ("update", "replace") and metadata.old is not None and metadata.new is not None:
        changes = _changes(mask(metadata.old.inputs or {}), mask(metadata.new.inputs or {}), metadata.diffs or (), keys)
    return StackStep(
        op,
        metadata.urn,
        metadata.type,
        name_of(metadata.urn),
        changes,
        keys,
        parent=(metadata.new or metadata.old).parent or "",
        before=_inputs(metadata.old) if op not in ("create", "import") else None,
        after=_inputs(metadata.new) if op not in ("delete", "delete-replaced", "discard", "discard-replaced") else None,
    )


def _inputs(state: Any) -> Mapping[str, Any] | None:
    if state is None:
        return None
    shown: Mapping[str, Any] = mask(state.inputs or {})
    return shown


def _changes(
    old: Mapping[str, Any], new: Mapping[str, Any], diffs: tuple[str, ...] | list[str], keys: tuple[str, ...]
) -> tuple[PropertyChange, ...]:
    """Every differing leaf below the paths that the provider named; a named path without one is told as it is."""
    named = [paths.parse(path) for path in diffs]
    forcing = [paths.parse(path) for path in keys if not path.startswith("#")]
    found: list[PropertyChange] = []
    told: set[paths.Path] = set()
    for path, before, after in paths.differences(dict(old), dict(new)):
        owner = next((n for n in named if paths.contains(n, path) or paths.contains(path, n)), None)
        if owner is not None:
            told.add(owner)
            replaces = any(paths.contains(f, path) or paths.contains(path, f) for f in forcing)
            found.append(PropertyChange(paths.spell(path), before, after, replaces))
    for path in named:
        if path not in told:
            value = old.get(str(path[0])), new.get(str(path[0]))
            found.append(PropertyChange(paths.spell(path), *value, replaces=path in forcing))
    return tuple(found)


def _is_default_provider(metadata: Any) -> bool:
    return metadata.type.startswith(PROVIDER_PREFIX) and name_of(metadata.urn).split("_")[0] == "default"


def _found(metadata: Any) -> StackStep | None:
    """What a refresh found of one resource, None when it is as the state says."""
    if metadata.new is None:
        return StackStep("delete", metadata.urn, metadata.type, name_of(metadata.urn))
    changes = _changes(mask(metadata.old.inputs or {}), mask(metadata.new.inputs or {}), metadata.diffs or (), ())
    if not changes:
        return None
    return StackStep("update", metadata.urn, metadata.type, name_of(metadata.urn), changes)


def _counts(changes: Mapping[Any, int]) -> dict[str, int]:
    return {str(getattr(op, "value", op)): count for op, count in changes.items()}


def _stderr(exc: Exception) -> str:
    """The CLI's own words out of what the Automation API makes of them."""
    text = str(exc).partition(" stderr: ")[2] or str(exc)
    return text.strip().removeprefix("error: ")

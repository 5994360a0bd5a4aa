"""A stack as an application sees it: preview, up, refresh, destroy, outputs, history; the same by either engine."""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bedplate.engine.automation import pulumi_cli
from bedplate.engine.automation.embedded import EmbeddedCommand, require_loopback
from bedplate.engine.automation.engine_migration import Engine, EngineMigration
from bedplate.engine.automation.progress import ProgressListener
from bedplate.engine.automation.project import Project
from bedplate.engine.automation.update import PastUpdate, Progress, Update, past_update
from bedplate.engine.deployment.providers import Factory
from bedplate.engine.deployment.targets import pattern
from bedplate.engine.property_values import MASK
from bedplate.engine.state import lock
from bedplate.engine.state.snapshot import name_of
from bedplate.engine.state.state_epoch import StateEpoch
from bedplate.engine.state.store import StateFiles
from bedplate.errors import BedplateError, Locked, NotFound, PlatformError, UsageError

if TYPE_CHECKING:
    from pulumi.automation import EngineEvent
    from pulumi.automation import Stack as AutomationStack


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
        self._continuity = StateEpoch(self._state_dir, name, world)
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
        busy = lock.at_work(StateFiles.of(self._state_dir, self.name).lock)
        return [past_update(run, at_work=busy and number == 0) for number, run in enumerate(runs)]

    def keeper(self) -> Engine:
        """Which engine keeps the state; asking the other one for anything moves it there."""
        return "pulumi" if self._endpoint_url is None else self._handover().keeper()

    def locked(self) -> lock.LockHolder | None:
        """Who holds the stack's lock on this machine's disk; a backend of the Pulumi CLI has locks of its own."""
        return lock.look(StateFiles.of(self._state_dir, self.name).lock)

    def unlock(self) -> str | None:
        """Take away the lock that a run on another machine left; whose it was, None without one. Raises Locked."""
        return lock.unlock(StateFiles.of(self._state_dir, self.name).lock, stack=self.name)

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
        watch = ProgressListener(on_progress, refreshing=refreshing)
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

    def _handover(self) -> EngineMigration:
        return EngineMigration(self._state_dir, Project.load(self.work_dir).name, self.name)

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
    def _translated(self, watch: ProgressListener | None = None) -> Iterator[None]:
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


def _stderr(exc: Exception) -> str:
    """The CLI's own words out of what the Automation API makes of them."""
    text = str(exc).partition(" stderr: ")[2] or str(exc)
    return text.strip().removeprefix("error: ")

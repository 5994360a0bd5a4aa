"""The application's interface to a stack: preview, up, refresh, destroy, outputs and history, with either engine."""

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
from bedplate.engine.automation.update import PastUpdate, Progress, Update, build_past_update
from bedplate.engine.deployment.providers import ProviderFactory
from bedplate.engine.deployment.targets import target_pattern
from bedplate.engine.property_values import MASK
from bedplate.engine.state import lock
from bedplate.engine.state.snapshot import name_of
from bedplate.engine.state.state_epoch import StateEpoch
from bedplate.engine.state.store import StateFiles
from bedplate.errors import Locked, NotFound, PlatformError, UsageError

if TYPE_CHECKING:
    from pulumi.automation import EngineEvent
    from pulumi.automation import Stack as AutomationStack


class Stack:
    """One stack of the project in `work_dir`.

    With `endpoint_url` (loopback only) it is a local stack: its state is in `state_dir` and moves to `engine` if the
    other engine has it. If the local platform's `generation` has changed since the last run, a run refreshes first.
    `engine="embedded"` needs `endpoint_url` and `provider_factory`. `engine="pulumi"` runs the Pulumi CLI (`install`
    downloads it if necessary); without `endpoint_url` it uses the CLI's own backend, login and AWS provider.
    """

    def __init__(
        self,
        work_dir: Path,
        name: str,
        *,
        engine: Engine = "embedded",
        endpoint_url: str | None = None,
        provider_factory: ProviderFactory | None = None,
        state_dir: Path | None = None,
        environment: Mapping[str, str] | None = None,
        parallel: int = 8,
        install: bool = False,
        generation: str | None = None,
    ) -> None:
        """Raises UsageError for an endpoint of another machine, or without an argument of the embedded engine."""
        self.work_dir = work_dir
        self.name = name
        self.engine = engine
        self._endpoint_url = endpoint_url
        self._environment = dict(environment or {})
        self._parallel = parallel
        self._install = install
        self._state_dir = state_dir or work_dir / ".bedplate" / "state"
        self._state_epoch = StateEpoch(self._state_dir, name, generation)
        self._command: EmbeddedCommand | None = None
        self._limits: dict[str, Any] = {}
        self._replace: list[str] | None = None
        self._message: str | None = None
        if endpoint_url is not None:
            require_loopback(endpoint_url)
        if engine == "embedded":
            if provider_factory is None or endpoint_url is None:
                raise UsageError("The embedded engine needs a provider factory and an endpoint URL")
            self._command = EmbeddedCommand(
                self._state_dir, provider_factory, endpoint_url=endpoint_url, parallel=parallel
            )

    def limit(
        self, *, targets: Sequence[str] = (), target_dependents: bool = False, replace: Sequence[str] = ()
    ) -> Stack:
        """Limits runs to `targets` (with `target_dependents` also to what depends on them) and replaces `replace`.

        Both are URNs, patterns of URNs (`**::name`), or names of resources. Returns the stack itself.
        """
        self._limits = {
            "target": [target_pattern(text) for text in targets] or None,
            "target_dependents": target_dependents or None,
        }
        self._replace = [target_pattern(text) for text in replace] or None
        return self

    def set_message(self, message: str | None) -> Stack:
        """Sets the message of the next runs in the history. Returns the stack itself."""
        self._message = message or None
        return self

    # --- verbs ----------------------------------------------------------------------------------------------------

    def preview(self, *, on_progress: Callable[[Progress], None] | None = None, refresh: bool = False) -> Update:
        """Returns what `up` would do. Raises PlatformError with all errors."""
        return self._run(
            "preview",
            on_progress,
            lambda stack, event: stack.preview(
                on_event=event, refresh=self._needs_refresh(refresh), replace=self._replace, **self._limits
            ),
        )

    def preview_destroy(self, *, on_progress: Callable[[Progress], None] | None = None) -> Update:
        """Returns what `destroy` would do. Raises NotFound for a stack without a state."""
        return self._run(
            "preview",
            on_progress,
            lambda stack, event: stack.preview_destroy(on_event=event, **self._limits),
            create=False,
        )

    def preview_refresh(self, *, on_progress: Callable[[Progress], None] | None = None) -> Update:
        """Returns what `refresh` would change in the state. Raises NotFound for a stack without a state."""
        return self._run(
            "preview",
            on_progress,
            lambda stack, event: stack.preview_refresh(on_event=event),
            create=False,
            refreshing=True,
        )

    def up(self, *, on_progress: Callable[[Progress], None] | None = None, refresh: bool = False) -> Update:
        """Creates or updates the stack. Raises PlatformError when a step failed, Locked when another run holds it."""
        self._state_epoch.start_run()
        update = self._run(
            "up",
            on_progress,
            lambda stack, event: stack.up(
                on_event=event,
                refresh=self._needs_refresh(refresh),
                replace=self._replace,
                message=self._message,
                **self._limits,
            ),
        )
        self._state_epoch.finish_run()
        return update

    def refresh(self, *, on_progress: Callable[[Progress], None] | None = None) -> Update:
        """Updates the state from the actual resources. Raises NotFound, PlatformError, Locked."""
        update = self._run(
            "refresh",
            on_progress,
            lambda stack, event: stack.refresh(on_event=event, message=self._message),
            create=False,
            refreshing=True,
        )
        self._state_epoch.finish_run()
        return update

    def destroy(self, *, on_progress: Callable[[Progress], None] | None = None) -> Update:
        """Deletes all resources; protected ones come last and fail. Raises NotFound, PlatformError, Locked."""
        return self._run(
            "destroy",
            on_progress,
            lambda stack, event: stack.destroy(
                on_event=event, refresh=self._needs_refresh(False), message=self._message, **self._limits
            ),
            create=False,
        )

    def outputs(self, *, show_secrets: bool = False) -> dict[str, Any]:
        """Returns the program's exports of the last `up`. Raises NotFound for a stack without a state."""
        with self._map_errors():
            outputs = self._select(create=False).outputs()
        return {key: MASK if output.secret and not show_secrets else output.value for key, output in outputs.items()}

    def history(self, limit: int = 20) -> list[PastUpdate]:
        """Returns the latest runs, newest first. Raises NotFound for a stack without a state."""
        with self._map_errors():
            runs = self._select(create=False).history(page_size=limit)
        busy = lock.is_locked(StateFiles.of(self._state_dir, self.name).lock)
        return [build_past_update(run, is_running=busy and number == 0) for number, run in enumerate(runs)]

    def active_engine(self) -> Engine:
        """Returns the engine that has the state; any command of the other engine moves the state to it."""
        return "pulumi" if self._endpoint_url is None else self._engine_migration().active_engine()

    def lock_holder(self) -> lock.LockHolder | None:
        """Returns who holds the stack's lock in `state_dir`, or None; backends of the Pulumi CLI have other locks."""
        return lock.find_holder(StateFiles.of(self._state_dir, self.name).lock)

    def unlock(self) -> str | None:
        """Removes the lock of a run on another machine; returns its holder, None without a lock. Raises Locked."""
        return lock.unlock(StateFiles.of(self._state_dir, self.name).lock, stack=self.name)

    def export(self, *, show_secrets: bool = False) -> dict[str, Any]:
        """Returns the state in Pulumi's checkpoint format, for `pulumi stack import`; encrypts secrets unless shown."""
        with self._map_errors():
            stack = self._select(create=False)
            if show_secrets:
                deployment = stack.export_stack()
                return {"version": deployment.version, "deployment": deployment.deployment}
            command = ["stack", "export", "--stack", self.name]
            result = stack.workspace.pulumi_command.run(command, str(self.work_dir), self._environment)
        exported: dict[str, Any] = json.loads(result.stdout)
        return exported

    def import_(self, document: Mapping[str, Any]) -> None:
        """Replaces the stack's state by an exported one. Raises UsageError for an invalid checkpoint, Locked."""
        from pulumi.automation import Deployment

        with self._map_errors():
            stack = self._select(create=True)
            command = stack.workspace.pulumi_command
            if isinstance(command, pulumi_cli.LocalCommand):
                document = command.add_stack_salt(document)
            stack.import_stack(Deployment(document.get("version"), document.get("deployment")))

    def _needs_refresh(self, requested: bool) -> bool | None:
        return requested or self._state_epoch.needs_refresh() or None

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
        listener = ProgressListener(on_progress, includes_refreshes=refreshing)
        started = time.perf_counter()
        if self._command is not None:
            self._command.open_store(self.name).prefetch_key()
        with _pause_garbage_collection(), self._map_errors(listener):
            stack = self._select(create=create)
            self._raise_if_interrupted()
            result = call(stack, listener.handle)
        outputs = getattr(result, "outputs", None) or {}
        return Update(
            verb=verb,
            steps=listener.steps(),
            counts=listener.counts,
            outputs={key: MASK if output.secret else output.value for key, output in outputs.items()},
            messages=tuple(listener.messages),
            duration_s=time.perf_counter() - started,
            resources=listener.resources(),
        )

    def _select(self, *, create: bool) -> AutomationStack:
        from pulumi import automation

        workspace = automation.LocalWorkspace(
            work_dir=str(self.work_dir), pulumi_command=self._pulumi_command(), env_vars=self._environment
        )
        if self._endpoint_url is not None:
            migration = self._engine_migration()
            state = migration.state_to_migrate(self.engine)
            if state is not None:
                stack = automation.Stack.create_or_select(self.name, workspace)
                stack.import_stack(automation.Deployment(state["version"], state["deployment"]))
            migration.set_active_engine(self.engine)
        if create:
            return automation.Stack.create_or_select(self.name, workspace)
        return automation.Stack.select(self.name, workspace)

    def _engine_migration(self) -> EngineMigration:
        return EngineMigration(self._state_dir, Project.load(self.work_dir).name, self.name)

    def _raise_if_interrupted(self) -> None:
        """Raises PlatformError if a killed run of the CLI left pending operations.

        The CLI would create their resources again; the embedded engine finds those that exist.
        """
        if self.engine == "embedded" or self._endpoint_url is None:
            return
        urns = self._engine_migration().interrupted_urns()
        if urns:
            names = ", ".join(sorted({name_of(urn) for urn in urns}))
            raise PlatformError(
                f"The last run of the Pulumi CLI was interrupted during its work on {names}; the embedded engine "
                "recovers these resources, and then either engine can continue",
                next_step=f"bedplate up --engine embedded --stack {self.name}",
            )

    def _pulumi_command(self) -> Any:
        """Returns the `PulumiCommand` of the engine."""
        if self._command is not None:
            return self._command
        cli = pulumi_cli.build_command(install=self._install)
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
    def _map_errors(self, listener: ProgressListener | None = None) -> Iterator[None]:
        from pulumi.automation.errors import CommandError, ConcurrentUpdateError, StackNotFoundError

        try:
            yield
        except StackNotFoundError as exc:
            next_step = f"bedplate up --stack {self.name}"
            raise NotFound(f"Stack {self.name!r} was never brought up", next_step=next_step) from exc
        except ConcurrentUpdateError as exc:
            raise Locked(
                f"Stack {self.name!r} is locked by another update",
                next_step="wait for it, or `pulumi cancel` if its process has ended",
            ) from exc
        except CommandError as exc:
            errors = listener.errors if listener is not None and listener.errors else [_command_stderr(exc)]
            raise PlatformError("\n".join(errors), next_step=f"bedplate up --stack {self.name}") from exc


@contextmanager
def _pause_garbage_collection() -> Iterator[None]:
    """Disables the garbage collector during a run, which takes a third of the CPU time of a stack with fifty models.

    A program creates tens of thousands of objects that live until its end. Afterwards they are moved to the oldest
    generation, so that the next collection does not scan all of them.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.freeze()
            gc.unfreeze()
            gc.enable()


def _command_stderr(exc: Exception) -> str:
    """Returns the CLI's standard error, extracted from the text of the Automation API's exception."""
    text = str(exc).partition(" stderr: ")[2] or str(exc)
    return text.strip().removeprefix("error: ")

"""`bedplate up`: create or update a stack."""

from __future__ import annotations

import click

from bedplate.cli import options
from bedplate.errors import GateFailed

engine = click.option(
    "--engine",
    type=click.Choice(["embedded", "pulumi"]),
    help="Engine that runs the program (local stack: embedded, else pulumi).",
)
install = click.option("--install", is_flag=True, help="Download the Pulumi CLI if it is needed and missing.")
targets = click.option(
    "--target", "-t", "targets", multiple=True, help="Change only this resource: URN, pattern (**::name) or name."
)
dependents = click.option("--target-dependents", "dependents", is_flag=True, help="Also change a target's dependents.")
replace = click.option("--replace", multiple=True, help="Replace this resource: URN, pattern or name.")
message = click.option("--message", "-m", help="Reason for this run, shown by `bedplate history`.")
refresh = click.option("--refresh", is_flag=True, help="Update the state from the live resources first.")


@click.command("up")
@options.stack
@engine
@install
@refresh
@targets
@dependents
@replace
@message
@options.yes
@options.as_json
def command(
    stack: str,
    engine: str | None,
    install: bool,
    refresh: bool,
    targets: tuple[str, ...],
    dependents: bool,
    replace: tuple[str, ...],
    message: str | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Create or update a stack from the program in infra/.

    On a stack on AWS, shows the changes and asks first. A violation of a mandatory policy stops the run before
    anything is changed. After an interruption or a failure, the same command resumes the run.

    \b
    Examples:
      bedplate up
      bedplate up --stack dev --yes --json
      bedplate up --message "a second region for the ledger"
      bedplate up --target artifacts --target-dependents
      bedplate up --engine pulumi --install

    \b
    Exit codes:
      0  the stack matches the program
      1  a step failed
      2  the stack's file or a model.yaml is invalid
      3  a mandatory policy is violated
      7  another run is in progress
    """
    from bedplate.cli.views import policy_view, render, stack_view
    from bedplate.wiring import state_dir
    from bedplate.workflows.stacks import stack as work
    from bedplate.workflows.stacks.policy_cache import PolicyCache
    from bedplate.workflows.stacks.validation import validate_stack

    validated = validate_stack(options.project_dir(), stack)
    connection = options.connect_target(stack, as_json=as_json)
    for warning in () if as_json else validated.warnings:
        render.warn(warning)

    def check(planned: work.UpdateResult) -> None:
        work.require_same_modes(planned, stack=stack)
        work.require_compliant(work.check_policies(planned), stack=stack, applied=False)

    def confirm(planned: work.UpdateResult) -> None:
        if not as_json:
            stack_view.show(planned, planned=True)
        options.confirm(f"Apply these changes to {connection.label}?", assume_yes=False, as_json=as_json)

    skip_prompt = yes or connection.settings.target == "local"
    policy_cache = PolicyCache(options.project_dir(), stack, state_dir(options.project_dir()) / "state")
    with stack_view.show_progress(f"up {stack}") as on_progress:
        pulumi_stack = connection.deployment(engine, install=install)
        pulumi_stack.limit(targets=targets, target_dependents=dependents, replace=replace).set_message(message)
        update = work.bring_up(
            pulumi_stack,
            check=None if policy_cache.has_passed() else check,
            confirm=None if skip_prompt else confirm,
            on_progress=on_progress,
            refresh=refresh,
        )
    report = work.check_policies(update)
    if as_json:
        document = stack_view.to_dict(update, stack=stack, target=connection.label, verb="up")
        render.emit_json({**document, "policies": policy_view.to_dict(report)})
        if report.is_blocking:
            raise SystemExit(GateFailed.exit_code)
    else:
        stack_view.show(update, planned=False)
        policy_view.show(report)
        work.require_compliant(report, stack=stack, applied=True)
    policy_cache.store()

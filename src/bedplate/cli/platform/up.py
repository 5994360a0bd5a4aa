"""`bedplate up`: create or update a stack."""

from __future__ import annotations

import click

from bedplate.cli import options
from bedplate.errors import GateFailed

engine = click.option(
    "--engine",
    type=click.Choice(["embedded", "pulumi"]),
    help="Who applies the program: embedded (local stack only, its default) or the Pulumi CLI.",
)
install = click.option(
    "--install", is_flag=True, help="With the Pulumi CLI as engine: download it when there is none on this machine."
)
targets = click.option(
    "--target", "-t", "targets", multiple=True, help="Only this resource: its URN, a pattern (**::name) or its name."
)
dependents = click.option("--target-dependents", "dependents", is_flag=True, help="What depends on a target, too.")
replace = click.option("--replace", multiple=True, help="Make this resource anew: its URN, a pattern or its name.")
message = click.option("--message", "-m", help="What this run is for, kept in the stack's history.")
refresh = click.option("--refresh", is_flag=True, help="Look at the world first, not only at the state.")


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
    """Create a stack, or bring it to what the program in infra/ says.

    On the local stack it goes ahead; on any other it shows the changes and asks. What violates a mandatory policy
    stops it before anything is changed. Interrupted or failed, the same command again goes on from there.

    \b
    Examples:
      bedplate up
      bedplate up --stack dev --yes --json
      bedplate up --message "a second region for the ledger"
      bedplate up --target artifacts --target-dependents
      bedplate up --engine pulumi --install

    Exit codes: 0 done, 1 a step failed, 2 the stack's settings are wrong, 3 a policy is violated, 7 another run
    is at work.
    """
    from bedplate.cli.views import policy_view, render, stack_view
    from bedplate.wiring import connect, state_dir
    from bedplate.workflows.stacks.policy_cache import PolicyCache
    from bedplate.workflows.stacks.stack import UpdateResult, bring_up, judge_update, require_lawful, require_same_modes
    from bedplate.workflows.stacks.validation import require_sound

    sound = require_sound(options.project_dir(), stack)
    platform = connect(options.project_dir(), stack)
    if not as_json:
        render.where(platform.label)
        for line in sound.unknown:
            render.remark(line)

    def check(planned: UpdateResult) -> None:
        require_same_modes(planned, stack=stack)
        require_lawful(judge_update(planned), stack=stack, applied=False)

    def agree(planned: UpdateResult) -> None:
        if not as_json:
            stack_view.show(planned, planned=True)
        options.confirm(f"Apply this to {platform.label}?", assume_yes=False, as_json=as_json)

    ask = not yes and platform.settings.target != "local"
    judged = PolicyCache(options.project_dir(), stack, state_dir(options.project_dir()) / "state")
    with stack_view.watched(f"up {stack}") as watch:
        target = platform.deployment(engine, install=install)
        target.limit(targets=targets, dependents=dependents, replace=replace).noting(message)
        update = bring_up(
            target,
            check=None if judged.already() else check,
            agree=agree if ask else None,
            on_progress=watch,
            refresh=refresh,
        )
    judgement = judge_update(update)
    if as_json:
        data = stack_view.data(update, stack=stack, where=platform.label, verb="up")
        render.emit_json({**data, "policies": policy_view.as_data(judgement)})
        if judgement.stops:
            raise SystemExit(GateFailed.exit_code)
    else:
        stack_view.show(update, planned=False)
        policy_view.show(judgement)
        require_lawful(judgement, stack=stack, applied=True)
    judged.remember()

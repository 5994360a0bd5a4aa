"""`bedplate doctor`: what stands in the way of the other commands, and how to mend it."""

from __future__ import annotations

from collections import Counter
from functools import cache
from typing import TYPE_CHECKING

import click

from bedplate.cli import options
from bedplate.domain.names import PERSONAS

if TYPE_CHECKING:
    from bedplate.domain.stacks.diagnosis import Finding
    from bedplate.settings import StackSettings
    from bedplate.wiring import Connection
    from bedplate.workflows.stacks.doctor import DoctorCheck

_URGENT = ("FAIL", "WARN", "SKIPPED")
_STYLE = {"OK": "green", "WARN": "yellow", "FAIL": "bold red", "SKIPPED": "dim"}


@click.command("doctor")
@options.stack
@click.option("--persona", type=click.Choice(PERSONAS), help="Whose work the credentials must allow.")
@options.as_json
def command(stack: str, persona: str | None, as_json: bool) -> None:
    """Check this machine, the account and the platform, and say how to mend each fault.

    Looks at Python and packages, tools, disk, the stack's file and its models; then asks AWS (or the local platform,
    which it starts) about endpoints, clock, credentials, region, quotas, permissions, key, subscriptions and state. All
    at once, each for a limited time; nothing is changed.

    \b
    Examples:
      bedplate doctor
      bedplate doctor --stack dev
      bedplate doctor --stack prod --persona data-scientist --json

    Exit codes: 0 nothing FAILs, 1 something does.
    """
    from bedplate.cli.views import render
    from bedplate.domain.stacks.diagnosis import is_sound
    from bedplate.workflows.stacks.doctor import diagnose

    checks = _checks(stack, persona)
    with render.progress() as bar:
        task = bar.add_task(f"doctor {stack}", total=len(checks), note="")
        found = diagnose(checks, done=lambda name: bar.update(task, advance=1, note=name))
    if as_json:
        render.emit_json({"stack": stack, "sound": is_sound(found), "findings": found})
    else:
        _show(found, stack)
    if not is_sound(found):
        raise SystemExit(1)


def _checks(stack: str, persona: str | None) -> tuple[DoctorCheck, ...]:
    from bedplate.wiring import connect, platform_here, pulumi_cli, state_dir
    from bedplate.workflows.stacks.doctor_account import account_checks
    from bedplate.workflows.stacks.doctor_machine import machine_checks

    project = options.project_dir()
    settings = _settings(stack)
    machine = machine_checks(
        project,
        stack,
        on_aws=settings is not None and settings.target == "aws",
        state_dir=state_dir(project),
        find_pulumi=pulumi_cli,
        local=lambda: platform_here(project),
    )
    if settings is None:  # the check of the files tells why, and where the stack is cannot be known
        return machine

    @cache
    def connected() -> Connection:
        return connect(project, stack)

    if settings.target == "aws":
        connected()  # once, before the checks ask for it side by side; on the laptop one check starts the platform
    return (*machine, *account_checks(connected, settings, persona=persona))


def _settings(stack: str) -> StackSettings | None:
    """None for a faulty file; NotFound goes on to the caller: a stack that does not exist has no doctor."""
    from bedplate.errors import SettingsError
    from bedplate.settings import load_stack

    try:
        return load_stack(options.project_dir(), stack)
    except SettingsError:
        return None


def _show(found: tuple[Finding, ...], stack: str) -> None:
    """A table for each section; what to do stands below, a line each, so that a command can be pasted."""
    from rich.text import Text

    from bedplate.cli.views import render

    for section in dict.fromkeys(each.section for each in found):
        rows = [
            (Text(each.health.value, style=_STYLE[each.health.value]), each.check, each.what)
            for each in found
            if each.section == section
        ]
        render.out().print(f"\n{section[0].upper()}{section[1:]}", style="bold")
        render.table(None, ("", "check", "what"), rows)
    mends = [each for health in _URGENT for each in found if each.health.value == health and each.mend]
    if mends:
        render.out().print("\nHow to mend it", style="bold")
    for each in mends:
        line = Text.assemble((each.health.value, _STYLE[each.health.value]), f" {each.check}: {each.mend}")
        render.out().print(line, soft_wrap=True)
    counts = Counter(each.health.value for each in found)
    told = ", ".join(f"{counts[health]} {health}" for health in _STYLE if counts[health])
    render.out().print(f"\n{stack}: {told}")

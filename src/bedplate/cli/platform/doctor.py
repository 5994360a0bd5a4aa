"""`bedplate doctor`: check this machine, the account and the platform, and show the fix for each problem."""

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
@click.option("--persona", type=click.Choice(PERSONAS), help="Check the credentials' permissions for this persona.")
@options.as_json
def command(stack: str, persona: str | None, as_json: bool) -> None:
    """Check this machine, the account and the platform, and show the fix for each problem.

    Checks Python, packages, tools, disk, the stack's file and its models. On AWS, or on the local platform (which it
    starts), checks endpoints, clock, credentials, region, quotas, permissions, key, subscriptions and state. All checks
    run in parallel with a time limit. Changes nothing.

    \b
    Examples:
      bedplate doctor
      bedplate doctor --stack dev
      bedplate doctor --stack prod --persona data-scientist --json

    \b
    Exit codes:
      0  no check FAILs
      1  a check FAILs
    """
    from bedplate.cli.views import render
    from bedplate.domain.stacks.diagnosis import is_healthy
    from bedplate.workflows.stacks.doctor import run_checks

    checks = _list_checks(stack, persona)
    with render.progress_bar() as bar:
        task = bar.add_task(f"doctor {stack}", total=len(checks), note="")
        findings = run_checks(checks, on_check=lambda name: bar.update(task, advance=1, note=name))
    if as_json:
        render.emit_json({"stack": stack, "healthy": is_healthy(findings), "findings": findings})
    else:
        _show(findings, stack)
    if not is_healthy(findings):
        raise SystemExit(1)


def _list_checks(stack: str, persona: str | None) -> tuple[DoctorCheck, ...]:
    from bedplate.wiring import connect, find_local_platform, find_pulumi_cli, state_dir
    from bedplate.workflows.stacks.doctor_account import account_checks
    from bedplate.workflows.stacks.doctor_machine import machine_checks

    project = options.project_dir()
    settings = _load_settings(stack)
    on_machine = machine_checks(
        project,
        stack,
        on_aws=settings is not None and settings.target == "aws",
        state_dir=state_dir(project),
        find_pulumi=find_pulumi_cli,
        find_local_platform=lambda: find_local_platform(project),
    )
    if settings is None:  # one of the machine checks reports the invalid file; without it the target is unknown
        return on_machine

    @cache
    def get_connection() -> Connection:
        return connect(project, stack)

    if settings.target == "aws":
        get_connection()  # fills the cache before the checks run in parallel; locally, a check starts the platform
    return (*on_machine, *account_checks(get_connection, settings, persona=persona))


def _load_settings(stack: str) -> StackSettings | None:
    """Returns None for an invalid file. Raises NotFound if the stack has no file."""
    from bedplate.errors import SettingsError
    from bedplate.settings import load_stack

    try:
        return load_stack(options.project_dir(), stack)
    except SettingsError:
        return None


def _show(findings: tuple[Finding, ...], stack: str) -> None:
    """Prints a table per section, then one fix per line, so that commands can be pasted."""
    from rich.text import Text

    from bedplate.cli.views import render

    for section in dict.fromkeys(f.section for f in findings):
        rows = [
            (Text(f.health.value, style=_STYLE[f.health.value]), f.check, f.detail)
            for f in findings
            if f.section == section
        ]
        render.console().print(f"\n{section[0].upper()}{section[1:]}", style="bold")
        render.print_table(None, ("", "check", "detail"), rows)
    fixable = [f for health in _URGENT for f in findings if f.health.value == health and f.fix]
    if fixable:
        render.console().print("\nFixes", style="bold")
    for f in fixable:
        line = Text.assemble((f.health.value, _STYLE[f.health.value]), f" {f.check}: {f.fix}")
        render.console().print(line, soft_wrap=True)
    counts = Counter(f.health.value for f in findings)
    totals = ", ".join(f"{counts[health]} {health}" for health in _STYLE if counts[health])
    render.console().print(f"\n{stack}: {totals}")

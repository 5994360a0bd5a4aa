"""`bedplate approve`: approve or reject a version, by name and with evidence."""

from __future__ import annotations

import click

from bedplate.cli import options
from bedplate.cli.views.render import emit_json, out, where


@click.command()
@click.argument("model", metavar="MODEL[:VERSION]")
@click.option("--reject", is_flag=True, help="Reject instead; needs --reason.")
@click.option("--force", is_flag=True, help="Approve although a gate is shut or the code is not clean; needs --reason.")
@click.option("--reason", help="Why; kept with the version and in the ledger.")
@click.option("--notes", metavar="TEXT", help="Release notes: what is new; they replace those given to train.")
@click.option("--as", "person", metavar="PERSON", help="Who says so, on the local stack; on AWS it is who STS says.")
@options.stack
@options.as_json
def command(
    model: str,
    reject: bool,
    force: bool,
    reason: str | None,
    notes: str | None,
    person: str | None,
    stack: str,
    as_json: bool,
) -> None:
    """Approve the newest version that waits, or the one named.

    It must have passed its gates and come from a clean commit; a model of high risk needs two people. Exit code 4 says
    that somebody else, or more evidence, is needed.

    \b
    Examples:
      bedplate approve flight-delay
      bedplate approve flight-delay:2 --force --reason "the feed is known to be late in July"
      bedplate approve flight-delay:2 --reject --reason "trained on a broken feed"
    """
    from bedplate.wiring import connect
    from bedplate.workflows.versions.approve import ApproveRequest, approve

    name, version = options.model_and_version(model)
    at = connect(options.project_dir(), stack)
    if not as_json:
        where(at.label)
    request = ApproveRequest(name, version, reject, force, reason, person, notes)
    done = approve(at, request)
    ref = f"{name}:{done.package.version}"
    if as_json:
        emit_json(
            {
                "model": name,
                "version": done.package.version,
                "status": done.package.approval,
                "outcome": done.outcome,
                "person": done.person,
                "people": done.people,
                "waived": done.waived,
                "verdict": done.package.metadata.get("verdict"),
                "evaluation_uri": done.package.metadata.get("evaluation_uri"),
            }
        )
        return
    if done.outcome == "unchanged":
        out().print(f"{ref} is {done.package.approval} already.")
    elif done.outcome == "rejected":
        out().print(f"[bold red]{ref} rejected[/bold red] by {done.person}: {reason}")
    else:
        word = "[bold yellow]approved by force[/bold yellow]" if done.waived else "[bold green]approved[/bold green]"
        out().print(f"{ref} {word} by {', '.join(done.people)}")
        for waived in done.waived:
            out().print(f"  although {waived}")
        out().print(f"Next:  bedplate deploy {ref}")

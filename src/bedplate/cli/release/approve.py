"""`bedplate approve`: approve or reject a version."""

from __future__ import annotations

import click

from bedplate.cli import options
from bedplate.cli.views.render import console, emit_json


@click.command()
@click.argument("model", metavar="MODEL[:VERSION]")
@click.option("--reject", is_flag=True, help="Reject the version; needs --reason.")
@click.option(
    "--force", is_flag=True, help="Approve although a gate did not pass or the commit is dirty; needs --reason."
)
@click.option("--reason", metavar="TEXT", help="Reason, stored with the version and in the ledger.")
@click.option("--notes", metavar="TEXT", help="Release notes: what is new. They replace the notes given to train.")
@click.option(
    "--as", "person", metavar="PERSON", help="Who approves, on the local stack only; on AWS, STS names the person."
)
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
    """Approve or reject a version: the one named, or the newest version of MODEL that is pending.

    Changes the version's approval status in the model registry and adds a record to the ledger. A version can be
    approved when its gates passed and it was trained from a clean commit; a model of high risk needs two people.

    \b
    Examples:
      bedplate approve flight-delay
      bedplate approve flight-delay:2 --force --reason "the feed is known to be late in July"
      bedplate approve flight-delay:2 --reject --reason "trained on a broken feed"

    \b
    Exit codes:
      0  the version is approved or rejected, or already was
      4  another person has to approve too, or evidence is missing
    """
    from bedplate.workflows.versions.approve import ApproveRequest, approve

    name, version = options.parse_model_version(model)
    connection = options.connect_target(stack, as_json=as_json)
    request = ApproveRequest(name, version, reject, force, reason, person, notes)
    result = approve(connection, request)
    ref = f"{name}:{result.package.version}"
    if as_json:
        emit_json(
            {
                "model": name,
                "version": result.package.version,
                "status": result.package.approval,
                "outcome": result.outcome,
                "person": result.person,
                "people": result.people,
                "waived": result.waived,
                "verdict": result.package.metadata.get("verdict"),
                "evaluation_uri": result.package.metadata.get("evaluation_uri"),
            }
        )
        return
    if result.outcome == "unchanged":
        console().print(f"{ref} is already {result.package.approval}.")
    elif result.outcome == "rejected":
        console().print(f"[bold red]{ref} rejected[/bold red] by {result.person}: {reason}")
    else:
        word = "[bold yellow]approved by force[/bold yellow]" if result.waived else "[bold green]approved[/bold green]"
        console().print(f"{ref} {word} by {', '.join(result.people)}")
        for waiver in result.waived:
            console().print(f"  although {waiver}")
        console().print(f"Next:  bedplate deploy {ref}")

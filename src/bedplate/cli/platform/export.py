"""`bedplate export`: export a stack for other tools."""

from __future__ import annotations

from pathlib import Path

import click

from bedplate.cli import options
from bedplate.cli.platform.up import engine, install


@click.group()
def command() -> None:
    """Export a stack as Terraform.

    \b
    Example:
      bedplate export terraform terraform/
    """


@command.command()
@click.argument("directory", type=click.Path(path_type=Path))
@options.stack
@engine
@install
@click.option("--show-secrets", is_flag=True, help="Also write the values of secrets, to a file with mode 0600.")
@options.as_json
def terraform(
    directory: Path, stack: str, engine: str | None, install: bool, show_secrets: bool, as_json: bool
) -> None:
    """Write a stack's resources to DIRECTORY as Terraform JSON for the AWS provider, each with an import block.

    Values are resolved; where one resource uses an output of another, the value is a reference. Changes nothing at AWS.

    \b
    Examples:
      bedplate export terraform terraform/
      bedplate export terraform terraform/prod --stack prod --show-secrets
      terraform -chdir=terraform init && terraform -chdir=terraform plan

    \b
    Exit codes:
      0  the files are written
      1  a resource has no counterpart in Terraform
      2  the stack does not exist yet, or DIRECTORY contains other files
    """
    from bedplate.cli.views import render
    from bedplate.domain.formatting import format_count

    written, names = options.connect(stack).terraform(
        directory, engine=engine, install=install, show_secrets=show_secrets
    )
    if as_json:
        counts = {"resources": written.resource_count, "references": written.reference_count}
        lists = {"files": sorted(names), "secrets": sorted(written.secrets), "left_out": list(written.left_out)}
        render.emit_json({"stack": stack, **counts, **lists})
        return
    rows = [
        (name, str(sum(len(resources) for resources in tree.get("resource", {}).values()) or ""), ", ".join(tree))
        for name, tree in sorted(written.files.items())
    ]
    render.print_table(None, ("file", "resources", "contents"), rows)
    echo = render.console().print
    count, references = written.resource_count, format_count(written.reference_count, "reference")
    echo(f"{format_count(count, 'resource')}, {references}, {format_count(count, 'import')} in {directory}")
    if written.secrets and not show_secrets:
        echo(f"Variables without a value: {format_count(len(written.secrets), 'secret')}; --show-secrets writes them")
    if written.left_out:
        echo(f"Not exported: {format_count(len(written.left_out), 'provider setting')}, listed in README.md there")
    echo(f"Next: terraform -chdir={directory} init && terraform -chdir={directory} plan")

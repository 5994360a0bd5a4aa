"""`bedplate export`: the platform for other tools."""

from __future__ import annotations

from pathlib import Path

import click

from bedplate.cli import options
from bedplate.cli.platform.up import engine, install


@click.group(short_help="Write the platform out for another tool.")
def command() -> None:
    """The platform for teams that standardise on another tool, or want to leave.

    \b
    Example:
      bedplate export terraform terraform/
    """


@command.command()
@click.argument("directory", type=click.Path(path_type=Path))
@options.stack
@engine
@install
@click.option(
    "--show-secrets", is_flag=True, help="Also write the secrets' values, to a file that is yours alone (mode 0600)."
)
@options.as_json
def terraform(
    directory: Path, stack: str, engine: str | None, install: bool, show_secrets: bool, as_json: bool
) -> None:
    """Write the stack's resources to DIRECTORY as Terraform JSON for the AWS provider, each with an import block.

    \b
    Examples:
      bedplate export terraform terraform/
      bedplate export terraform terraform/prod --stack prod --show-secrets
      terraform -chdir=terraform init && terraform -chdir=terraform plan

    Values are the resolved ones, with references where one resource has them from another. Nothing at AWS is touched.

    Exit codes: 0 written, 1 a resource has no counterpart in Terraform, 2 the stack was never brought up, or the
    directory holds something else.
    """
    from bedplate.cli.views import render
    from bedplate.domain.formatting import counted
    from bedplate.wiring import connect

    written, names = connect(options.project_dir(), stack).terraform(
        directory, engine=engine, install=install, show_secrets=show_secrets
    )
    if as_json:
        told = {"resources": written.resources, "references": written.references, "files": sorted(names)}
        render.emit_json(
            {"stack": stack, **told, "secrets": sorted(written.secrets), "left_out": list(written.left_out)}
        )
        return
    rows = [
        (name, str(sum(len(held) for held in tree.get("resource", {}).values()) or ""), ", ".join(tree))
        for name, tree in sorted(written.files.items())
    ]
    render.table(None, ("file", "resources", "holds"), rows)
    say = render.out().print
    say(
        f"{written.resources} resources, {written.references} references and {written.resources} imports in {directory}"
    )
    if written.secrets and not show_secrets:
        say(f"Variables without a value: {counted(len(written.secrets), 'secret')}; --show-secrets writes values")
    if written.left_out:
        say(
            f"Left out: {counted(len(written.left_out), 'setting')} only the provider keeps; README.md there lists them"
        )
    say(f"Next: terraform -chdir={directory} init && terraform -chdir={directory} plan")

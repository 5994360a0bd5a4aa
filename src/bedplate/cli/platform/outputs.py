"""`bedplate outputs`: print a stack's outputs."""

from __future__ import annotations

import json

import click

from bedplate.cli import options
from bedplate.errors import UsageError


@click.command("outputs")
@click.argument("name", required=False)
@options.stack
@options.as_json
def command(name: str | None, stack: str, as_json: bool) -> None:
    """Print a stack's outputs: buckets, roles, topic, image. With NAME, print only that output's value.

    Reads the SSM parameter that `up` writes, so it does not need Pulumi.

    \b
    Examples:
      bedplate outputs
      bedplate outputs data_bucket
      bedplate outputs --stack dev --json

    \b
    Exit codes:
      0  the outputs are printed
      2  the stack does not exist yet, or has no output NAME
    """
    from bedplate.cli.views import render

    connection = options.connect(stack)
    values = connection.outputs.model_dump(mode="json")
    if name is not None:
        if name not in values:
            raise UsageError(
                f"Stack {stack!r} has no output {name!r}; its outputs: {', '.join(values)}",
                next_step=f"bedplate outputs --stack {stack}",
            )
        value = values[name]
        if as_json:
            render.emit_raw_json(value)
        else:
            click.echo(value if isinstance(value, str) else json.dumps(value))
    elif as_json:
        render.emit_raw_json(values)
    else:
        render.print_target(connection.label)
        rows = [(key, value if isinstance(value, str) else json.dumps(value)) for key, value in values.items()]
        render.print_table(None, ("output", "value"), rows)

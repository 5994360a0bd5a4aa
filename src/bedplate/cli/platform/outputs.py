"""`bedplate outputs`: what a stack exports."""

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
    """Print what a stack exports: buckets, roles, topic, image. With NAME only that one's value, for scripts.

    Read from the platform's own record (an SSM parameter), so it needs no Pulumi.

    \b
    Examples:
      bedplate outputs
      bedplate outputs data_bucket
      bedplate outputs --stack dev --json

    Exit codes: 0 printed, 2 the stack was never brought up, or there is no such output.
    """
    from bedplate.cli.views import render
    from bedplate.wiring import connect

    platform = connect(options.project_dir(), stack)
    values = platform.outputs.model_dump(mode="json")
    if name is not None:
        if name not in values:
            raise UsageError(
                f"There is no output {name!r} (there are: {', '.join(values)})",
                next_step=f"bedplate outputs --stack {stack}",
            )
        value = values[name]
        if as_json:
            render.emit_json(value)
        else:
            click.echo(value if isinstance(value, str) else json.dumps(value))
    elif as_json:
        render.emit_json(values)
    else:
        render.where(platform.label)
        rows = [(key, value if isinstance(value, str) else json.dumps(value)) for key, value in values.items()]
        render.table(None, ("output", "value"), rows)

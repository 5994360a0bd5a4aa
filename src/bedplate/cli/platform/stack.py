"""`bedplate stack`: list, create and compare environments."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bedplate.cli import options

if TYPE_CHECKING:
    from bedplate.domain.stacks.environments import SettingDifference
    from bedplate.workflows.stacks.environments import DeployedState, EnvironmentComparison, EnvironmentRow


@click.group()
def command() -> None:
    """List, create and compare environments; each is a file of values in stacks/.

    \b
    Examples:
      bedplate stack list
      bedplate stack new qa --from dev
      bedplate stack diff staging prod
      bedplate stack image --stack dev
    """


@command.command()
@options.stack
@options.as_json
def image(stack: str, as_json: bool) -> None:
    """Print the name of the stack's container image; build and push it before `up` when it changes.

    Tags are immutable. Without `image_tag` in the stack's file, the tag is derived from Bedplate's version, the
    Dockerfile and the lock file. The name includes the registry's address if the file names the account. Makes no call
    to AWS.

    \b
    Examples:
      bedplate stack image --stack dev
      docker build --platform linux/amd64 -t "$(bedplate stack image --stack dev)" .
    """
    from bedplate.cli.views import render
    from bedplate.settings import image_name, load_stack, read_yaml

    project_dir = options.project_dir()
    settings = load_stack(project_dir, stack)
    name = image_name(project_dir, str(read_yaml(project_dir / "Pulumi.yaml")["name"]), stack, settings)
    if as_json:
        render.emit_json({"image": name, "tag": name.rpartition(":")[2], "pinned": settings.image_tag is not None})
        return
    click.echo(name)


@command.command("list")
@options.as_json
def list_(as_json: bool) -> None:
    """List the stacks: target, account, region, models, last update and number of resources.

    Reads the states of stacks on AWS from Pulumi's backend and reports those that cannot be read. Starts nothing.

    \b
    Examples:
      bedplate stack list
      bedplate stack list --json
    """
    from bedplate.cli.views import render
    from bedplate.settings import list_stack_names
    from bedplate.wiring import connect_offline
    from bedplate.workflows.stacks.environments import list_environments

    project = options.project_dir()
    stacks = list_stack_names(project)
    rows = list_environments(project, stacks, lambda stack: connect_offline(project, stack).deployment())
    if as_json:
        render.emit_json(rows)
        return
    columns = ("stack", "target", "account", "region", "models", "last update (UTC)", "resources")
    render.print_table(None, columns, [_row(row) for row in rows], right_aligned=("resources",))
    stacks_by_error: dict[str, list[str]] = {}
    for row in rows:
        if error := row.error or (row.state and row.state.error):
            stacks_by_error.setdefault(error, []).append(row.stack)
    for error, names in stacks_by_error.items():
        render.warn(f"{', '.join(names)}: {error}")


@command.command()
@click.argument("name", metavar="NAME")
@click.option("--from", "source", default="dev", show_default=True, help="Stack whose file is copied.")
@click.option("--target", type=click.Choice(["local", "aws"]), help="Target (default: that of --from).")
@click.option("--region", help="AWS region (default: that of --from).")
@click.option("--account", help="The AWS account (12 digits) that `up` requires.")
@options.as_json
def new(name: str, source: str, target: str | None, region: str | None, account: str | None, as_json: bool) -> None:
    """Write stacks/Pulumi.NAME.yaml from another stack's file, without its account id.

    Comments are copied too. The new file is validated before it is written; an existing file is not overwritten.

    \b
    Examples:
      bedplate stack new qa --from dev --account 123456789012
      bedplate stack new try --from local

    \b
    Exit codes:
      0  the file is written
      2  the name or a value is invalid, or the file exists
    """
    from bedplate.cli.views import render
    from bedplate.workflows.stacks.new_stack import create_stack_file

    project = options.project_dir()
    path = create_stack_file(project, name, source=source, target=target, region=region, account_id=account)
    relative = path.relative_to(project)
    if as_json:
        render.emit_json({"stack": name, "from": source, "file": str(relative)})
        return
    render.console().print(f"Wrote {relative}, from {source}")
    render.warn(f"Next: $EDITOR {relative}, then bedplate preview --stack {name}")


@command.command()
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@options.as_json
def diff(a: str, b: str, as_json: bool) -> None:
    """Compare two environments: settings, each model's contract, live versions and deployed resources.

    If an environment cannot be reached, the command says so and compares the files.

    \b
    Examples:
      bedplate stack diff staging prod
      bedplate stack diff local dev --json

    \b
    Exit codes:
      0  the comparison is shown, with or without differences
      2  a stack has no file, or its file is invalid
    """
    from bedplate.cli.views import render
    from bedplate.workflows.stacks.environments import compare_environments, compare_settings

    project = options.project_dir()
    compare_settings(project, a, b)  # raises for a wrong name or an invalid file before any connection is made
    comparison = compare_environments(project, a, b, (_read_deployed(a), _read_deployed(b)))
    if as_json:
        render.emit_json({"a": a, "b": b, "differences": comparison})
        return
    _show(comparison, a, b)


def _read_deployed(stack: str) -> DeployedState:
    from bedplate.errors import BedplateError
    from bedplate.workflows.stacks.environments import DeployedState, StateSummary, read_deployed_state, read_state

    try:
        connection = options.connect(stack)
        try:
            state = read_state(connection.deployment())
        except BedplateError as exc:
            state = StateSummary(error=exc.message.splitlines()[0])
        return read_deployed_state(connection, state)
    except BedplateError as exc:
        return DeployedState({}, None, exc.message.splitlines()[0])


def _row(row: EnvironmentRow) -> tuple[str, ...]:
    if row.error:
        return row.stack, "invalid", "", "", "", "", ""
    if row.state is None:
        updated, resources = "never", "0"
    elif row.state.error:
        updated = resources = "unknown"
    else:
        last_update = row.state.last_update
        updated = f"{last_update:%Y-%m-%d %H:%M} {row.state.last_result}" if last_update else "never"
        resources = str(row.state.resource_count)
    account = row.account_id or ("-" if row.target == "local" else "any")
    return row.stack, str(row.target), account, str(row.region), ", ".join(row.models), updated, resources


def _show(comparison: EnvironmentComparison, a: str, b: str) -> None:
    from bedplate.cli.views import render

    sides = (comparison.a, comparison.b)
    if comparison.settings:
        render.print_table("Settings", ("key", a, b), map(_difference_cells, comparison.settings))
    for model, differences in comparison.models.items():
        render.print_table(f"\nContract of model {model}", ("key", a, b), map(_difference_cells, differences))
    if not comparison.settings and not comparison.models:
        render.console().print("The settings do not differ")
    models = sorted({*comparison.a.models, *comparison.b.models})
    if models:
        rows = [(model, *(_format_release(side, model) for side in sides)) for model in models]
        render.print_table("\nLive releases", ("model", a, b), rows)
    if comparison.a.state or comparison.b.state:
        rows = [("last update (UTC)", *map(_format_last_update, sides)), ("resources", *map(_format_count, sides))]
        render.print_table("\nState", ("", a, b), rows)
    if comparison.deployed:
        cells = map(_difference_cells, comparison.deployed)
        render.print_table("\nDeployed resources that differ", ("resource", a, b), cells)
    for stack, side in zip((a, b), sides, strict=True):
        if side.error:
            render.warn(f"{stack} could not be reached, so its deployed resources are unknown: {side.error}")
        if side.state and side.state.error:
            render.warn(f"The state of {stack} could not be read: {side.state.error}")


def _difference_cells(difference: SettingDifference) -> tuple[str, ...]:
    from bedplate.cli.views import stack_view
    from bedplate.cli.views.differences import format_value

    key = difference.key
    if key.startswith("resources."):
        key = stack_view.short_type(key.removeprefix("resources."))
    return key, *("-" if value is None else format_value(value) for value in (difference.a, difference.b))


def _format_release(side: DeployedState, model: str) -> str:
    live = side.models.get(model)
    if live is None:
        return "unknown" if side.error else "none"
    return f"{live.release} ({live.version_count} registered)"


def _format_last_update(side: DeployedState) -> str:
    if side.state is None:
        return "never"
    return f"{side.state.last_update:%Y-%m-%d %H:%M}" if side.state.last_update else "unknown"


def _format_count(side: DeployedState) -> str:
    return "0" if side.state is None else "unknown" if side.state.error else str(side.state.resource_count)

"""`bedplate stack`: the environments, a new one, and how two of them differ."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from bedplate.cli import options

if TYPE_CHECKING:
    from bedplate.domain.stacks.environments import SettingDifference
    from bedplate.workflows.stacks.environments import DeployedState, EnvironmentComparison, EnvironmentRow


@click.group(short_help="List environments, make one, and show how two differ.")
def command() -> None:
    """Environments: one file each in stacks/, with values only.

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
    """Print the name of the image that STACK runs, to be built and pushed before the first `up`, and after each change.

    Tags are immutable. Without `image_tag` in the stack's file the tag follows from Bedplate's version, the Dockerfile
    and the lock file: another image has another name. Asks nothing of AWS; the registry's address is there when the
    file names the account.

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
        render.emit_json({"image": name, "tag": name.rpartition(":")[2], "chosen": settings.image_tag is not None})
        return
    click.echo(name)


@command.command("list")
@options.as_json
def list_(as_json: bool) -> None:
    """List the stacks: target, account, region, models, and of each state the last update and its resources.

    Starts nothing: of a stack on AWS the state is asked of Pulumi's backend, and what does not answer is said.

    \b
    Examples:
      bedplate stack list
      bedplate stack list --json
    """
    from bedplate.cli.views import render
    from bedplate.settings import known_stacks
    from bedplate.wiring import look
    from bedplate.workflows.stacks.environments import list_environments

    project = options.project_dir()
    rows = list_environments(project, known_stacks(project), lambda stack: look(project, stack).deployment())
    if as_json:
        render.emit_json(rows)
        return
    columns = ("stack", "target", "account", "region", "models", "last update (UTC)", "resources")
    render.table(None, columns, [_row(row) for row in rows], right=("resources",))
    remarks: dict[str, list[str]] = {}
    for row in rows:
        if told := row.faults or (row.state and row.state.unknown):
            remarks.setdefault(str(told), []).append(row.stack)
    for told, stacks in remarks.items():
        render.remark(f"{', '.join(stacks)}: {told}")


@command.command()
@click.argument("name", metavar="NAME")
@click.option("--from", "source", default="dev", show_default=True, help="The stack whose file is the model.")
@click.option("--target", type=click.Choice(["local", "aws"]), help="Where it is; the model's, when not given.")
@click.option("--region", help="An AWS region; the model's, when not given.")
@click.option("--account", help="The only AWS account (12 digits) that it may be applied to.")
@options.as_json
def new(name: str, source: str, target: str | None, region: str | None, account: str | None, as_json: bool) -> None:
    """Write stacks/Pulumi.NAME.yaml after the model of another stack, with its comments; an account is never copied.

    The file is checked before it is written, and an existing one is not overwritten.

    \b
    Examples:
      bedplate stack new qa --from dev --account 123456789012
      bedplate stack new try --from local

    Exit codes: 0 written, 2 the name or a value is wrong, or the file exists.
    """
    from bedplate.cli.views import render
    from bedplate.workflows.stacks.new_stack import make_stack

    path = make_stack(options.project_dir(), name, source=source, target=target, region=region, account_id=account)
    relative = path.relative_to(options.project_dir())
    if as_json:
        render.emit_json({"stack": name, "from": source, "file": str(relative)})
        return
    render.out().print(f"{relative} is written, after {source}")
    render.remark(f"Next: $EDITOR {relative}, then bedplate preview --stack {name}")


@command.command()
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@options.as_json
def diff(a: str, b: str, as_json: bool) -> None:
    """Show how two environments differ: in settings, in each model's contract, and in what is deployed.

    An environment that cannot be reached is said to be so, and the rest is compared.

    \b
    Examples:
      bedplate stack diff staging prod
      bedplate stack diff local dev --json

    Exit codes: 0 shown (whether they differ or not), 2 no such stack, or a faulty file.
    """
    from bedplate.cli.views import render
    from bedplate.workflows.stacks.environments import compare, compare_settings

    project = options.project_dir()
    compare_settings(project, a, b)  # a wrong name or file is told before anything is reached
    found = compare(project, a, b, (_reached(a), _reached(b)))
    if as_json:
        render.emit_json({"a": a, "b": b, "found": found})
        return
    _show(found, a, b)


def _reached(stack: str) -> DeployedState:
    from bedplate.errors import BedplateError
    from bedplate.wiring import connect
    from bedplate.workflows.stacks.environments import DeployedState, StateSummary, look_at_deployed, look_at_state

    try:
        at = connect(options.project_dir(), stack)
        try:
            state = look_at_state(at.deployment())
        except BedplateError as exc:
            state = StateSummary(unknown=exc.message.splitlines()[0])
        return look_at_deployed(at, state)
    except BedplateError as exc:
        return DeployedState({}, None, exc.message.splitlines()[0])


def _row(row: EnvironmentRow) -> tuple[str, ...]:
    if row.faults:
        return row.stack, "faulty", "", "", "", "", ""
    if row.state is None:
        updated, resources = "never", "0"
    elif row.state.unknown:
        updated = resources = "unknown"
    else:
        moment = row.state.last_update
        updated = f"{moment:%Y-%m-%d %H:%M} {row.state.last_result}" if moment else "never"
        resources = str(row.state.count)
    account = row.account_id or ("-" if row.target == "local" else "any")
    return row.stack, str(row.target), account, str(row.region), ", ".join(row.models), updated, resources


def _show(found: EnvironmentComparison, a: str, b: str) -> None:
    from bedplate.cli.views import render

    if found.settings:
        render.table("Settings", ("key", a, b), [_cells(each) for each in found.settings])
    for model, differing in found.models.items():
        render.table(f"\nModel {model}, as each environment has it", ("key", a, b), [_cells(d) for d in differing])
    if not found.settings and not found.models:
        render.out().print("No difference in settings")
    models = sorted({*found.a.models, *found.b.models})
    if models:
        rows = [(model, _release(found.a, model), _release(found.b, model)) for model in models]
        render.table("\nWhat answers", ("model", a, b), rows)
    if found.a.state or found.b.state:
        rows = [("last update (UTC)", _updated(found.a), _updated(found.b))]
        render.table("\nState", ("", a, b), [*rows, ("resources", _count(found.a), _count(found.b))])
    if found.deployed:
        render.table("\nDeployed differently", ("what", a, b), [_cells(each) for each in found.deployed])
    for stack, side in ((a, found.a), (b, found.b)):
        if side.unknown:
            render.remark(f"{stack} could not be reached, what it has deployed is unknown: {side.unknown}")
        if side.state and side.state.unknown:
            render.remark(f"The state of {stack} could not be read: {side.state.unknown}")


def _cells(each: SettingDifference) -> tuple[str, str, str]:
    from bedplate.cli.views import stack_view

    key = each.key
    if key.startswith("resources."):
        key = stack_view.short_type(key.removeprefix("resources."))
    return key, _text(each.a), _text(each.b)


def _text(value: Any) -> str:
    from bedplate.cli.views.differences import value_text

    return "-" if value is None else value_text(value)


def _release(side: DeployedState, model: str) -> str:
    live = side.models.get(model)
    if live is None:
        return "unknown" if side.unknown else "nothing"
    return f"{live.release} ({live.registered} registered)"


def _updated(side: DeployedState) -> str:
    if side.state is None:
        return "never"
    moment = side.state.last_update
    return f"{moment:%Y-%m-%d %H:%M}" if moment else "unknown"


def _count(side: DeployedState) -> str:
    return "0" if side.state is None else "unknown" if side.state.unknown else str(side.state.count)

"""The `bedplate` command line: the table of commands, and the exit code of every error.

`bedplate --help` reads only the table below; a command's module is imported when that command runs.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NamedTuple, NoReturn

import click

from bedplate import __version__
from bedplate.errors import BedplateError, UsageError
from bedplate.process_exit import exit_process


class Section(NamedTuple):
    """A section of `--help`: the subpackage that holds its commands, and each command's one-line help."""

    package: str
    commands: dict[str, str]


SECTIONS: dict[str, Section] = {
    "The platform": Section(
        "platform",
        {
            "init": "Create a new platform repository.",
            "doctor": "Check this machine, the account and the platform, and show the fix for each problem.",
            "up": "Create or update a stack.",
            "preview": "Show what `up` would change.",
            "stack": "List, create and compare environments.",
            "drift": "Compare program, state and live resources, property by property.",
            "refresh": "Update the state from the live resources.",
            "history": "List a stack's updates: what changed, when, by whom, with which result.",
            "state": "List, export, import and unlock a stack's state.",
            "export": "Export a stack as Terraform.",
            "destroy": "Delete a stack's resources.",
            "outputs": "Print a stack's outputs.",
            "local": "Start, stop and inspect the local platform.",
        },
    ),
    "The life of a release": Section(
        "release",
        {
            "data": "Check data against its contract, register it as signed versions, compare versions.",
            "train": "Train a model and register a new version.",
            "tune": "Search hyperparameters and register the best trial.",
            "runs": "List, show and compare training runs.",
            "retrain": "Retrain a model on its newest registered data.",
            "reproduce": "Retrain a version from its record and compare the two models.",
            "models": "List, show, check, compare, promote and retire models and versions.",
            "evaluate": "Evaluate a version against its gates.",
            "approve": "Approve or reject a version.",
            "deploy": "Deploy an approved version behind a guarded rollout.",
            "rollout": "Show, promote, pause, resume or abort a rollout.",
            "reconcile": "Resume or finish rollouts and deployments that were interrupted.",
            "rollback": "Roll back to the previous healthy release, or to a named one.",
            "invoke": "Send rows to a model's endpoint.",
            "releases": "List releases, and delete those that are no longer needed.",
            "status": "Show the live release, its health and its cost on one screen.",
        },
    ),
    "Monitoring": Section(
        "monitoring",
        {
            "baseline": "Compute the baseline of the live version.",
            "monitor": "Check captured requests for drift and quality.",
            "labels": "Add labels that became known after the prediction.",
            "report": "Write an offline HTML report of one model.",
        },
    ),
    "Money and evidence": Section(
        "evidence",
        {
            "costs": "Show spend by model, stage or owner.",
            "budgets": "Show budgets, forecasts and crossed thresholds.",
            "ledger": "Show, verify and export the ledger.",
            "explain-decision": "Trace one prediction to its release, training data, code and approver.",
            "scorecard": "Summarize a model for auditors and finance on one page.",
            "who-was-live": "Show which release was live at a given time, and why.",
        },
    ),
}


class LazyGroup(click.Group):
    """A click group that takes its commands' one-line help from a table, so that `--help` imports no command."""

    def __init__(self, *args: Any, sections: dict[str, Section], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sections = sections

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for section in self.sections.values() for name in section.commands]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        package = next((s.package for s in self.sections.values() if cmd_name in s.commands), None)
        if package is None:
            return None
        module = import_module(f"{__name__}.{package}.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as exc:
            from difflib import get_close_matches

            matches = get_close_matches(args[0], self.list_commands(ctx), n=1)
            if matches:
                raise click.UsageError(f"{exc.message} Did you mean {matches[0]!r}?", exc.ctx) from exc
            raise

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(len(name) for name in self.list_commands(ctx))
        for title, section in self.sections.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(width), text) for name, text in section.commands.items()])


@click.group(
    cls=LazyGroup,
    sections=SECTIONS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(__version__, prog_name="bedplate")
def root() -> None:
    """From a folder with a train.py to a monitored, budgeted, reversible SageMaker endpoint: on a laptop, and on AWS.

    \b
    Start here:
      bedplate up                              create the platform on this laptop
      bedplate train flight-delay --data X     train a first version
      bedplate status flight-delay             show the live release and its health

    Every command takes --stack (or BEDPLATE_STACK; default: local) and --json.
    """


def main(args: Sequence[str] | None = None) -> None:
    """Run one command and exit; `bedplate.errors` defines the exit code of each error."""
    arguments = list(sys.argv[1:] if args is None else args)
    gc.set_threshold(50_000, *gc.get_threshold()[1:])  # imports allocate much that stays: collect cycles rarely
    try:
        code = root.main(arguments, prog_name="bedplate", standalone_mode=False)
    except BedplateError as exc:
        sys.exit(print_error(_add_next_step(exc, arguments), as_json="--json" in arguments))
    except click.exceptions.Abort:
        click.echo("Stopped. Nothing is lost: run the same command again to go on.", err=True)
        sys.exit(130)
    except click.ClickException as exc:
        if "--json" in arguments:
            sys.exit(print_error(UsageError(exc.format_message(), next_step=_help(exc)), as_json=True))
        exc.show()
        sys.exit(exc.exit_code)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(141)
    except OSError as exc:
        if exc.filename is None:
            raise
        sys.exit(print_error(BedplateError(f"{exc.filename}: {exc.strerror}"), as_json="--json" in arguments))
    sys.exit(code if isinstance(code, int) else 0)


def run() -> NoReturn:
    """Entry point of the `bedplate` executable."""
    code = 0
    try:
        main()
    except SystemExit as exc:
        code = exc.code if isinstance(exc.code, int) else 0
    exit_process(code)


def _add_next_step(error: BedplateError, arguments: list[str]) -> BedplateError:
    """Adds the command's `--help` as the next step of a usage error that has none."""
    if error.next_step is None and isinstance(error, UsageError):
        words = [word for word in arguments[:1] if word in root.list_commands(click.Context(root))]
        error.next_step = " ".join(["bedplate", *words, "--help"])
    return error


def _help(exc: click.ClickException) -> str:
    context = getattr(exc, "ctx", None)
    return f"{context.command_path if context else 'bedplate'} --help"


def print_error(error: BedplateError, *, as_json: bool) -> int:
    """Prints an error with its next step, with `as_json` as JSON on standard output; returns its exit code."""
    if as_json:
        from bedplate.cli.views.render import emit_json

        document = {"message": error.message, "next_step": error.next_step, "exit_code": error.exit_code}
        emit_json({"error": {"kind": type(error).__name__, **document}})
    else:
        click.echo(f"{click.style('Error:', fg='red', bold=True)} {error.message}", err=True)
        for line in getattr(error, "evidence", ()):
            click.echo(line, err=True)
        if error.next_step:
            click.echo(f"{click.style('Next:', bold=True)}  {error.next_step}", err=True)
    return error.exit_code

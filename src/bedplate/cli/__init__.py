"""The command line: which commands there are, and how an error becomes an exit code.

The table below is all that `bedplate --help` reads: a command's module is imported only when that command runs.
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
from bedplate.process_exit import end


class Section(NamedTuple):
    """A section of `--help`: the subpackage that holds its commands, and each command's one-line help."""

    package: str
    commands: dict[str, str]


SECTIONS: dict[str, Section] = {
    "The platform": Section(
        "platform",
        {
            "init": "Write a new platform repository.",
            "doctor": "Check machine, account and platform, and say how to mend each fault.",
            "up": "Create or update a stack.",
            "preview": "Show what `up` would change.",
            "stack": "List environments, make one, and show how two differ.",
            "drift": "Compare program, state and world, property by property.",
            "refresh": "Take the world's values into the state.",
            "history": "A stack's updates: what, when, by whom, with which result.",
            "state": "List, export, import and unlock a stack's state.",
            "export": "Write the platform out as Terraform.",
            "destroy": "Delete everything a stack holds.",
            "outputs": "Print what a stack exports.",
            "local": "Start, stop and look at the local platform.",
        },
    ),
    "The life of a release": Section(
        "release",
        {
            "data": "Check data against its contract, register it as signed versions, compare them.",
            "train": "Train a model and register the result as a new version.",
            "tune": "Look for good hyper-parameters, and register the best trial.",
            "runs": "List, show and compare trainings, as MLflow keeps them.",
            "retrain": "Train a model again because something asks for it.",
            "reproduce": "Train a version again from its record, and compare.",
            "models": "List, show, compare, check, promote and retire models and their versions.",
            "evaluate": "Put a version through its gates.",
            "approve": "Approve or reject a version, by name and with evidence.",
            "deploy": "Release an approved version behind a guarded rollout.",
            "rollout": "Look at rollouts and steer them: status, promote, pause, abort, history.",
            "reconcile": "Bring what was begun to its end: rollouts, interrupted deployments.",
            "rollback": "Put an earlier release back, and prove that it answers.",
            "invoke": "Send rows to a model's endpoint.",
            "releases": "List the releases that exist, and prune those that nobody needs.",
            "status": "Show who is live, how it does and what it costs, on one screen.",
        },
    ),
    "Monitoring": Section(
        "monitoring",
        {
            "baseline": "Record what normal looks like for the live version.",
            "monitor": "Look for drift in captured requests and answers.",
            "labels": "Add outcomes that became known later.",
            "report": "Write one page of charts and evidence, readable offline.",
        },
    ),
    "Money and evidence": Section(
        "evidence",
        {
            "costs": "Show what was spent, by model, stage or owner.",
            "budgets": "Show budgets, forecasts and thresholds crossed.",
            "ledger": "Show, verify and export the record of every act.",
            "explain-decision": "Follow one captured answer back to data, code and approver.",
            "scorecard": "One page about a model for auditors and finance.",
            "who-was-live": "Say which release was live at a time, and why.",
        },
    ),
}


class LazyGroup(click.Group):
    """A group whose commands' one-line help stands in a table, so that `--help` imports none of them."""

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

            near = get_close_matches(args[0], self.list_commands(ctx), n=1)
            if near:
                raise click.UsageError(f"{exc.message} Did you mean {near[0]!r}?", exc.ctx) from exc
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
      bedplate up                              the platform, on this laptop
      bedplate train flight-delay --data X     a first version
      bedplate status flight-delay             who is live, and how it does

    Every command takes --stack (or BEDPLATE_STACK; default: local) and --json.
    """


def main(args: Sequence[str] | None = None) -> None:
    """Run one command and exit with the code that `bedplate.errors` gives its outcome."""
    arguments = list(sys.argv[1:] if args is None else args)
    gc.set_threshold(50_000, *gc.get_threshold()[1:])  # imports make much that stays: the search for cycles waits
    try:
        code = root.main(arguments, prog_name="bedplate", standalone_mode=False)
    except BedplateError as exc:
        sys.exit(tell(_with_a_next_step(exc, arguments), as_json="--json" in arguments))
    except click.exceptions.Abort:
        click.echo("Stopped. Nothing is lost: run the same command again to go on.", err=True)
        sys.exit(130)
    except click.ClickException as exc:
        if "--json" in arguments:
            sys.exit(tell(UsageError(exc.format_message(), next_step=_help(exc)), as_json=True))
        exc.show()
        sys.exit(exc.exit_code)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(141)
    except OSError as exc:
        if exc.filename is None:
            raise
        sys.exit(tell(BedplateError(f"{exc.filename}: {exc.strerror}"), as_json="--json" in arguments))
    sys.exit(code if isinstance(code, int) else 0)


def run() -> NoReturn:
    """`bedplate` as a process of its own."""
    code = 0
    try:
        main()
    except SystemExit as done:
        code = done.code if isinstance(done.code, int) else 0
    end(code)


def _with_a_next_step(error: BedplateError, arguments: list[str]) -> BedplateError:
    """A wrong command line without better advice is sent to the command's help."""
    if error.next_step is None and isinstance(error, UsageError):
        words = [word for word in arguments[:1] if word in root.list_commands(click.Context(root))]
        error.next_step = " ".join(["bedplate", *words, "--help"])
    return error


def _help(exc: click.ClickException) -> str:
    context = getattr(exc, "ctx", None)
    return f"{context.command_path if context else 'bedplate'} --help"


def tell(error: BedplateError, *, as_json: bool) -> int:
    """Print an error with its next step (as JSON on standard output when asked to); returns its exit code."""
    if as_json:
        from bedplate.cli.views.render import emit_json

        told = {"message": error.message, "next_step": error.next_step, "exit_code": error.exit_code}
        emit_json({"error": {"kind": type(error).__name__, **told}})
    else:
        click.echo(f"{click.style('Error:', fg='red', bold=True)} {error.message}", err=True)
        for line in getattr(error, "evidence", ()):
            click.echo(line, err=True)
        if error.next_step:
            click.echo(f"{click.style('Next:', bold=True)}  {error.next_step}", err=True)
    return error.exit_code

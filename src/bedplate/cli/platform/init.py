"""`bedplate init`: create a new platform repository."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import click

from bedplate.cli import options


@click.command()
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--name", help="Project name, the prefix of all names at AWS. [default: the directory's name]")
@click.option("--owner", required=True, metavar="EMAIL", help="Owner of the platform; receives its alerts.")
@click.option("--region", default="us-east-1", show_default=True, help="AWS region of every environment.")
@click.option("--model", default="sample", show_default=True, help="Name of the sample model.")
@click.option(
    "--task",
    type=click.Choice(["binary", "regression"]),
    default="binary",
    show_default=True,
    help="Task of the sample model.",
)
@click.option("--bedplate", "requirement", metavar="SPEC", help="Requirement of Bedplate in requirements.in.")
@click.option("--no-git", is_flag=True, help="Do not create a git repository.")
@options.as_json
def command(
    directory: Path,
    name: str | None,
    owner: str,
    region: str,
    model: str,
    task: str,
    requirement: str | None,
    no_git: bool,
    as_json: bool,
) -> None:
    """Create a new platform repository in DIRECTORY: program, environments, sample model, tests, CI workflow.

    Its `make test` passes without changes. Changes nothing at AWS.

    \b
    Examples:
      bedplate init acme-ml --owner platform@acme.example
      bedplate init acme-ml --owner platform@acme.example --region eu-west-1 --model churn --task binary

    \b
    Exit codes:
      0  the repository is created
      2  DIRECTORY is not empty, or a name is invalid
    """
    from bedplate.cli.views import render
    from bedplate.scaffold import ScaffoldRequest, write_repository

    request = ScaffoldRequest(
        name=name or directory.resolve().name,
        model=model,
        owner=owner,
        region=region,
        task="regression" if task == "regression" else "binary",
    )
    if requirement:
        request = replace(request, requirement=requirement)
    repository = write_repository(directory, request, git=not no_git)
    if as_json:
        render.emit_json(repository)
        return
    file_counts = Counter(file.partition("/")[0] if "/" in file else "." for file in repository.files)
    contents = {
        "infra": "Pulumi program, one component per file",
        "stacks": "one file of values per environment",
        "models": f"{model}: contract, training, inference, data",
        "tests": "tests of contracts, training, predictions, and of the platform from up to destroy",
        ".github": "CI: tests, and a preview of every environment on a pull request",
        ".": "Pulumi.yaml, README.md, Makefile, Dockerfile, requirements.in",
    }
    rows = [(folder, file_counts[folder], text) for folder, text in contents.items() if folder in file_counts]
    render.print_table(None, ("folder", "files", "contents"), rows, right_aligned=("files",))
    if not no_git and not repository.committed:
        render.warn("git is missing or has no user.name: commit the files yourself before the first training.")
    render.console().print(f"Next: cd {directory} && make test")

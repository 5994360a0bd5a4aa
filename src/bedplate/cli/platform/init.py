"""`bedplate init`: a new platform repository."""

from __future__ import annotations

from pathlib import Path

import click

from bedplate.cli import options


@click.command()
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--name", help="The project's name, the beginning of every name at AWS. [default: the directory's]")
@click.option("--owner", required=True, metavar="EMAIL", help="Who owns the platform and hears its alerts.")
@click.option("--region", default="us-east-1", show_default=True, help="The AWS region of every environment.")
@click.option("--model", default="sample", show_default=True, help="What the sample model is called.")
@click.option(
    "--task",
    type=click.Choice(["binary", "regression"]),
    default="binary",
    show_default=True,
    help="What the sample model predicts.",
)
@click.option("--bedplate", "requirement", metavar="SPEC", help="How requirements.in names Bedplate, for pip.")
@click.option("--no-git", is_flag=True, help="Do not make it a git repository.")
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
    """Write a new platform repository to DIRECTORY: program, environments, a sample model, tests, a CI workflow.

    \b
    Examples:
      bedplate init acme-ml --owner platform@acme.example
      bedplate init acme-ml --owner platform@acme.example --region eu-west-1 --model churn --task binary

    Its `make test` passes as it is. Nothing at AWS is touched.

    Exit codes: 0 written, 2 the directory is not empty, or a name does not fit.
    """
    from bedplate.cli.views import render
    from bedplate.scaffold import Wanted, write

    wanted = Wanted(
        name=name or directory.resolve().name,
        model=model,
        owner=owner,
        region=region,
        task="regression" if task == "regression" else "binary",
    )
    if requirement:
        from dataclasses import replace

        wanted = replace(wanted, requirement=requirement)
    made = write(directory, wanted, git=not no_git)
    if as_json:
        render.emit_json({"directory": str(made.directory), "files": list(made.files), "committed": made.committed})
        return
    folders: dict[str, int] = {}
    for file in made.files:
        folders[file.split("/")[0] if "/" in file else "."] = (
            folders.get(file.split("/")[0] if "/" in file else ".", 0) + 1
        )
    told = {
        "infra": "the Pulumi program, one component a file",
        "stacks": "an environment each: values only",
        "models": f"{model}: contract, training, inference, data",
        "tests": "contracts, training and answers, the platform up and down",
        ".github": "tests, and a preview of every environment on a pull request",
        ".": "Pulumi.yaml, README.md, Makefile, Dockerfile, requirements.in",
    }
    render.table(
        None, ("in", "files", "what"), [(k, folders[k], v) for k, v in told.items() if k in folders], right=("files",)
    )
    if not no_git and not made.committed:
        render.remark("git is missing or does not know your name: commit by hand before the first training.")
    render.out().print(f"Next: cd {directory} && make test")

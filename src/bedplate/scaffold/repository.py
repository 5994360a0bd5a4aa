"""Renders the files of a new platform repository and writes them to disk, all or none."""

from __future__ import annotations

import re
import shutil
import string
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bedplate import __version__
from bedplate.domain.stacks.availability import is_offered
from bedplate.errors import UsageError

HERE = Path(__file__).parent
DESTINATIONS = {"gitignore": ".gitignore", "github/platform.yml": ".github/workflows/platform.yml"}
"""Templates with another path in the new repository, because tools would act on that path in this one."""
_NAME = re.compile(r"^[a-z][a-z0-9-]{1,30}[a-z0-9]$")


@dataclass(frozen=True, slots=True)
class ScaffoldRequest:
    """The arguments of `bedplate init`; `requirement` is the line for Bedplate in the repository's requirements."""

    name: str
    model: str
    owner: str
    region: str
    task: Literal["binary", "regression"] = "binary"
    requirement: str = f"bedplate[local]=={__version__}"


@dataclass(frozen=True, slots=True)
class ScaffoldResult:
    """The files of the new repository, relative to its directory, and whether they are committed to git."""

    directory: Path
    files: tuple[str, ...]
    committed: bool


def write_repository(directory: Path, request: ScaffoldRequest, *, git: bool = True) -> ScaffoldResult:
    """Writes the repository into a new or empty directory; with `git`, commit it.

    Raises UsageError for names that AWS would reject, and for a directory that is not empty.
    """
    _check(directory, request)
    directory.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory.parent, prefix=f".{directory.name}.") as folder:
        staging = Path(folder) / directory.name
        for file, content in render_files(request).items():
            path = staging / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")
        committed = git and _commit(staging)
        files = tuple(
            sorted(str(p.relative_to(staging)) for p in staging.rglob("*") if p.is_file() and ".git" not in p.parts)
        )
        if directory.exists():
            directory.rmdir()
        shutil.move(staging, directory)
    return ScaffoldResult(directory, files, committed)


def render_files(request: ScaffoldRequest) -> dict[str, str]:
    """Returns the text of every file of the repository by its path."""
    values = {
        "name": request.name,
        "model": request.model,
        "owner": request.owner,
        "region": request.region,
        "requirement": request.requirement,
        "training_type": _first_offered(request.region, "ml.m5.large", "ml.m6i.large"),
        "serving_type": _first_offered(request.region, "ml.t2.medium", "ml.m5.large", "ml.m6i.large"),
    }
    templates = HERE / "templates"
    files = {}
    for path in sorted(templates.rglob("*")):
        file = path.relative_to(templates).as_posix()
        if not path.is_file() or "__pycache__" in file:
            continue
        if file.startswith("models/"):
            _, task, name = file.split("/")
            if task != request.task:
                continue
            file = f"models/{request.model}/{name}"
        files[DESTINATIONS.get(file, file)] = _Template(path.read_text(encoding="utf-8")).substitute(values)
    for path in sorted(program_dir().rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            files[f"infra/{path.relative_to(program_dir()).as_posix()}"] = path.read_text(encoding="utf-8")
    return files


def _first_offered(region: str, *instance_types: str) -> str:
    """Returns the first instance type that the region offers or may offer, as far as the table of regions knows."""
    return next((name for name in instance_types if is_offered(region, name) is not False), instance_types[-1])


def program_dir() -> Path:
    """Returns the folder of the Pulumi program: beside this module in a wheel, else at the top of the repository."""
    packaged = HERE / "infra"
    return packaged if packaged.is_dir() else HERE.parents[2] / "infra"


class _Template(string.Template):
    """Placeholders are `~~{name}`, which YAML, Python, Make and GitHub's `${{ }}` do not use."""

    delimiter = "~~"


def _check(directory: Path, request: ScaffoldRequest) -> None:
    for flag, value in (("--name", request.name), ("--model", request.model)):
        if not _NAME.match(value):
            raise UsageError(
                f"{flag} {value!r}: expected 3 to 32 lower-case letters, digits and dashes, a letter first",
                next_step="bedplate init --help",
            )
    if not re.match(r"^[a-z]{2}(-[a-z]+)+-\d$", request.region):
        raise UsageError(f"--region {request.region!r}: expected an AWS region such as eu-west-1")
    if not re.match(r"^[^@\s]+@[^@\s]+\.[^@\s]+$", request.owner):
        raise UsageError(f"--owner {request.owner!r}: expected an e-mail address")
    if directory.is_file() or (directory.is_dir() and any(directory.iterdir())):
        raise UsageError(
            f"{directory} is not empty; nothing was written", next_step=f"bedplate init {directory / request.name}"
        )


def _commit(folder: Path) -> bool:
    """Commit all files, because versions record their commit; return False if git or its user name is missing."""
    commands = (
        ("init", "--quiet", "--initial-branch", "main"),
        ("add", "--all"),
        ("commit", "--quiet", "--message", "A platform for our models"),
    )
    if shutil.which("git") is None:
        return False
    return all(
        subprocess.run(["git", *arguments], cwd=folder, capture_output=True, check=False).returncode == 0
        for arguments in commands
    )

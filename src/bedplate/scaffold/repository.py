"""What a new platform repository consists of, and putting it on disk whole or not at all."""

from __future__ import annotations

import re
import shutil
import string
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bedplate import __version__
from bedplate.domain.stacks.availability import offers
from bedplate.errors import UsageError

HERE = Path(__file__).parent
TASKS = ("binary", "regression")
PLACES = {"gitignore": ".gitignore", "github/platform.yml": ".github/workflows/platform.yml"}
"""Templates that live elsewhere in the repository, under names that tools would act upon in this one."""
_NAME = re.compile(r"^[a-z][a-z0-9-]{1,30}[a-z0-9]$")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for. `requirement` is what the repository's requirements say of Bedplate itself."""

    name: str
    model: str
    owner: str
    region: str
    task: Literal["binary", "regression"] = "binary"
    requirement: str = f"bedplate[local]=={__version__}"


@dataclass(frozen=True, slots=True)
class ScaffoldResult:
    """The repository's files, relative to it, and whether git keeps them now."""

    directory: Path
    files: tuple[str, ...]
    committed: bool


def write(directory: Path, wanted: Wanted, *, git: bool = True) -> ScaffoldResult:
    """Write the repository into a directory that is new or empty; with `git`, as its first commit.

    Raises UsageError for a name that AWS would not take, and for a directory that holds something.
    """
    _check(directory, wanted)
    directory.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory.parent, prefix=f".{directory.name}.") as folder:
        fresh = Path(folder) / directory.name
        for place, content in contents(wanted).items():
            path = fresh / place
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")
        committed = git and _commit(fresh)
        files = tuple(
            sorted(str(p.relative_to(fresh)) for p in fresh.rglob("*") if p.is_file() and ".git" not in p.parts)
        )
        if directory.exists():
            directory.rmdir()
        shutil.move(fresh, directory)
    return ScaffoldResult(directory, files, committed)


def contents(wanted: Wanted) -> dict[str, str]:
    """Every file of the repository: path -> text."""
    values = {
        "name": wanted.name,
        "model": wanted.model,
        "owner": wanted.owner,
        "region": wanted.region,
        "requirement": wanted.requirement,
        "training_type": _offered(wanted.region, "ml.m5.large", "ml.m6i.large"),
        "serving_type": _offered(wanted.region, "ml.t2.medium", "ml.m5.large", "ml.m6i.large"),
    }
    templates = HERE / "templates"
    held = {}
    for path in sorted(templates.rglob("*")):
        place = path.relative_to(templates).as_posix()
        if not path.is_file() or "__pycache__" in place:
            continue
        if place.startswith("models/"):
            _, task, file = place.split("/")
            if task != wanted.task:
                continue
            place = f"models/{wanted.model}/{file}"
        held[PLACES.get(place, place)] = _filled(path.read_text(encoding="utf-8"), values)
    for path in sorted(program().rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            held[f"infra/{path.relative_to(program()).as_posix()}"] = path.read_text(encoding="utf-8")
    return held


def _offered(region: str, *types: str) -> str:
    """The first that the region has, the cheapest standing first; what nobody knows of is taken to be there."""
    return next((each for each in types if offers(region, each) is not False), types[-1])


def program() -> Path:
    """The platform program: packed beside this module in a wheel, at the top of the repository otherwise."""
    packed = HERE / "infra"
    return packed if packed.is_dir() else HERE.parents[2] / "infra"


class _Template(string.Template):
    """`~~{name}`: neither YAML, Python, Make nor GitHub's own `${{ }}` use it."""

    delimiter = "~~"


def _filled(text: str, values: Mapping[str, str]) -> str:
    return _Template(text).substitute(values)


def _check(directory: Path, wanted: Wanted) -> None:
    for flag, value in (("--name", wanted.name), ("--model", wanted.model)):
        if not _NAME.match(value):
            raise UsageError(
                f"{flag} {value!r}: 3 to 32 lower-case letters, digits and dashes expected, a letter first",
                next_step="bedplate init --help",
            )
    if not re.match(r"^[a-z]{2}(-[a-z]+)+-\d$", wanted.region):
        raise UsageError(f"--region {wanted.region!r}: an AWS region expected, such as eu-west-1")
    if not re.match(r"^[^@\s]+@[^@\s]+\.[^@\s]+$", wanted.owner):
        raise UsageError(f"--owner {wanted.owner!r}: an e-mail address expected")
    if directory.is_file() or (directory.is_dir() and any(directory.iterdir())):
        raise UsageError(
            f"{directory} is not empty; nothing was written", next_step=f"bedplate init {directory / wanted.name}"
        )


def _commit(folder: Path) -> bool:
    """The first commit, so that a version trained next says which code it is; False where git is missing or unnamed."""
    commands = (
        ("init", "--quiet", "--initial-branch", "main"),
        ("add", "--all"),
        ("commit", "--quiet", "--message", "A platform for our models"),
    )
    if shutil.which("git") is None:
        return False
    return all(
        subprocess.run(["git", *words], cwd=folder, capture_output=True, check=False).returncode == 0
        for words in commands
    )

"""Runs the commands of README.md and of the tutorial in a fresh clone, and checks the links of all pages."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from repository import ROOT, SOURCE

PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])
MARKDOWN = [
    *PAGES,
    ROOT / "models" / "house-prices" / "README.md",
    ROOT / "tests" / "golden" / "oracle" / "README.md",
    SOURCE / "scaffold" / "templates" / "README.md",
]


def list_commands(page: Path) -> list[str]:
    """The commands of the console blocks of a page."""
    blocks = re.findall(r"```console\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.S)
    return [line.removeprefix("$ ") for block in blocks for line in block.splitlines() if line.startswith("$ ")]


@pytest.fixture
def clone(tmp_path: Path) -> Iterator[Path]:
    """A copy of the files that git tracks or would track."""
    names = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    clone = tmp_path / "bedplate"
    for name in names:
        source = ROOT / name
        if source.is_file():
            target = clone / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    yield clone
    subprocess.run([f"{Path(sys.executable).parent}/bedplate", "local", "stop"], cwd=clone, check=False)


def build_environment(**variables: str) -> dict[str, str]:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("BEDPLATE_", "AWS_", "PYTEST"))}
    return {**inherited, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{inherited['PATH']}", **variables}


def run_command(line: str, clone: Path, environment: dict[str, str]) -> str:
    """Runs a line in a shell, and asserts that it succeeds. Returns its output."""
    result = subprocess.run(
        line, shell=True, cwd=clone, env=environment, capture_output=True, text=True, timeout=180, check=False
    )
    assert result.returncode == 0, f"$ {line}\n{result.stdout}\n{result.stderr}"
    return result.stdout + result.stderr


def test_readme_commands_work_in_a_fresh_clone(clone: Path) -> None:
    lines = list_commands(clone / "README.md")
    assert any(line.startswith("bedplate rollback") for line in lines)
    for line in lines:
        run_command(line, clone, build_environment())


def test_tutorial_commands_print_the_lines_that_the_tutorial_shows(clone: Path) -> None:
    """Saves the blocks that have a path, runs the commands in order, and compares the lines without their numbers."""
    names = [f"GIT_{role}_{field}" for role in ("AUTHOR", "COMMITTER") for field in ("NAME", "EMAIL")]
    environment = build_environment(COLUMNS="140", NO_COLOR="1", **dict.fromkeys(names, "you@example.com"))
    subprocess.run(
        "git init -q && git add -A && git commit -q -m clone && git config user.email you@example.com",
        shell=True,
        cwd=clone,
        env=environment,
        check=True,
    )
    text = (clone / "docs" / "tutorial.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```(\w+)(?: (\S+))?\n(.*?)^```", text, flags=re.S | re.M)
    for language, path, body in blocks:
        if path:
            (clone / path).parent.mkdir(parents=True, exist_ok=True)
            (clone / path).write_text(body, encoding="utf-8")
        elif language == "console":
            for line, expected in parse_console(body):
                if line.startswith("export "):
                    name, _, value = line.removeprefix("export ").partition("=")
                    environment[name] = value
                    continue
                output = run_command(line, clone, environment)
                printed = {mask_numbers(printed_line) for printed_line in output.splitlines()}
                missing = [expected_line for expected_line in expected if mask_numbers(expected_line) not in printed]
                assert missing == [], f"$ {line}\n{output}"


def parse_console(block: str) -> list[tuple[str, list[str]]]:
    """Each command of a console block with the lines below it; a line `...` stands for omitted lines."""
    parts = [part.splitlines() for part in re.split(r"^\$ ", block, flags=re.M)[1:]]
    return [(command, [line for line in lines if line != "..."]) for command, *lines in parts]


def mask_numbers(line: str) -> str:
    """Replaces hashes and numbers with `#`, and runs of white space with one space."""
    masked = re.sub(r"\b[0-9a-f]{8,}\b", "#", line)  # hashes first, because some begin like a number
    return " ".join(re.sub(r"[-+]?\d[\d.,]*", "#", masked).split())


def prose_lines(page: Path) -> Iterator[tuple[int, str]]:
    """The numbered lines of a page that are neither a table nor part of a code block."""
    in_code = False
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        if line.lstrip().startswith("```"):
            in_code = not in_code
        elif not in_code and not line.startswith("|"):
            yield number, line


@pytest.mark.parametrize("page", MARKDOWN, ids=lambda p: str(p.relative_to(ROOT)))
def test_prose_wraps_at_120_characters(page: Path) -> None:
    assert [number for number, line in prose_lines(page) if len(line) > 120] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_to_files_are_valid(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8"))
    broken = [target for target in targets if "://" not in target and not (page.parent / target).exists()]
    assert broken == []

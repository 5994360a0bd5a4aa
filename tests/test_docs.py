"""Documentation that cannot rot: README's commands are run as they stand, and links lead somewhere."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from repository import ROOT

PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])


def commands(page: Path) -> list[str]:
    blocks = re.findall(r"```console\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.S)
    return [line.removeprefix("$ ") for block in blocks for line in block.splitlines() if line.startswith("$ ")]


@pytest.fixture
def clone(tmp_path: Path) -> Iterator[Path]:
    """What git tracks or would track, as a newcomer has it."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    here = tmp_path / "bedplate"
    for name in listed:
        source = ROOT / name
        if source.is_file():
            target = here / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    yield here
    subprocess.run([f"{Path(sys.executable).parent}/bedplate", "local", "stop"], cwd=here, check=False)


def test_readme_commands_work_in_a_fresh_clone_as_they_stand(clone: Path) -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("BEDPLATE_", "AWS_", "PYTEST"))}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    typed = commands(clone / "README.md")
    assert any(line.startswith("bedplate rollback") for line in typed)
    for line in typed:
        result = subprocess.run(
            line, shell=True, cwd=clone, env=environment, capture_output=True, text=True, timeout=180, check=False
        )
        assert result.returncode == 0, f"$ {line}\n{result.stdout}\n{result.stderr}"


def test_the_tutorial_followed_to_the_letter_prints_what_it_shows(clone: Path) -> None:
    """Blocks with a path are saved, commands typed in their order, and each shown line is printed, but for figures."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("BEDPLATE_", "AWS_", "PYTEST"))}
    environment |= {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}",
        "COLUMNS": "140",
        "NO_COLOR": "1",
        **{f"GIT_{who}_{label}": "you@example.com" for who in ("AUTHOR", "COMMITTER") for label in ("NAME", "EMAIL")},
    }
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
            for line, shown in parse_console(body):
                if line.startswith("export "):
                    name, _, value = line.removeprefix("export ").partition("=")
                    environment[name] = value
                    continue
                result = subprocess.run(
                    line,
                    shell=True,
                    cwd=clone,
                    env=environment,
                    capture_output=True,
                    text=True,
                    timeout=180,
                    check=False,
                )
                message = f"$ {line}\n{result.stdout}\n{result.stderr}"
                assert result.returncode == 0, message
                printed = {mask_numbers(line_shown) for line_shown in (result.stdout + result.stderr).splitlines()}
                assert [line_shown for line_shown in shown if mask_numbers(line_shown) not in printed] == [], message


def parse_console(block: str) -> list[tuple[str, list[str]]]:
    """Each command of a console block with the lines shown below it; `...` stands for any."""
    parts = re.split(r"^\$ ", block, flags=re.M)[1:]
    return [(first, [line for line in rest if line != "..."]) for first, *rest in (part.splitlines() for part in parts)]


def mask_numbers(line: str) -> str:
    masked = re.sub(r"\b[0-9a-f]{8,}\b", "#", line)  # hashes first: some of them begin like a number
    return " ".join(re.sub(r"[-+]?\d[\d.,]*", "#", masked).split())


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_to_files_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8"))
    dead = [t for t in targets if "://" not in t and not (page.parent / t).exists()]
    assert dead == []

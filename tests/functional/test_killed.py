"""After kill -9 of up, update and destroy the same command again leads to the state of an uninterrupted run."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bedplate.engine.state.store import StateFiles
from bedplate.local import lifecycle
from inventory import list_inventory
from program_copy import copy_program, write_local_stack_file

POINTS = int(os.environ.get("BEDPLATE_TORTURE", "3"))
"""The number of kills; `make torture` sets fifty."""
SEED = int(os.environ.get("BEDPLATE_TORTURE_SEED", "20"))
VERBS = ("up", "update", "destroy")
_POLL_S = 0.0005
_JITTER_S = 0.02
"""About the duration of a call to the platform, so that kills happen before, during and after a call."""


@dataclass(frozen=True)
class Project:
    """A copy of this repository's program in a folder with its own local platform."""

    folder: Path
    url: str

    @property
    def paths(self) -> StateFiles:
        return StateFiles.of(self.folder / ".bedplate" / "state", "local")

    def start(self, verb: str) -> subprocess.Popen[str]:
        words = ["destroy" if verb == "destroy" else "up", "--yes", "--json"]
        return subprocess.Popen(
            [str(Path(sys.executable).parent / "bedplate"), *words],
            env={**os.environ, "BEDPLATE_PROJECT": str(self.folder)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, verb: str) -> int:
        """Runs a verb to its end; returns the number of lines of its journal."""
        process, line_count = self.start(verb), 0
        while process.poll() is None:
            line_count = max(line_count, self.lines())
            time.sleep(_POLL_S)
        _, stderr = process.communicate()
        assert process.returncode == 0, stderr
        return line_count

    def kill(self, verb: str, at_line: int, after_s: float) -> bool:
        """Kills a run `after_s` seconds after line `at_line` of its journal; returns whether it was still running."""
        process = self.start(verb)
        while process.poll() is None and self.lines() < at_line:
            time.sleep(_POLL_S)
        time.sleep(after_s)
        process.kill()
        process.communicate()
        return process.returncode == -9

    def lines(self) -> int:
        try:
            return self.paths.journal.read_bytes().count(b"\n")
        except FileNotFoundError:
            return 0

    def state(self) -> Any:
        """Returns the resources of the checkpoint without times and generated ids."""
        deployment = json.loads(self.paths.checkpoint.read_bytes())["deployment"]
        assert not deployment.get("pending_operations")
        assert not self.paths.journal.exists()
        return sorted(_without_generated_values(resource) for resource in deployment.get("resources", ()))

    def history(self) -> list[dict[str, Any]]:
        words = [str(Path(sys.executable).parent / "bedplate"), "history", "--limit", "1000", "--json"]
        environment = {**os.environ, "BEDPLATE_PROJECT": str(self.folder)}
        output = subprocess.run(words, env=environment, capture_output=True, text=True, check=True).stdout
        updates: list[dict[str, Any]] = json.loads(output)["updates"]
        return updates

    def state_and_inventory(self) -> tuple[Any, list[str]]:
        return self.state(), list_inventory(self.url)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    folder = tmp_path_factory.mktemp("killed")
    copy_program(folder)
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("AWS_", "BEDPLATE_", "PULUMI_"))]:
            patch.delenv(name)
        yield Project(folder, str(lifecycle.start(folder, port=0).url))
        lifecycle.stop(folder)


def test_a_repeated_command_after_a_kill_at_a_random_point_ends_like_an_uninterrupted_one(project: Project) -> None:
    expected, lines = {}, {}
    for verb in VERBS:
        write_local_stack_file(project.folder, changed=verb != "up")
        lines[verb] = project.run(verb)
        expected[verb] = project.state_and_inventory()
    assert lines["up"] > 100
    assert len(expected["up"][1]) > 30
    assert len(expected["destroy"][1]) < 10, expected["destroy"][1]

    rng = random.Random(SEED)
    kills = 0
    while kills < POINTS:
        for verb in VERBS:
            line, after_s = rng.randint(1, lines[verb]), rng.uniform(0, _JITTER_S)
            write_local_stack_file(project.folder, changed=verb != "up")
            was_killed = project.kill(verb, line, after_s)
            label = f"{verb}, killed {after_s * 1000:.0f} ms after line {line} of {lines[verb]} (seed {SEED})"
            sys.stderr.write(f"{label}{'' if was_killed else ': it had ended'}\n")
            kills += was_killed
            if verb != "destroy" or project.paths.checkpoint.exists():
                project.run(verb)
            state, resources = project.state_and_inventory()
            assert resources == expected[verb][1], label
            differences = set(state) ^ set(expected[verb][0])
            assert not differences, (label, "\n".join(sorted(differences)))
    results = [run["result"] for run in project.history()]
    assert 0 < results.count("interrupted") <= kills, (
        "a kill is in the history, unless it happened after the last entry"
    )
    assert set(results) == {"interrupted", "succeeded"}


_OMITTED_KEYS = frozenset({"created", "modified", "dependencies", "propertyDependencies", "uniqueId", "policyId"})
"""Times, ids that IAM generates, and dependencies, whose order differs between runs."""
_GENERATED_VALUES = (
    (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "UUID"),
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[.\d]*(Z|\+00:00)?", "TIME"),
    (r"scalable-target/\w+", "scalable-target"),
    (r'"ciphertext": "[^"]*"', '"ciphertext": ""'),
    (r"-[0-9a-f]{7}\b", "-HASH"),
)


def _without_generated_values(resource: dict[str, Any]) -> str:
    def clean(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: clean(v) for k, v in value.items() if k not in _OMITTED_KEYS}
        return [clean(v) for v in value] if isinstance(value, list) else value

    text = json.dumps(clean(resource), sort_keys=True)
    for pattern, word in _GENERATED_VALUES:
        text = re.sub(pattern, word, text)
    return text

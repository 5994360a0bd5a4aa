"""Kill -9 of up, update and destroy with the real program and platform: the same command again, and nothing shows."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
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
from inventory import inventory
from repository import ROOT

POINTS = int(os.environ.get("BEDPLATE_TORTURE", "3"))
"""How many kills; `make torture` asks for fifty."""
SEED = int(os.environ.get("BEDPLATE_TORTURE_SEED", "20"))
VERBS = ("up", "update", "destroy")
_POLL_S = 0.0005
_JITTER_S = 0.02
"""About as long as a call to the platform takes: a kill strikes before, in and after it."""


@dataclass(frozen=True)
class Project:
    """This repository's program in a folder of its own, with a platform of its own."""

    folder: Path
    url: str

    def write(self, *, changed: bool) -> None:
        """The committed stack file, or one that makes for updates, a create, a delete and a replacement."""
        text = (ROOT / "stacks" / "Pulumi.local.yaml").read_text()
        if changed:
            override = "      rollout: {bake_s: 6, min_answers: 200}\n"
            changes = {
                "monthly_usd: 20\n": "monthly_usd: 21\n",
                "finance@": "treasury@",
                override: override + "      serving: {instance_type: ml.m5.xlarge}\n",
            }
            for old, new in changes.items():
                assert old in text
                text = text.replace(old, new)
        (self.folder / "stacks" / "Pulumi.local.yaml").write_text(text)

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
        """To its end; how many lines its journal had."""
        process, most = self.start(verb), 0
        while process.poll() is None:
            most = max(most, self.lines())
            time.sleep(_POLL_S)
        _, said = process.communicate()
        assert process.returncode == 0, said
        return most

    def kill(self, verb: str, at_line: int, after_s: float) -> bool:
        """Whether it was still at work when the kill struck, so many seconds after that line had been written."""
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
        """The checkpoint without times, and without what the service assigns anew."""
        deployment = json.loads(self.paths.checkpoint.read_bytes())["deployment"]
        assert not deployment.get("pending_operations")
        assert not self.paths.journal.exists()
        return sorted(_assigned_anew_off(resource) for resource in deployment.get("resources", ()))

    def history(self) -> list[dict[str, Any]]:
        words = [str(Path(sys.executable).parent / "bedplate"), "history", "--limit", "1000", "--json"]
        environment = {**os.environ, "BEDPLATE_PROJECT": str(self.folder)}
        said = subprocess.run(words, env=environment, capture_output=True, text=True, check=True).stdout
        updates: list[dict[str, Any]] = json.loads(said)["updates"]
        return updates

    def whole(self) -> tuple[Any, list[str]]:
        return self.state(), inventory(self.url)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    folder = tmp_path_factory.mktemp("killed")
    shutil.copy(ROOT / "Pulumi.yaml", folder)
    for name in ("infra", "models", "stacks"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("AWS_", "BEDPLATE_", "PULUMI_"))]:
            patch.delenv(name)
        yield Project(folder, str(lifecycle.start(folder, port=0).url))
        lifecycle.stop(folder)


def test_killed_at_random_points_the_same_command_again_ends_where_an_undisturbed_one_does(project: Project) -> None:
    expected, lines = {}, {}
    for verb in VERBS:
        project.write(changed=verb != "up")
        lines[verb] = project.run(verb)
        expected[verb] = project.whole()
    assert lines["up"] > 100
    assert len(expected["up"][1]) > 30
    assert len(expected["destroy"][1]) < 10, expected["destroy"][1]

    chance = random.Random(SEED)
    struck = 0
    while struck < POINTS:
        for verb in VERBS:
            line, after_s = chance.randint(1, lines[verb]), chance.uniform(0, _JITTER_S)
            project.write(changed=verb != "up")
            hit = project.kill(verb, line, after_s)
            where = f"{verb}, killed {after_s * 1000:.0f} ms after line {line} of {lines[verb]} (seed {SEED})"
            sys.stderr.write(f"{where}{'' if hit else ': it was over'}\n")
            struck += hit
            if verb != "destroy" or project.paths.checkpoint.exists():
                project.run(verb)
            state, world = project.whole()
            assert world == expected[verb][1], where
            unlike = set(state) ^ set(expected[verb][0])
            assert not unlike, (where, "\n".join(sorted(unlike)))
    results = [run["result"] for run in project.history()]
    assert 0 < results.count("interrupted") <= struck, "a kill is in the history, unless it struck after the last word"
    assert set(results) == {"interrupted", "succeeded"}


_LEFT_OUT = frozenset({"created", "modified", "dependencies", "propertyDependencies", "uniqueId", "policyId"})
"""Times, ids that IAM makes up, and what the program's own runs tell in another order each time."""
_ASSIGNED = (
    (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "UUID"),
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[.\d]*(Z|\+00:00)?", "TIME"),
    (r"scalable-target/\w+", "scalable-target"),
    (r'"ciphertext": "[^"]*"', '"ciphertext": ""'),
    (r"-[0-9a-f]{7}\b", "-HASH"),
)


def _assigned_anew_off(resource: dict[str, Any]) -> str:
    def kept(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: kept(v) for k, v in value.items() if k not in _LEFT_OUT}
        return [kept(v) for v in value] if isinstance(value, list) else value

    text = json.dumps(kept(resource), sort_keys=True)
    for pattern, word in _ASSIGNED:
        text = re.sub(pattern, word, text)
    return text

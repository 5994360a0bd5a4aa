"""How long preview, create, no-op, update and destroy take, for one model and fifty, beside Pulumi and Terraform."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from terraform_cli import Terraform, lacking

from bedplate.engine.automation import pulumi_cli
from bedplate.engine.automation.launcher import write_launcher
from bedplate.local import lifecycle

ROOT = Path(__file__).parents[1]
BEDPLATE = str(Path(sys.executable).parent / "bedplate")
ENGINES = ("embedded", "pulumi", "terraform")
VERBS = ("preview", "create", "no-op", "update", "destroy")
COMMANDS = {"preview": "preview", "destroy": "destroy"}
"""Every other verb is an `up`."""
AIM = 0.6
"""Of the CLI's seconds."""
MODEL = "flight-delay"


@dataclass(frozen=True)
class Taken:
    """One command: seconds from Enter, those of the processor, and the most memory that its processes held at once."""

    seconds: float
    cpu_s: float
    """User and system, of the command and of every process below it that it waited for; not of the local platform."""
    peak_mib: float


@dataclass(frozen=True)
class Project:
    """The repository's program in a folder of its own, with as many copies of its model as are asked for."""

    folder: Path
    models: tuple[str, ...]

    @classmethod
    def write(cls, folder: Path, models: int) -> Project:
        for name in ("infra", "stacks"):
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copyfile(ROOT / "Pulumi.yaml", folder / "Pulumi.yaml")
        (folder / ".venv").symlink_to(sys.prefix)
        names = tuple(f"{MODEL}-{number:02}" for number in range(1, models + 1))
        for name in names:
            shutil.copytree(ROOT / "models" / MODEL, folder / "models" / name)
            spec = folder / "models" / name / "model.yaml"
            spec.write_text(spec.read_text().replace(f"name: {MODEL}\n", f"name: {name}\n"))
        project = cls(folder, names)
        project.configure(latency_ms=250)
        return project

    def configure(self, *, latency_ms: int) -> None:
        """One value that touches each model: the SLO's latency is the threshold of an alarm."""
        overrides = "".join(
            f"    {name}:\n      serving: {{slo: {{latency_p99_ms: {latency_ms}}}}}\n" for name in self.models
        )
        (self.folder / "stacks" / "Pulumi.local.yaml").write_text(
            "config:\n"
            "  aws:region: us-east-1\n"
            "  bedplate:target: local\n"
            "  bedplate:owner: platform@bedplate.example\n"
            "  bedplate:cost_center: benchmark\n"
            f"  bedplate:models: [{', '.join(self.models)}]\n"
            "  bedplate:storage: {force_destroy: true}\n"
            "  bedplate:budget: {monthly_usd: 100}\n"
            "  bedplate:alerts: {emails: [finance@bedplate.example]}\n"
            f"  bedplate:overrides:\n{overrides}"
        )


def main() -> None:
    asked = _arguments()
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {asked.rounds} rounds")
    for models in asked.models:
        with ExitStack() as stack:
            runs = {engine: stack.enter_context(_engine(engine, models)) for engine in _engines(asked.engines)}
            _show(models, _measured(runs, asked.rounds))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, nargs="+", default=[1, 50], help="how many models a stack has")
    parser.add_argument("--rounds", type=int, default=1, help="each one creates and destroys the stack")
    parser.add_argument("--engines", nargs="+", default=list(ENGINES), choices=ENGINES)
    return parser.parse_args()


def _engines(asked: list[str]) -> list[str]:
    """Those that are here; ours comes first, for the others are told as ratios of it."""
    missing = {
        "pulumi": "" if pulumi_cli.find() else "there is no CLI on PATH, in ~/.pulumi or named by BEDPLATE_PULUMI",
        "terraform": lacking(),
    }
    for engine, why in missing.items():
        if engine in asked and why:
            print(f"{engine}: skipped, {why}")
    return [engine for engine in ENGINES if engine in asked and not missing.get(engine)]


@contextmanager
def _engine(engine: str, models: int) -> Iterator[tuple[Project, Callable[[str], Taken]]]:
    """A project and a platform of its own, and what runs a verb there."""
    with tempfile.TemporaryDirectory() as folder:
        project = Project.write(Path(folder), models)
        url = str(lifecycle.start(project.folder, port=0).url)
        try:
            if engine == "terraform":
                yield project, _terraform(project)
            else:
                yield project, _embedded(project) if engine == "embedded" else _pulumi(project, url)
        finally:
            lifecycle.stop(project.folder)


def _measured(
    runs: Mapping[str, tuple[Project, Callable[[str], Taken]]], rounds: int
) -> dict[str, dict[str, list[Taken]]]:
    """By engine and verb. The engines take turns verb by verb, so that a machine's other work weighs on both."""
    taken: dict[str, dict[str, list[Taken]]] = {engine: {verb: [] for verb in VERBS} for engine in runs}
    for _ in range(rounds):
        for verb in VERBS:
            for engine, (project, run) in runs.items():
                project.configure(latency_ms=300 if verb in ("update", "destroy") else 250)
                took = run(verb)
                taken[engine][verb].append(took)
                print(f"{verb} by {engine}: {took.seconds:.2f} s, {took.cpu_s:.2f} CPU s", file=sys.stderr, flush=True)
    return taken


def _embedded(project: Project) -> Callable[[str], Taken]:
    environment = {**os.environ, "BEDPLATE_PROJECT": str(project.folder)}

    def run(verb: str) -> Taken:
        yes = () if verb == "preview" else ("--yes",)
        return timed([BEDPLATE, COMMANDS.get(verb, "up"), *yes, "--json"], project.folder, environment)

    return run


def _pulumi(project: Project, url: str) -> Callable[[str], Taken]:
    """The CLI itself, without our command around it; the provider half is ours in both."""
    cli = pulumi_cli.find()
    assert cli is not None
    state = project.folder / ".bedplate" / "real"
    (state / "backend").mkdir(parents=True)
    launcher = write_launcher(state / "plugins")
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([str(launcher.parent), str(cli.parent), os.environ["PATH"]]),
        "PULUMI_BACKEND_URL": (state / "backend").as_uri(),
        "PULUMI_HOME": str(state / "home"),
        "PULUMI_CONFIG_PASSPHRASE": "benchmark",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "AWS_ENDPOINT_URL": url,
    }
    timed([str(cli), "stack", "init", "local", "--non-interactive"], project.folder, environment)

    def run(verb: str) -> Taken:
        yes = () if verb == "preview" else ("--yes", "--skip-preview")
        return timed(
            [str(cli), COMMANDS.get(verb, "up"), *yes, "--stack", "local", "--non-interactive"],
            project.folder,
            environment,
        )

    return run


def _terraform(project: Project) -> Callable[[str], Taken]:
    """The same resources by the AWS provider: the stack is brought up once by us, as it is before and after the update,
    exported, and destroyed; Terraform begins with nothing, as the others do."""
    embedded = _embedded(project)
    exports = {}
    for name, latency_ms in (("before", 250), ("after", 300)):
        project.configure(latency_ms=latency_ms)
        embedded("create")
        exports[name] = project.folder / name
        environment = {**os.environ, "BEDPLATE_PROJECT": str(project.folder)}
        timed([BEDPLATE, "export", "terraform", str(exports[name]), "--show-secrets"], project.folder, environment)
        (exports[name] / "imports.tf.json").unlink()
        _let_buckets_go(exports[name])
    embedded("destroy")
    terraform = Terraform(project.folder / "terraform")
    shutil.copytree(exports["before"], terraform.directory)
    terraform.init()

    def run(verb: str) -> Taken:
        for file in exports["after" if verb in ("update", "destroy") else "before"].glob("*.json"):
            shutil.copyfile(file, terraform.directory / file.name)
        word = {"preview": "plan", "destroy": "destroy"}.get(verb, "apply")
        words = (word, "-input=false", *(() if word == "plan" else ("-auto-approve",)))
        return timed(terraform.command(*words), terraform.directory, terraform.environment())

    return run


def _let_buckets_go(directory: Path) -> None:
    """What an export leaves out, since an import cannot read it: logs would keep their buckets from being deleted."""
    for file in directory.glob("*.tf.json"):
        tree = json.loads(file.read_text())
        for bucket in tree.get("resource", {}).get("aws_s3_bucket", {}).values():
            bucket["force_destroy"] = True
        file.write_text(json.dumps(tree))


# --- one command ------------------------------------------------------------------------------------------------------


def timed(command: list[str], folder: Path, environment: Mapping[str, str]) -> Taken:
    """Run it to its end; SystemExit with its output when it fails."""
    with tempfile.TemporaryFile() as said:
        start = time.perf_counter()
        kept = {key: value for key, value in environment.items() if key != "PYTHONDONTWRITEBYTECODE"}
        process = subprocess.Popen(command, cwd=folder, env=kept, stdout=said, stderr=subprocess.STDOUT)
        watch = _Memory(process.pid)
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        code = process.returncode = os.waitstatus_to_exitcode(status)
        watch.stop()
        if code:
            said.seek(0)
            raise SystemExit(f"{' '.join(command)} ended with {code}:\n{said.read().decode()[-4000:]}")
    return Taken(seconds, used.ru_utime + used.ru_stime, watch.peak_kib / 1024)


class _Memory(threading.Thread):
    """Looks every tenth of a second at what a process and all below it hold (proportional set size, Linux)."""

    def __init__(self, root: int) -> None:
        super().__init__(daemon=True)
        self.peak_kib = 0
        self._root = root
        self._over = threading.Event()
        self.start()

    def run(self) -> None:
        while not self._over.wait(0.1):
            self.peak_kib = max(self.peak_kib, sum(_held_kib(pid) for pid in _tree(self._root)))

    def stop(self) -> None:
        self._over.set()
        self.join()


def _tree(root: int) -> list[int]:
    found = [root]
    for pid in found:
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            try:
                found.extend(int(child) for child in children.read_text().split())
            except OSError:
                continue
    return found


def _held_kib(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


# --- the table --------------------------------------------------------------------------------------------------------


def _show(models: int, tables: Mapping[str, Mapping[str, list[Taken]]]) -> None:
    count = f"{models} model{'s' if models > 1 else ''}"
    print(f"\n{count}: median seconds, CPU seconds, and peak MiB of all processes together")
    header = "".join(f"{engine + ' s':>14}{'CPU':>7}{'MiB':>6}" for engine in tables)
    others = [engine for engine in tables if engine != "embedded"]
    print(f"{'':10}{header}" + "".join(f"{'/' + engine:>11}{'CPU':>6}" for engine in others))
    for verb in VERBS:
        cells = ""
        medians = []
        for taken in tables.values():
            seconds = statistics.median(each.seconds for each in taken[verb])
            cpu_s = statistics.median(each.cpu_s for each in taken[verb])
            medians.append((seconds, cpu_s))
            cells += f"{seconds:14.2f}{cpu_s:7.2f}{max(each.peak_mib for each in taken[verb]):6.0f}"
        ratios = [(medians[0][0] / seconds, medians[0][1] / cpu_s) for seconds, cpu_s in medians[1:]]
        ratios = ratios if "embedded" in tables else []
        told = "".join(f"{wall:11.2f}{cpu:6.2f}" for wall, cpu in ratios)
        above = any(wall > AIM for wall, _ in ratios)
        print(f"{verb:10}{cells}{told}{'  above the aim' if above else ''}")


if __name__ == "__main__":
    main()

"""Measures preview, create, no-op, update and destroy for 1 and 50 models: Bedplate, Pulumi and Terraform."""

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

from terraform_cli import Terraform, missing_reason

from bedplate.engine.automation import pulumi_cli
from bedplate.engine.automation.launcher import write_launcher
from bedplate.local import lifecycle

ROOT = Path(__file__).parents[1]
BEDPLATE = str(Path(sys.executable).parent / "bedplate")
ENGINES = ("embedded", "pulumi", "terraform")
VERBS = ("preview", "create", "no-op", "update", "destroy")
COMMANDS = {"preview": "preview", "destroy": "destroy"}
"""The command of a verb; every other verb is an `up`."""
TARGET_RATIO = 0.6
"""The embedded engine should take at most this share of the seconds of another engine."""
MODEL = "flight-delay"


@dataclass(frozen=True)
class Timing:
    """The wall time, CPU time and peak memory of one command."""

    seconds: float
    cpu_s: float
    """User and system time of the command and its child processes, without the local platform."""
    peak_mib: float


@dataclass(frozen=True)
class Project:
    """A copy of the repository's program in a folder, with any number of copies of its model."""

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
        """Writes a stack file; a change of the SLO's latency, the threshold of an alarm, updates every model."""
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
    arguments = _parse_arguments()
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {arguments.rounds} rounds"
    )
    for models in arguments.models:
        with ExitStack() as stack:
            runs = {
                engine: stack.enter_context(_engine(engine, models)) for engine in _available_engines(arguments.engines)
            }
            _print_table(models, _measure(runs, arguments.rounds))


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, nargs="+", default=[1, 50], help="how many models a stack has")
    parser.add_argument("--rounds", type=int, default=1, help="each one creates and destroys the stack")
    parser.add_argument("--engines", nargs="+", default=list(ENGINES), choices=ENGINES)
    return parser.parse_args()


def _available_engines(requested: list[str]) -> list[str]:
    """Returns the requested engines that are installed; ours is first because the table shows ratios to it."""
    missing = {
        "pulumi": "" if pulumi_cli.find_executable() else "no CLI on PATH, in ~/.pulumi or in BEDPLATE_PULUMI",
        "terraform": missing_reason(),
    }
    for engine, reason in missing.items():
        if engine in requested and reason:
            print(f"{engine}: skipped, {reason}")
    return [engine for engine in ENGINES if engine in requested and not missing.get(engine)]


@contextmanager
def _engine(engine: str, models: int) -> Iterator[tuple[Project, Callable[[str], Timing]]]:
    """Yields a project with its own local platform, and a function that runs a verb there."""
    with tempfile.TemporaryDirectory() as folder:
        project = Project.write(Path(folder), models)
        url = str(lifecycle.start(project.folder, port=0).url)
        try:
            if engine == "terraform":
                yield project, _terraform_runner(project)
            else:
                yield project, _embedded_runner(project) if engine == "embedded" else _pulumi_runner(project, url)
        finally:
            lifecycle.stop(project.folder)


def _measure(
    runs: Mapping[str, tuple[Project, Callable[[str], Timing]]], rounds: int
) -> dict[str, dict[str, list[Timing]]]:
    """Returns the timings by engine and verb. The engines alternate by verb, so that other load affects all of them."""
    timings: dict[str, dict[str, list[Timing]]] = {engine: {verb: [] for verb in VERBS} for engine in runs}
    for _ in range(rounds):
        for verb in VERBS:
            for engine, (project, run) in runs.items():
                project.configure(latency_ms=300 if verb in ("update", "destroy") else 250)
                timing = run(verb)
                timings[engine][verb].append(timing)
                print(
                    f"{verb} by {engine}: {timing.seconds:.2f} s, {timing.cpu_s:.2f} CPU s", file=sys.stderr, flush=True
                )
    return timings


def _embedded_runner(project: Project) -> Callable[[str], Timing]:
    environment = {**os.environ, "BEDPLATE_PROJECT": str(project.folder)}

    def run(verb: str) -> Timing:
        yes = () if verb == "preview" else ("--yes",)
        return run_timed([BEDPLATE, COMMANDS.get(verb, "up"), *yes, "--json"], project.folder, environment)

    return run


def _pulumi_runner(project: Project, url: str) -> Callable[[str], Timing]:
    """Returns a function that runs the Pulumi CLI directly, with our provider."""
    cli = pulumi_cli.find_executable()
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
    run_timed([str(cli), "stack", "init", "local", "--non-interactive"], project.folder, environment)

    def run(verb: str) -> Timing:
        yes = () if verb == "preview" else ("--yes", "--skip-preview")
        return run_timed(
            [str(cli), COMMANDS.get(verb, "up"), *yes, "--stack", "local", "--non-interactive"],
            project.folder,
            environment,
        )

    return run


def _terraform_runner(project: Project) -> Callable[[str], Timing]:
    """Returns a function that runs Terraform with the AWS provider on the same resources.

    The configuration is exported from a stack of the embedded engine, before and after the update; then that stack is
    destroyed, so that Terraform starts without resources like the other engines.
    """
    embedded = _embedded_runner(project)
    exports = {}
    for name, latency_ms in (("before", 250), ("after", 300)):
        project.configure(latency_ms=latency_ms)
        embedded("create")
        exports[name] = project.folder / name
        environment = {**os.environ, "BEDPLATE_PROJECT": str(project.folder)}
        run_timed([BEDPLATE, "export", "terraform", str(exports[name]), "--show-secrets"], project.folder, environment)
        (exports[name] / "imports.tf.json").unlink()
        _set_force_destroy(exports[name])
    embedded("destroy")
    terraform = Terraform(project.folder / "terraform")
    shutil.copytree(exports["before"], terraform.directory)
    terraform.init()

    def run(verb: str) -> Timing:
        for file in exports["after" if verb in ("update", "destroy") else "before"].glob("*.json"):
            shutil.copyfile(file, terraform.directory / file.name)
        word = {"preview": "plan", "destroy": "destroy"}.get(verb, "apply")
        words = (word, "-input=false", *(() if word == "plan" else ("-auto-approve",)))
        return run_timed(terraform.command(*words), terraform.directory, terraform.environment())

    return run


def _set_force_destroy(directory: Path) -> None:
    """Adds `force_destroy`, which an export omits because an import cannot read it, so that buckets can be deleted."""
    for file in directory.glob("*.tf.json"):
        tree = json.loads(file.read_text())
        for bucket in tree.get("resource", {}).get("aws_s3_bucket", {}).values():
            bucket["force_destroy"] = True
        file.write_text(json.dumps(tree))


# --- one command ------------------------------------------------------------------------------------------------------


def run_timed(command: list[str], folder: Path, environment: Mapping[str, str]) -> Timing:
    """Runs a command and returns its timing. Raises SystemExit with its output when it fails."""
    with tempfile.TemporaryFile() as output:
        start = time.perf_counter()
        variables = {key: value for key, value in environment.items() if key != "PYTHONDONTWRITEBYTECODE"}
        process = subprocess.Popen(command, cwd=folder, env=variables, stdout=output, stderr=subprocess.STDOUT)
        memory = _MemoryMonitor(process.pid)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        code = process.returncode = os.waitstatus_to_exitcode(status)
        memory.stop()
        if code:
            output.seek(0)
            raise SystemExit(f"{' '.join(command)} ended with {code}:\n{output.read().decode()[-4000:]}")
    return Timing(seconds, usage.ru_utime + usage.ru_stime, memory.peak_kib / 1024)


class _MemoryMonitor(threading.Thread):
    """Measures the memory of a process and its descendants every 0.1 s (proportional set size, Linux)."""

    def __init__(self, root: int) -> None:
        super().__init__(daemon=True)
        self.peak_kib = 0
        self._root = root
        self._stopped = threading.Event()
        self.start()

    def run(self) -> None:
        while not self._stopped.wait(0.1):
            self.peak_kib = max(self.peak_kib, sum(_memory_kib(pid) for pid in _process_tree(self._root)))

    def stop(self) -> None:
        self._stopped.set()
        self.join()


def _process_tree(root: int) -> list[int]:
    pids = [root]
    for pid in pids:
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            try:
                pids.extend(int(child) for child in children.read_text().split())
            except OSError:
                continue
    return pids


def _memory_kib(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


# --- the table --------------------------------------------------------------------------------------------------------


def _print_table(models: int, timings: Mapping[str, Mapping[str, list[Timing]]]) -> None:
    count = f"{models} model{'s' if models > 1 else ''}"
    print(f"\n{count}: median seconds, CPU seconds, and peak MiB of all processes together")
    header = "".join(f"{engine + ' s':>14}{'CPU':>7}{'MiB':>6}" for engine in timings)
    others = [engine for engine in timings if engine != "embedded"]
    print(f"{'':10}{header}" + "".join(f"{'/' + engine:>11}{'CPU':>6}" for engine in others))
    for verb in VERBS:
        cells = ""
        medians = []
        for by_verb in timings.values():
            seconds = statistics.median(timing.seconds for timing in by_verb[verb])
            cpu_s = statistics.median(timing.cpu_s for timing in by_verb[verb])
            medians.append((seconds, cpu_s))
            cells += f"{seconds:14.2f}{cpu_s:7.2f}{max(timing.peak_mib for timing in by_verb[verb]):6.0f}"
        ratios = [(medians[0][0] / seconds, medians[0][1] / cpu_s) for seconds, cpu_s in medians[1:]]
        ratios = ratios if "embedded" in timings else []
        ratio_cells = "".join(f"{wall:11.2f}{cpu:6.2f}" for wall, cpu in ratios)
        above = any(wall > TARGET_RATIO for wall, _ in ratios)
        print(f"{verb:10}{cells}{ratio_cells}{'  above the target' if above else ''}")


if __name__ == "__main__":
    main()

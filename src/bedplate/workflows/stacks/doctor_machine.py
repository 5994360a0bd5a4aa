"""What `doctor` looks at on this machine: Python and packages, tools, disk, port, and the project's own files."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from importlib import metadata
from pathlib import Path

from bedplate.domain.stacks.diagnosis import Finding, fail, ok, skip, warn
from bedplate.workflows.stacks.doctor import DoctorCheck
from bedplate.workflows.stacks.validation import validate_stack
from bedplate.workflows.training.source import find_lock_file

MIN_PYTHON = (3, 11)
DISK_FAIL_GB, DISK_WARN_GB = 1.0, 5.0
SECTION, FILES = "this machine", "files"
_PIN = re.compile(r"^(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)==(?P<version>[^\s;\\]+)(?P<marker>\s*;)?")


def machine_checks(
    project_dir: Path,
    stack: str,
    *,
    on_aws: bool,
    state_dir: Path,
    find_pulumi: Callable[[], tuple[Path | None, str]],
    local: Callable[[], tuple[str | None, bool]],
) -> tuple[DoctorCheck, ...]:
    """What to look at on this machine.

    `find_pulumi` tells where the Pulumi CLI is and the oldest version that serves; `local` where the local platform
    runs (None: it does not), and whether its usual port is free.
    """

    def tool(name: str, look: Callable[[], Finding]) -> DoctorCheck:
        return DoctorCheck(name, SECTION, look)

    checks = [
        tool("python", lambda: assess_python(sys.version_info[:3])),
        tool("packages", lambda: check_packages(project_dir)),
        tool("git", lambda: check_git(project_dir)),
        tool("pulumi", lambda: check_pulumi(*find_pulumi(), stack, on_aws=on_aws)),
        tool("docker", lambda: check_docker(on_aws=on_aws)),
        tool("terraform", check_terraform),
        tool("disk", lambda: check_disk(state_dir)),
        DoctorCheck("stack and models", FILES, lambda: check_files(project_dir, stack)),
    ]
    if not on_aws:
        checks.insert(7, tool("port", lambda: check_port(*local())))
    return tuple(checks)


def assess_python(version: tuple[int, ...]) -> Finding:
    """
    >>> assess_python((3, 10, 4)).health.value, assess_python((3, 12, 1)).health.value
    ('FAIL', 'OK')
    """
    said = f"{'.'.join(map(str, version))} on {platform.system()} {platform.machine()}"
    if version[:2] < MIN_PYTHON:
        return fail("python", f"{said}; 3.11 or newer is needed", "install a newer Python, then: make setup")
    return ok("python", said)


def check_packages(project_dir: Path) -> Finding:
    """What is installed against the project's lock file."""
    lock = find_lock_file(project_dir)
    if lock is None:
        return warn("packages", "the project has no lock file: another machine may get other versions", "make lock")
    return assess_packages(lock.read_text(encoding="utf-8"), list_installed(), str(lock.relative_to(project_dir)))


def assess_packages(lock: str, installed: Mapping[str, str], lock_name: str) -> Finding:
    """What is pinned with a marker may be for another system, and may lack; what is pinned twice may be either.

    >>> lock = "boto3==1.40.0 \\\\\\n    --hash=sha256:00\\ncolorama==0.4.6 ; sys_platform == 'win32'"
    >>> assess_packages(lock, {"boto3": "1.39.0"}, "a.lock").what
    '1 of 2 packages differ from a.lock: boto3 1.39.0 instead of 1.40.0'
    """
    wanted: dict[str, list[str]] = {}
    needed: set[str] = set()
    for package, version, conditional in list_pins(lock):
        wanted.setdefault(package, []).append(version)
        if not conditional:
            needed.add(package)
    count = len(wanted)
    missing = sorted(package for package in needed if _plain(package) not in installed)
    wrong = [
        f"{package} {installed[_plain(package)]} instead of {' or '.join(versions)}"
        for package, versions in wanted.items()
        if installed.get(_plain(package), versions[0]) not in versions
    ]
    if missing:
        listed = ", ".join(missing[:5]) + (" ..." if len(missing) > 5 else "")
        return fail(
            "packages", f"{len(missing)} of {count} packages of {lock_name} are not installed: {listed}", "make setup"
        )
    if wrong:
        listed = ", ".join(wrong[:3]) + (" ..." if len(wrong) > 3 else "")
        return warn("packages", f"{len(wrong)} of {count} packages differ from {lock_name}: {listed}", "make setup")
    return ok("packages", f"all {count} as {lock_name} has them")


def list_pins(lock: str) -> Iterator[tuple[str, str, bool]]:
    """(name, version, whether it has a marker) of every line that pins one."""
    for line in lock.splitlines():
        if match := _PIN.match(line):
            yield match["name"], match["version"], match["marker"] is not None


def list_installed() -> dict[str, str]:
    """Version by name, of this Python's environment."""
    return {_plain(each.metadata["Name"]): each.version for each in metadata.distributions() if each.metadata["Name"]}


def check_git(project_dir: Path) -> Finding:
    """A version says which code it is from by git's commit."""
    path = shutil.which("git")
    if path is None:
        return warn("git", "not found: versions will not say which commit they are from", "install git")
    version = (_run_command([path, "--version"]) or "").removeprefix("git version ")
    if _run_command([path, "-C", str(project_dir), "rev-parse", "--verify", "--quiet", "HEAD"]) is None:
        mend = "git init && git add --all && git commit"
        return warn("git", f"{version}; the project has no commit that a version could name", mend)
    return ok("git", version)


def check_pulumi(path: Path | None, oldest: str, stack: str, *, on_aws: bool) -> Finding:
    """The CLI is the engine of stacks on AWS; the local stack has an embedded one."""
    install = f"bedplate preview --stack {stack} --engine pulumi --install"
    if path is None:
        if on_aws:
            return fail("pulumi", "no Pulumi CLI found, and a stack on AWS needs it", install)
        return skip("pulumi", "not found; the local stack has an embedded engine", install)
    version = _run_command([str(path), "version"])
    if version is None:
        return fail("pulumi", f"{path} cannot be run", f"{path} version")
    number = version.removeprefix("v")
    if _parse_version(number) and _parse_version(number) < _parse_version(oldest):
        said = f"{number} at {path}; {oldest} or later is needed"
        return fail("pulumi", said, install) if on_aws else warn("pulumi", said, install)
    return ok("pulumi", f"{number} at {path}")


def check_docker(*, on_aws: bool) -> Finding:
    """Docker builds the image that AWS runs; the laptop runs the same code without it."""
    path = shutil.which("docker")
    if path is None:
        said = "not found; it builds the image that AWS runs"
        mend = "install Docker, or let the CI build and push the image"
        return warn("docker", said, mend) if on_aws else skip("docker", f"{said}, the laptop needs none", mend)
    version = _run_command([path, "version", "--format", "{{.Server.Version}}"])
    if not version:
        said = "is installed, and its engine does not answer"
        return warn("docker", said, "start Docker") if on_aws else skip("docker", said, "start Docker")
    return ok("docker", version)


def check_terraform() -> Finding:
    path = shutil.which("terraform")
    if path is None:
        return skip("terraform", "not found; only `bedplate export terraform` needs it", "install Terraform")
    return ok("terraform", (_run_command([path, "version"]) or "").splitlines()[0].removeprefix("Terraform v"))


def check_disk(state_dir: Path) -> Finding:
    """Room where this machine keeps state: the local platform's objects, and the engine's checkpoint."""
    folder = next(each for each in (state_dir, *state_dir.parents) if each.exists())
    if not os.access(folder, os.W_OK | os.X_OK):
        return fail("disk", f"{folder} cannot be written", f"chmod u+w {folder}, or set BEDPLATE_STATE_DIR")
    return assess_disk(shutil.disk_usage(folder).free / 1e9, folder)


def assess_disk(free_gb: float, folder: Path) -> Finding:
    """
    >>> [assess_disk(free, Path("x")).health.value for free in (0.2, 3, 100)]
    ['FAIL', 'WARN', 'OK']
    """
    said = f"{free_gb:,.1f} GB free at {folder}"
    mend = "make room, or point BEDPLATE_STATE_DIR at another disk; bedplate local reset frees what the platform holds"
    if free_gb < DISK_FAIL_GB:
        return fail("disk", said, mend)
    return warn("disk", said, mend) if free_gb < DISK_WARN_GB else ok("disk", said)


def check_port(url: str | None, usual_is_free: bool) -> Finding:
    """
    >>> check_port("http://127.0.0.1:4566", False).what, check_port(None, False).health.value
    ('the local platform runs at http://127.0.0.1:4566', 'WARN')
    """
    if url:
        return ok("port", f"the local platform runs at {url}")
    if usual_is_free:
        return ok("port", "4566 is free for the local platform")
    said = "4566 is taken by another program: the local platform takes any other"
    return warn("port", said, "bedplate local start --port 0, or end that program")


def check_files(project_dir: Path, stack: str) -> Finding:
    """The stack's file and the models that it names. Raises SettingsError with every fault."""
    sound = validate_stack(project_dir, stack)
    models = f"{len(sound.models)} model{'s' if len(sound.models) != 1 else ''}"
    if sound.warnings:
        return warn("stack and models", "; ".join(sound.warnings), "look whether the region offers them")
    return ok("stack and models", f"stacks/Pulumi.{stack}.yaml and {models} are without fault")


def _run_command(command: list[str]) -> str | None:
    """Standard output of a command; None when it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=15, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _parse_version(version: str) -> tuple[int, ...]:
    """
    >>> _parse_version("3.206.0-alpha.1"), _parse_version("dev")
    ((3, 206, 0), ())
    """
    match = re.match(r"\d+(\.\d+)*", version)
    return tuple(map(int, match[0].split("."))) if match else ()


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()

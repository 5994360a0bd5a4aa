"""Checks this machine for `doctor`: Python, packages, tools, disk, port, and the project's files."""

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
from bedplate.domain.versions.sbom import PIN, normalize_name
from bedplate.workflows.stacks.doctor import DoctorCheck
from bedplate.workflows.stacks.validation import validate_stack
from bedplate.workflows.training.source import find_lock_file

MIN_PYTHON = (3, 11)
DISK_FAIL_GB, DISK_WARN_GB = 1.0, 5.0
SECTION, FILES = "this machine", "files"


def machine_checks(
    project_dir: Path,
    stack: str,
    *,
    on_aws: bool,
    state_dir: Path,
    find_pulumi: Callable[[], tuple[Path | None, str]],
    find_local_platform: Callable[[], tuple[str | None, bool]],
) -> tuple[DoctorCheck, ...]:
    """Returns the checks of this machine.

    `find_pulumi` returns the path of the Pulumi CLI and the oldest supported version; `find_local_platform` the local
    platform's URL (None if it does not run), and whether its usual port is free.
    """

    def check(name: str, run: Callable[[], Finding]) -> DoctorCheck:
        return DoctorCheck(name, SECTION, run)

    checks = [
        check("python", lambda: assess_python(sys.version_info[:3])),
        check("packages", lambda: check_packages(project_dir)),
        check("git", lambda: check_git(project_dir)),
        check("pulumi", lambda: check_pulumi(*find_pulumi(), stack, on_aws=on_aws)),
        check("docker", lambda: check_docker(on_aws=on_aws)),
        check("terraform", check_terraform),
        check("disk", lambda: check_disk(state_dir)),
        DoctorCheck("stack and models", FILES, lambda: check_files(project_dir, stack)),
    ]
    if not on_aws:
        checks.insert(7, check("port", lambda: check_port(*find_local_platform())))
    return tuple(checks)


def assess_python(version: tuple[int, ...]) -> Finding:
    """Checks the Python version.

    >>> assess_python((3, 10, 4)).health.value, assess_python((3, 12, 1)).health.value
    ('FAIL', 'OK')
    """
    detail = f"{'.'.join(map(str, version))} on {platform.system()} {platform.machine()}"
    if version[:2] < MIN_PYTHON:
        return fail("python", f"{detail}; 3.11 or newer is required", "install a newer Python, then: make setup")
    return ok("python", detail)


def check_packages(project_dir: Path) -> Finding:
    """Compares the installed packages with the project's lock file."""
    lock = find_lock_file(project_dir)
    if lock is None:
        return warn("packages", "the project has no lock file: other machines may install other versions", "make lock")
    return assess_packages(lock.read_text(encoding="utf-8"), list_installed(), str(lock.relative_to(project_dir)))


def assess_packages(lock: str, installed: Mapping[str, str], lock_name: str) -> Finding:
    """Packages pinned with a marker may be missing, because they may be for another system; packages pinned twice may
    have either version.

    >>> lock = "boto3==1.40.0 \\\\\\n    --hash=sha256:00\\ncolorama==0.4.6 ; sys_platform == 'win32'"
    >>> assess_packages(lock, {"boto3": "1.39.0"}, "a.lock").detail
    '1 of 2 packages differ from a.lock: boto3 1.39.0 instead of 1.40.0'
    """
    versions_by_package: dict[str, list[str]] = {}
    required: set[str] = set()
    for package, version, conditional in list_pins(lock):
        versions_by_package.setdefault(package, []).append(version)
        if not conditional:
            required.add(package)
    count = len(versions_by_package)
    missing = sorted(package for package in required if normalize_name(package) not in installed)
    different = [
        f"{package} {installed[normalize_name(package)]} instead of {' or '.join(versions)}"
        for package, versions in versions_by_package.items()
        if installed.get(normalize_name(package), versions[0]) not in versions
    ]
    if missing:
        names = ", ".join(missing[:5]) + (" ..." if len(missing) > 5 else "")
        detail = f"{len(missing)} of {count} packages of {lock_name} are not installed: {names}"
        return fail("packages", detail, "make setup")
    if different:
        names = ", ".join(different[:3]) + (" ..." if len(different) > 3 else "")
        return warn("packages", f"{len(different)} of {count} packages differ from {lock_name}: {names}", "make setup")
    return ok("packages", f"all {count} have the versions of {lock_name}")


def list_pins(lock: str) -> Iterator[tuple[str, str, bool]]:
    """Yields (name, version, whether it has a marker) of every pinned package of a lock file."""
    for line in lock.splitlines():
        if match := PIN.match(line):
            yield match[1], match[2], match[3] is not None


def list_installed() -> dict[str, str]:
    """Returns the version by name of each package in this Python environment."""
    return {
        normalize_name(distribution.metadata["Name"]): distribution.version
        for distribution in metadata.distributions()
        if distribution.metadata["Name"]
    }


def check_git(project_dir: Path) -> Finding:
    """Checks for git and a commit, because model versions record the commit of their code."""
    path = shutil.which("git")
    if path is None:
        return warn("git", "not found: model versions will not record their commit", "install git")
    version = (_run_command([path, "--version"]) or "").removeprefix("git version ")
    if _run_command([path, "-C", str(project_dir), "rev-parse", "--verify", "--quiet", "HEAD"]) is None:
        fix = "git init && git add --all && git commit"
        return warn("git", f"{version}; the project has no commit for a model version to record", fix)
    return ok("git", version)


def check_pulumi(path: Path | None, oldest: str, stack: str, *, on_aws: bool) -> Finding:
    """Checks for the Pulumi CLI, which stacks on AWS use; the local stack uses the embedded engine."""
    install = f"bedplate preview --stack {stack} --engine pulumi --install"
    if path is None:
        if on_aws:
            return fail("pulumi", "Pulumi CLI not found; a stack on AWS needs it", install)
        return skip("pulumi", "not found; the local stack uses the embedded engine", install)
    version = _run_command([str(path), "version"])
    if version is None:
        return fail("pulumi", f"{path} cannot be run", f"{path} version")
    installed_version = version.removeprefix("v")
    if _parse_version(installed_version) and _parse_version(installed_version) < _parse_version(oldest):
        detail = f"{installed_version} at {path}; {oldest} or later is required"
        return fail("pulumi", detail, install) if on_aws else warn("pulumi", detail, install)
    return ok("pulumi", f"{installed_version} at {path}")


def check_docker(*, on_aws: bool) -> Finding:
    """Checks for Docker, which builds the image for AWS; the local platform runs the same code without it."""
    path = shutil.which("docker")
    if path is None:
        detail = "not found; it builds the image for AWS"
        fix = "install Docker, or let CI build and push the image"
        return (
            warn("docker", detail, fix) if on_aws else skip("docker", f"{detail}, the local platform needs none", fix)
        )
    version = _run_command([path, "version", "--format", "{{.Server.Version}}"])
    if not version:
        detail = "installed, but its engine does not respond"
        return warn("docker", detail, "start Docker") if on_aws else skip("docker", detail, "start Docker")
    return ok("docker", version)


def check_terraform() -> Finding:
    """Checks for Terraform, which only the Terraform export needs."""
    path = shutil.which("terraform")
    if path is None:
        return skip("terraform", "not found; only `bedplate export terraform` needs it", "install Terraform")
    return ok("terraform", (_run_command([path, "version"]) or "").splitlines()[0].removeprefix("Terraform v"))


def check_disk(state_dir: Path) -> Finding:
    """Checks the disk space for the local state: the local platform's objects and the engine's checkpoint."""
    folder = next(parent for parent in (state_dir, *state_dir.parents) if parent.exists())
    if not os.access(folder, os.W_OK | os.X_OK):
        return fail("disk", f"{folder} is not writable", f"chmod u+w {folder}, or set BEDPLATE_STATE_DIR")
    return assess_disk(shutil.disk_usage(folder).free / 1e9, folder)


def assess_disk(free_gb: float, folder: Path) -> Finding:
    """Checks the free disk space.

    >>> [assess_disk(free, Path("x")).health.value for free in (0.2, 3, 100)]
    ['FAIL', 'WARN', 'OK']
    """
    detail = f"{free_gb:,.1f} GB free at {folder}"
    fix = "free disk space (bedplate local reset deletes the local platform's data), or set BEDPLATE_STATE_DIR"
    if free_gb < DISK_FAIL_GB:
        return fail("disk", detail, fix)
    return warn("disk", detail, fix) if free_gb < DISK_WARN_GB else ok("disk", detail)


def check_port(url: str | None, usual_is_free: bool) -> Finding:
    """Checks that the local platform runs or that its usual port is free.

    >>> check_port("http://127.0.0.1:4566", False).detail, check_port(None, False).health.value
    ('the local platform runs at http://127.0.0.1:4566', 'WARN')
    """
    if url:
        return ok("port", f"the local platform runs at {url}")
    if usual_is_free:
        return ok("port", "4566 is free for the local platform")
    detail = "another program uses port 4566: the local platform will use another port"
    return warn("port", detail, "bedplate local start --port 0, or stop that program")


def check_files(project_dir: Path, stack: str) -> Finding:
    """Checks the stack's file and the models that it names. Raises SettingsError with every error."""
    validated = validate_stack(project_dir, stack)
    models = f"{len(validated.models)} model{'s' if len(validated.models) != 1 else ''}"
    if validated.warnings:
        return warn("stack and models", "; ".join(validated.warnings), "check that the region offers them")
    return ok("stack and models", f"stacks/Pulumi.{stack}.yaml and {models} are valid")


def _run_command(command: list[str]) -> str | None:
    """Returns the standard output of a command; None if it fails."""
    try:
        process = subprocess.run(command, capture_output=True, text=True, timeout=15, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return process.stdout.strip() if process.returncode == 0 else None


def _parse_version(version: str) -> tuple[int, ...]:
    """Returns the numbers of a version, empty if it has none.

    >>> _parse_version("3.206.0-alpha.1"), _parse_version("dev")
    ((3, 206, 0), ())
    """
    match = re.match(r"\d+(\.\d+)*", version)
    return tuple(map(int, match[0].split("."))) if match else ()

"""Stores the software bill of materials of a version's image, and scans it for known vulnerabilities."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from bedplate.domain.ledger import sha256
from bedplate.domain.versions.sbom import (
    VulnerabilityScan,
    format_cyclonedx,
    parse_cyclonedx,
    parse_lock_file,
    parse_scan,
)
from bedplate.errors import Conflict, NotFound
from bedplate.ports import Package, Reporter
from bedplate.workflows.stack_context import StackContext
from bedplate.workflows.training.source import find_lock_file

TIMEOUT_S = 300
Auditor = Callable[[Path], tuple[int, str, str]]
"""Runs pip-audit over a requirements file: exit code, stdout, stderr."""


def store_sbom(stack: StackContext, model: str) -> dict[str, str]:
    """Stores the SBOM of the project's lock file under its hash; returns its metadata, empty without a lock file."""
    lock = find_lock_file(stack.project_dir)
    if lock is None:
        return {}
    raw = lock.read_bytes()
    sbom = format_cyclonedx(parse_lock_file(raw.decode()), image_uri=stack.outputs.image_uri, lock_sha256=sha256(raw))
    digest = sha256(sbom)
    uri = f"s3://{stack.outputs.artifacts_bucket}/{stack.names(model).training_prefix}sbom/{digest[:16]}.cdx.json"
    if not stack.objects.exists(uri):
        stack.objects.put(uri, sbom, content_type="application/vnd.cyclonedx+json")
    return {"sbom_uri": uri, "sbom_sha256": digest}


def read_sbom(stack: StackContext, package: Package) -> bytes:
    """Reads a version's SBOM. Raises NotFound when it has none, Conflict when it was changed."""
    model = package.metadata.get("model", package.group)
    uri, expected = package.metadata.get("sbom_uri"), package.metadata.get("sbom_sha256")
    if not uri:
        raise NotFound(
            f"{model}:{package.version} has no SBOM: it was trained without a lock file, or before SBOMs existed",
            next_step=f"bedplate train {model} --data ...",
        )
    sbom = stack.objects.get(uri)
    if sha256(sbom) != expected:
        raise Conflict(
            f"{uri} was changed: its hash is {sha256(sbom)[:12]}, the version records {(expected or '')[:12]}",
            next_step=f"bedplate models show {model}:{package.version}",
        )
    return sbom


def scan_version(
    stack: StackContext, package: Package, reporter: Reporter, *, auditor: Auditor | None = None
) -> VulnerabilityScan:
    """Scans a version's packages for published vulnerabilities with pip-audit.

    Raises nothing: a failed scan is a `Scan` with `trouble`, which is never a pass.
    """
    try:
        sbom = read_sbom(stack, package)
    except (NotFound, Conflict) as exc:
        return VulnerabilityScan(0, error=exc.message)
    packages = parse_cyclonedx(sbom)
    reporter("step", {"text": f"Scanning {len(packages)} packages for known vulnerabilities"})
    return run_audit([f"{p.name}=={p.version}" for p in packages], auditor or _pip_audit)


def run_audit(pins: Sequence[str], auditor: Auditor) -> VulnerabilityScan:
    """Audits `pins` (`name==version`). pip-audit exits with 1 for findings and for errors: its report tells them
    apart."""
    with tempfile.TemporaryDirectory(prefix="bedplate-audit-") as folder:
        file = Path(folder) / "requirements.txt"
        file.write_text("\n".join(pins) + "\n", encoding="utf-8")
        try:
            _, stdout, stderr = auditor(file)
            scan = parse_scan(json.loads(stdout)) if stdout.strip() else VulnerabilityScan(0, error=_last_line(stderr))
        except subprocess.TimeoutExpired:
            return VulnerabilityScan(0, error=f"the index did not answer within {TIMEOUT_S} s")
        except (OSError, KeyError, TypeError, ValueError) as exc:
            return VulnerabilityScan(0, error=f"pip-audit's report cannot be read: {exc}")
    if scan.error is None and scan.packages_checked == 0:
        return VulnerabilityScan(0, skipped=scan.skipped, error="the index knows none of the packages")
    return scan


def _pip_audit(file: Path) -> tuple[int, str, str]:
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(file), "--no-deps", "--disable-pip"]
    command += ["--format", "json", "--progress-spinner", "off"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    return result.returncode, result.stdout, result.stderr


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return (lines[-1] if lines else "pip-audit printed nothing")[:300]

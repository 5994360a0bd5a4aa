"""Keeps the bill of materials of the image that a version was trained in, and asks what is known against it."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from bedplate.domain.ledger import sha256
from bedplate.domain.versions.sbom import Scan, cyclonedx, locked, packages_in, scan_of
from bedplate.errors import Conflict, NotFound
from bedplate.ports import Package, Reporter
from bedplate.workflows.stack_context import StackContext
from bedplate.workflows.training.source import lock_file

TIMEOUT_S = 300
Auditor = Callable[[Path], tuple[int, str, str]]
"""Runs pip-audit over a requirements file: exit code, stdout, stderr."""


def keep_sbom(stack: StackContext, model: str) -> dict[str, str]:
    """Store the bill of the project's lock file under its hash; the metadata that names it. Nothing without a lock."""
    lock = lock_file(stack.project_dir)
    if lock is None:
        return {}
    raw = lock.read_bytes()
    bill = cyclonedx(locked(raw.decode()), image_uri=stack.outputs.image_uri, lock_sha256=sha256(raw))
    digest = sha256(bill)
    uri = f"s3://{stack.outputs.artifacts_bucket}/{stack.names(model).training_prefix}sbom/{digest[:16]}.cdx.json"
    if not stack.objects.exists(uri):
        stack.objects.put(uri, bill, content_type="application/vnd.cyclonedx+json")
    return {"sbom_uri": uri, "sbom_sha256": digest}


def sbom_of(stack: StackContext, package: Package) -> bytes:
    """The bill kept with a version. Raises NotFound when it names none, Conflict when it is not what was kept."""
    model = package.metadata.get("model", package.group)
    uri, wanted = package.metadata.get("sbom_uri"), package.metadata.get("sbom_sha256")
    if not uri:
        raise NotFound(
            f"{model}:{package.version} names no bill of materials: it was trained without a lock file, or before "
            "there were any",
            next_step=f"bedplate train {model} --data ...",
        )
    bill = stack.objects.get(uri)
    if sha256(bill) != wanted:
        raise Conflict(
            f"{uri} was changed: it hashes to {sha256(bill)[:12]}, and the version says {(wanted or '')[:12]}",
            next_step=f"bedplate models show {model}:{package.version}",
        )
    return bill


def scan(stack: StackContext, package: Package, reporter: Reporter, *, auditor: Auditor | None = None) -> Scan:
    """What the index of published vulnerabilities says of a version's packages, by pip-audit.

    Never an error: what cannot be asked is a `Scan` with its `trouble`, which is no pass.
    """
    try:
        bill = sbom_of(stack, package)
    except (NotFound, Conflict) as exc:
        return Scan(0, trouble=exc.message)
    packages = packages_in(bill)
    reporter("step", {"text": f"Asking what is known against {len(packages)} packages"})
    return audit([f"{p.name}=={p.version}" for p in packages], auditor or _pip_audit)


def audit(pins: Sequence[str], auditor: Auditor) -> Scan:
    """`pins` are `name==version`. pip-audit ends with 1 for findings as for trouble: its report tells them apart."""
    with tempfile.TemporaryDirectory(prefix="bedplate-audit-") as folder:
        file = Path(folder) / "requirements.txt"
        file.write_text("\n".join(pins) + "\n", encoding="utf-8")
        try:
            _, told, trouble = auditor(file)
            found = scan_of(json.loads(told)) if told.strip() else Scan(0, trouble=_last_line(trouble))
        except subprocess.TimeoutExpired:
            return Scan(0, trouble=f"the index did not answer within {TIMEOUT_S} s")
        except (OSError, KeyError, TypeError, ValueError) as exc:
            return Scan(0, trouble=f"pip-audit's answer cannot be read: {exc}")
    if found.trouble is None and found.checked == 0:
        return Scan(0, skipped=found.skipped, trouble="the index knows none of the packages")
    return found


def _pip_audit(file: Path) -> tuple[int, str, str]:
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(file), "--no-deps", "--disable-pip"]
    command += ["--format", "json", "--progress-spinner", "off"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    return ran.returncode, ran.stdout, ran.stderr


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return (lines[-1] if lines else "pip-audit said nothing")[:300]

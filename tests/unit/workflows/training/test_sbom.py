"""A version's SBOM is stored, verified and scanned."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from bedplate.errors import Conflict, NotFound
from bedplate.workflows.stack_context import null_reporter
from bedplate.workflows.training.sbom import read_sbom, run_audit, scan_version, store_sbom
from builders import a_package, a_stack_context
from fakes import FakeStackContext


def build_locked_stack(tmp_path: Path) -> FakeStackContext:
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / "bedplate.lock").write_text("click==8.1.7\nflask==3.0.0\n")
    return a_stack_context(tmp_path)


def test_the_sbom_is_stored_under_its_hash_and_read_back(tmp_path: Path) -> None:
    stack = build_locked_stack(tmp_path)
    metadata = store_sbom(stack, "churn")
    assert metadata == store_sbom(stack, "churn")
    assert metadata["sbom_sha256"][:16] in metadata["sbom_uri"]
    assert b"pkg:pypi/flask@3.0.0" in read_sbom(stack, a_package(metadata=metadata))


def test_without_a_lock_file_there_is_no_sbom_and_scanning_fails(tmp_path: Path) -> None:
    stack = a_stack_context(tmp_path)
    assert store_sbom(stack, "churn") == {}
    with pytest.raises(NotFound, match="has no SBOM"):
        read_sbom(stack, a_package())
    assert scan_version(stack, a_package(), null_reporter).error


def test_a_changed_sbom_is_rejected_and_not_scanned(tmp_path: Path) -> None:
    stack = build_locked_stack(tmp_path)
    metadata = store_sbom(stack, "churn")
    stack.objects.put(metadata["sbom_uri"], stack.objects.get(metadata["sbom_uri"]).replace(b"3.0.0", b"3.0.9"))
    package = a_package(metadata=metadata)
    with pytest.raises(Conflict, match="was changed"):
        read_sbom(stack, package)
    assert "was changed" in (scan_version(stack, package, null_reporter).error or "")


def test_every_package_of_the_sbom_is_scanned(tmp_path: Path) -> None:
    stack = build_locked_stack(tmp_path)
    package = a_package(metadata=store_sbom(stack, "churn"))

    def auditor(file: Path) -> tuple[int, str, str]:
        pins = file.read_text().split()
        assert pins == ["click==8.1.7", "flask==3.0.0"]
        dependencies = [{"name": p.split("==")[0], "version": p.split("==")[1], "vulns": []} for p in pins]
        return 0, json.dumps({"dependencies": dependencies, "fixes": []}), ""

    audit = scan_version(stack, package, null_reporter, auditor=auditor)
    assert (audit.packages_checked, audit.error, audit.findings) == (2, None, ())


def test_a_failed_scan_is_an_error_and_not_a_pass() -> None:
    def slow(_: Path) -> tuple[int, str, str]:
        raise subprocess.TimeoutExpired("pip-audit", 1)

    skipped = json.dumps({"dependencies": [{"name": "click", "skip_reason": "unknown"}], "fixes": []})
    assert run_audit(["click==8.1.7"], lambda _: (1, "", "log\nno route to host\n")).error == "no route to host"
    assert "did not answer" in (run_audit(["click==8.1.7"], slow).error or "")
    assert "cannot be read" in (run_audit(["click==8.1.7"], lambda _: (0, "<html>", "")).error or "")
    assert "knows none" in (run_audit(["click==8.1.7"], lambda _: (0, skipped, "")).error or "")

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from bedplate.errors import Conflict, NotFound
from bedplate.workflows.stack_context import null_reporter
from bedplate.workflows.training.sbom import audit, keep_sbom, sbom_of, scan
from builders import a_package, a_platform
from fakes import FakeStackContext


def stage(tmp_path: Path) -> FakeStackContext:
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / "bedplate.lock").write_text("click==8.1.7\nflask==3.0.0\n")
    return a_platform(tmp_path)


def test_the_bill_is_kept_under_its_hash_and_given_back(tmp_path: Path) -> None:
    at = stage(tmp_path)
    told = keep_sbom(at, "churn")
    assert told == keep_sbom(at, "churn")
    assert told["sbom_sha256"][:16] in told["sbom_uri"]
    assert b"pkg:pypi/flask@3.0.0" in sbom_of(at, a_package(metadata=told))


def test_without_a_lock_there_is_no_bill_and_nothing_is_claimed(tmp_path: Path) -> None:
    at = a_platform(tmp_path)
    assert keep_sbom(at, "churn") == {}
    with pytest.raises(NotFound, match="bill of materials"):
        sbom_of(at, a_package())
    assert scan(at, a_package(), null_reporter).trouble


def test_a_bill_that_somebody_changed_is_refused_and_not_scanned(tmp_path: Path) -> None:
    at = stage(tmp_path)
    told = keep_sbom(at, "churn")
    at.objects.put(told["sbom_uri"], at.objects.get(told["sbom_uri"]).replace(b"3.0.0", b"3.0.9"))
    package = a_package(metadata=told)
    with pytest.raises(Conflict, match="was changed"):
        sbom_of(at, package)
    assert "was changed" in (scan(at, package, null_reporter).trouble or "")


def test_every_package_of_the_bill_is_asked_about(tmp_path: Path) -> None:
    at = stage(tmp_path)
    package = a_package(metadata=keep_sbom(at, "churn"))

    def auditor(file: Path) -> tuple[int, str, str]:
        pins = file.read_text().split()
        assert pins == ["click==8.1.7", "flask==3.0.0"]
        dependencies = [{"name": p.split("==")[0], "version": p.split("==")[1], "vulns": []} for p in pins]
        return 0, json.dumps({"dependencies": dependencies, "fixes": []}), ""

    found = scan(at, package, null_reporter, auditor=auditor)
    assert (found.checked, found.trouble, found.findings) == (2, None, ())


def test_what_cannot_be_asked_is_trouble_never_a_clean_bill() -> None:
    def slow(_: Path) -> tuple[int, str, str]:
        raise subprocess.TimeoutExpired("pip-audit", 1)

    skipped = json.dumps({"dependencies": [{"name": "click", "skip_reason": "unknown"}], "fixes": []})
    assert audit(["click==8.1.7"], lambda _: (1, "", "log\nno route to host\n")).trouble == "no route to host"
    assert "did not answer" in (audit(["click==8.1.7"], slow).trouble or "")
    assert "cannot be read" in (audit(["click==8.1.7"], lambda _: (0, "<html>", "")).trouble or "")
    assert "knows none" in (audit(["click==8.1.7"], lambda _: (0, skipped, "")).trouble or "")

from __future__ import annotations

import json

import pytest
from cyclonedx.model.bom import Bom
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from bedplate.domain.gate.analyses import judge_vulnerabilities
from bedplate.domain.gate.measurements import Measurements
from bedplate.domain.versions.sbom import (
    IMAGE_MARKERS,
    Vulnerability,
    VulnerabilityScan,
    format_cyclonedx,
    parse_cyclonedx,
    parse_lock_file,
    parse_scan,
)
from bedplate.settings import VulnerabilityGate
from repository import ROOT

LOCK = """
click==8.1.7 \\
    --hash=sha256:{a} \\
    --hash=sha256:{b}
    # via
    #   bedplate (pyproject.toml)
    #   flask
Flask==3.0.0 \\
    --hash=sha256:{a}
    # via bedplate (pyproject.toml)
uvicorn[standard]==0.30.0 ; python_version >= "3.9"
""".format(a="a" * 64, b="b" * 64)


def bill(lock: str = LOCK) -> bytes:
    return format_cyclonedx(parse_lock_file(lock), image_uri="image:1", lock_sha256="0a")


def test_every_pin_is_a_component_with_its_hashes() -> None:
    click, flask, uvicorn = parse_lock_file(LOCK)
    assert (click.name, click.version, len(click.hashes), click.required_by) == (
        "click",
        "8.1.7",
        2,
        ("bedplate", "flask"),
    )
    assert (flask.purl, uvicorn.version) == ("pkg:pypi/flask@3.0.0", "0.30.0")
    document = json.loads(bill())
    assert [c["name"] for c in document["components"]] == ["click", "flask", "uvicorn"]
    assert document["components"][1]["hashes"] == [{"alg": "SHA-256", "content": "a" * 64}]
    dependencies = {d["ref"]: d["dependsOn"] for d in document["dependencies"]}
    assert dependencies["pkg:pypi/flask@3.0.0"] == ["pkg:pypi/click@8.1.7"]
    assert dependencies["image"] == [f"pkg:pypi/{p}" for p in ("click@8.1.7", "flask@3.0.0", "uvicorn@0.30.0")]


def test_the_format_is_valid_for_the_cyclonedx_library() -> None:
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(bill().decode()) is None
    assert len(Bom.from_json(json.loads(bill())).components) == 3  # type: ignore[attr-defined]


def test_the_repositorys_lock_file_gives_a_valid_document() -> None:
    lock = (ROOT / "requirements" / "bedplate.lock").read_text()
    packages = parse_lock_file(lock)
    pins = {line.partition("==")[0] for line in lock.splitlines() if "==" in line and line[0].isalnum()}
    other_systems = pins - {p.name for p in packages}
    assert {"colorama", "pywin32"} <= other_systems  # for Windows
    assert len(other_systems) < 10
    assert all(p.hashes for p in packages)
    content = bill(lock)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(content.decode()) is None
    assert [p.name for p in parse_cyclonedx(content)] == [p.name for p in packages]


def test_markers_of_the_image_select_between_two_pins() -> None:
    lock = (
        "numpy==2.4.6 ; python_full_version < '3.12' \\\n    --hash=sha256:aa\n"
        "numpy==2.5.5 ; python_full_version >= '3.12' \\\n    --hash=sha256:bb\n"
        "pywin32==312 ; sys_platform == 'win32' \\\n    --hash=sha256:cc\n"
    )
    assert [(p.name, p.version, p.hashes) for p in parse_lock_file(lock)] == [("numpy", "2.4.6", (("sha256", "aa"),))]


def test_the_image_markers_match_the_dockerfile() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert f"FROM python:{IMAGE_MARKERS['python_version']}-slim" in dockerfile


def test_the_same_lock_file_gives_the_same_bytes_and_serial_number() -> None:
    assert bill() == bill()
    other = format_cyclonedx(parse_lock_file(LOCK), image_uri="image:1", lock_sha256="0b")
    assert json.loads(other)["serialNumber"] != json.loads(bill())["serialNumber"]


def test_another_document_is_refused() -> None:
    with pytest.raises(ValueError, match="CycloneDX"):
        parse_cyclonedx(b"{}")


FLASK_VULNERABILITY = Vulnerability("flask", "3.0.0", "PYSEC-1", ("CVE-2030-1",), ("3.0.1",))


def verdict(scan: VulnerabilityScan | None, **gate: object) -> tuple[str, bool, str]:
    measurements = Measurements({}, None, "no champion", {}, {}, None, "s", vulnerabilities=scan)
    gate_verdict = judge_vulnerabilities(VulnerabilityGate.model_validate(gate), measurements)
    return gate_verdict.outcome, gate_verdict.decides, gate_verdict.reason


def test_a_vulnerability_fails_the_gate_unless_one_of_its_names_is_allowed() -> None:
    assert verdict(VulnerabilityScan(3, (FLASK_VULNERABILITY,)))[0] == "FAIL"
    assert "PYSEC-1 (flask 3.0.0)" in verdict(VulnerabilityScan(3, (FLASK_VULNERABILITY,)))[2]
    assert verdict(VulnerabilityScan(3, (FLASK_VULNERABILITY,)), allow=["cve-2030-1"])[0] == "PASS"
    assert verdict(VulnerabilityScan(3, (FLASK_VULNERABILITY,)), allow=["CVE-2030-2"])[0] == "FAIL"
    assert verdict(VulnerabilityScan(3))[0] == "PASS"


def test_a_failed_scan_is_no_data() -> None:
    failed = VulnerabilityScan(0, error="no route to host")
    assert verdict(failed) == ("NO_DATA", True, "no route to host")
    assert verdict(None)[:2] == ("NO_DATA", True)
    assert verdict(failed, optional=True)[:2] == ("NO_DATA", False)
    assert verdict(VulnerabilityScan(3, (FLASK_VULNERABILITY,)), optional=True)[:2] == ("FAIL", True)


def test_a_package_missing_from_the_index_is_no_data_unless_allowed() -> None:
    partial = VulnerabilityScan(2, (), ("ours: not found",))
    assert verdict(partial)[0] == "NO_DATA"
    assert "ours" in verdict(partial)[2]
    assert verdict(partial, allow=["Ours"])[0] == "PASS"
    assert verdict(VulnerabilityScan(2, (FLASK_VULNERABILITY,), ("ours: not found",)))[0] == "FAIL"


def test_a_pip_audit_report_is_parsed() -> None:
    report = {
        "dependencies": [
            {"name": "flask", "version": "3.0.0", "vulns": [
                {"id": "PYSEC-1", "fix_versions": ["3.0.1"], "aliases": ["CVE-2030-1"], "description": "x"}]},
            {"name": "click", "version": "8.1.7", "vulns": []},
            {"name": "ours", "skip_reason": "not found"},
        ],
        "fixes": [],
    }  # fmt: skip
    assert parse_scan(report) == VulnerabilityScan(2, (FLASK_VULNERABILITY,), ("ours: not found",))

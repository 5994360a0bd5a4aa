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


def test_every_pin_of_the_lock_is_a_component_with_its_hashes() -> None:
    click, flask, uvicorn = parse_lock_file(LOCK)
    assert (click.name, click.version, len(click.hashes), click.required_by) == (
        "click",
        "8.1.7",
        2,
        ("bedplate", "flask"),
    )
    assert (flask.purl, uvicorn.version) == ("pkg:pypi/flask@3.0.0", "0.30.0")
    read = json.loads(bill())
    assert [c["name"] for c in read["components"]] == ["click", "flask", "uvicorn"]
    assert read["components"][1]["hashes"] == [{"alg": "SHA-256", "content": "a" * 64}]
    needs = {d["ref"]: d["dependsOn"] for d in read["dependencies"]}
    assert needs["pkg:pypi/flask@3.0.0"] == ["pkg:pypi/click@8.1.7"]
    assert needs["image"] == [f"pkg:pypi/{p}" for p in ("click@8.1.7", "flask@3.0.0", "uvicorn@0.30.0")]


def test_the_format_is_cyclonedx_by_its_own_library() -> None:
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(bill().decode()) is None
    assert len(Bom.from_json(json.loads(bill())).components) == 3  # type: ignore[attr-defined]


def test_the_repositorys_own_lock_becomes_a_valid_bill() -> None:
    lock = (ROOT / "requirements" / "bedplate.lock").read_text()
    packages = parse_lock_file(lock)
    pins = {line.partition("==")[0] for line in lock.splitlines() if "==" in line and line[0].isalnum()}
    elsewhere = pins - {p.name for p in packages}
    assert {"colorama", "pywin32"} <= elsewhere  # for Windows
    assert len(elsewhere) < 10
    assert all(p.hashes for p in packages)
    told = bill(lock)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(told.decode()) is None
    assert [p.name for p in parse_cyclonedx(told)] == [p.name for p in packages]


def test_the_image_s_python_and_system_decide_which_of_two_pins_it_takes() -> None:
    lock = (
        "numpy==2.4.6 ; python_full_version < '3.12' \\\n    --hash=sha256:aa\n"
        "numpy==2.5.5 ; python_full_version >= '3.12' \\\n    --hash=sha256:bb\n"
        "pywin32==312 ; sys_platform == 'win32' \\\n    --hash=sha256:cc\n"
    )
    assert [(p.name, p.version, p.hashes) for p in parse_lock_file(lock)] == [("numpy", "2.4.6", (("sha256", "aa"),))]


def test_the_image_is_the_one_that_the_dockerfile_builds() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert f"FROM python:{IMAGE_MARKERS['python_version']}-slim" in dockerfile


def test_the_same_lock_gives_the_same_bytes_and_another_one_another_serial_number() -> None:
    assert bill() == bill()
    other = format_cyclonedx(parse_lock_file(LOCK), image_uri="image:1", lock_sha256="0b")
    assert json.loads(other)["serialNumber"] != json.loads(bill())["serialNumber"]


def test_something_else_is_no_bill() -> None:
    with pytest.raises(ValueError, match="CycloneDX"):
        parse_cyclonedx(b"{}")


FOUND = Vulnerability("flask", "3.0.0", "PYSEC-1", ("CVE-2030-1",), ("3.0.1",))


def verdict(scan: VulnerabilityScan | None, **gate: object) -> tuple[str, bool, str]:
    evidence = Measurements({}, None, "nobody", {}, {}, None, "s", vulnerabilities=scan)
    found = judge_vulnerabilities(VulnerabilityGate.model_validate(gate), evidence)
    return found.outcome, found.decides, found.reason


def test_a_finding_shuts_the_gate_unless_it_is_allowed_by_any_of_its_names() -> None:
    assert verdict(VulnerabilityScan(3, (FOUND,)))[0] == "FAIL"
    assert "PYSEC-1 (flask 3.0.0)" in verdict(VulnerabilityScan(3, (FOUND,)))[2]
    assert verdict(VulnerabilityScan(3, (FOUND,)), allow=["cve-2030-1"])[0] == "PASS"
    assert verdict(VulnerabilityScan(3, (FOUND,)), allow=["CVE-2030-2"])[0] == "FAIL"
    assert verdict(VulnerabilityScan(3))[0] == "PASS"


def test_an_index_that_cannot_be_asked_is_no_pass() -> None:
    silent = VulnerabilityScan(0, error="no route to host")
    assert verdict(silent) == ("NO_DATA", True, "no route to host")
    assert verdict(None)[:2] == ("NO_DATA", True)
    assert verdict(silent, optional=True)[:2] == ("NO_DATA", False)
    assert verdict(VulnerabilityScan(3, (FOUND,)), optional=True)[:2] == ("FAIL", True)


def test_a_package_that_the_index_does_not_know_is_no_pass_unless_it_is_named() -> None:
    partly = VulnerabilityScan(2, (), ("ours: not found",))
    assert verdict(partly)[0] == "NO_DATA"
    assert "ours" in verdict(partly)[2]
    assert verdict(partly, allow=["Ours"])[0] == "PASS"
    assert verdict(VulnerabilityScan(2, (FOUND,), ("ours: not found",)))[0] == "FAIL"


def test_pip_audits_report_is_read() -> None:
    report = {
        "dependencies": [
            {"name": "flask", "version": "3.0.0", "vulns": [
                {"id": "PYSEC-1", "fix_versions": ["3.0.1"], "aliases": ["CVE-2030-1"], "description": "x"}]},
            {"name": "click", "version": "8.1.7", "vulns": []},
            {"name": "ours", "skip_reason": "not found"},
        ],
        "fixes": [],
    }  # fmt: skip
    assert parse_scan(report) == VulnerabilityScan(2, (FOUND,), ("ours: not found",))

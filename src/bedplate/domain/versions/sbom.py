"""Builds an image's bill of materials from its lock file as CycloneDX 1.6, and reads its known vulnerabilities.

Format: CycloneDX 1.6 (ECMA-424). Package names are normalized as in PEP 503; package URLs have the type pypi.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

SPEC_VERSION = "1.6"
IMAGE_MARKERS = {
    "implementation_name": "cpython",
    "os_name": "posix",
    "platform_machine": "x86_64",
    "platform_python_implementation": "CPython",
    "platform_system": "Linux",
    "python_full_version": "3.11.9",
    "python_version": "3.11",
    "sys_platform": "linux",
}
"""PEP 508 environment markers of the Dockerfile's base image; a lock file also pins packages for other systems."""
PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?==([^\s;\\]+)\s*(?:;([^\\]*))?")
"""A pinned requirement of a lock file: name, version, and marker if it has one."""
_HASH = re.compile(r"--hash=(sha256|sha384|sha512):([0-9a-f]+)")
_VIA = re.compile(r"^\s*#\s+(?:via\s*)?([A-Za-z0-9][A-Za-z0-9._-]*)")
_ALGORITHMS = {"sha256": "SHA-256", "sha384": "SHA-384", "sha512": "SHA-512"}


@dataclass(frozen=True, slots=True)
class LockedPackage:
    """A pinned package: the hashes that its files may have, and the packages that require it."""

    name: str
    version: str
    hashes: tuple[tuple[str, str], ...] = ()
    required_by: tuple[str, ...] = ()

    @property
    def purl(self) -> str:
        return f"pkg:pypi/{normalize_name(self.name)}@{self.version}"


def normalize_name(name: str) -> str:
    """Returns a package's name as PEP 503 normalizes it.

    >>> normalize_name("Ruamel.Yaml_clib")
    'ruamel-yaml-clib'
    """
    return re.sub(r"[-_.]+", "-", name).lower()


def parse_lock_file(text: str) -> tuple[LockedPackage, ...]:
    r"""Returns the packages that a pip lock file pins for the image, sorted by name; packages for other systems are
    left out.

    >>> lock = "click==8.1.7 \n    --hash=sha256:ab12\n    # via bedplate (pyproject.toml)\n"
    >>> lock += "NumPy==2.0.0\n    # via\n    #   pandas"
    >>> [(p.name, p.version, p.hashes, p.required_by) for p in parse_lock_file(lock)]
    [('click', '8.1.7', (('sha256', 'ab12'),), ('bedplate',)), ('numpy', '2.0.0', (), ('pandas',))]
    """
    pins: dict[str, tuple[str, list[tuple[str, str]], list[str]]] = {}
    name = ""
    for line in text.splitlines():
        pin = PIN.match(line)
        if pin:
            name = normalize_name(pin[1]) if _applies_to_image(pin[3]) else ""
            pins |= {name: (pin[2], [], [])} if name else {}
        if not name:
            continue
        pins[name][1].extend((m[1], m[2]) for m in _HASH.finditer(line))
        via = _VIA.match(line)
        if via and via[1] != "via":
            pins[name][2].append(normalize_name(via[1]))
    return tuple(LockedPackage(n, v, tuple(hashes), tuple(via)) for n, (v, hashes, via) in sorted(pins.items()))


def _applies_to_image(marker: str | None) -> bool:
    from packaging.markers import Marker

    return not (marker and marker.strip()) or Marker(marker.strip()).evaluate(dict(IMAGE_MARKERS))


def format_cyclonedx(packages: Sequence[LockedPackage], *, image_uri: str, lock_sha256: str) -> bytes:
    """Returns the bill of materials as JSON without a timestamp: the same lock file and image give the same bytes."""
    image = {
        "type": "container",
        "bom-ref": "image",
        "name": image_uri,
        "properties": [{"name": "bedplate:lock_sha256", "value": lock_sha256}],
    }
    names = {package.name for package in packages}
    dependencies: dict[str, set[str]] = {package.name: set() for package in packages}
    roots: set[str] = set()
    for package in packages:
        for parent in package.required_by:
            dependencies.get(parent, roots).add(package.purl)
        if not set(package.required_by) & names:
            roots.add(package.purl)
    refs = {package.name: package.purl for package in packages}
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": SPEC_VERSION,
        "serialNumber": uuid.uuid5(uuid.NAMESPACE_URL, f"{image_uri}#{lock_sha256}").urn,
        "version": 1,
        "metadata": {"component": image},
        "components": [_component(package) for package in packages],
        "dependencies": [
            {"ref": "image", "dependsOn": sorted(roots)},
            *({"ref": refs[name], "dependsOn": sorted(purls)} for name, purls in sorted(dependencies.items())),
        ],
    }
    return json.dumps(document, sort_keys=True, indent=1).encode()


def _component(package: LockedPackage) -> dict[str, Any]:
    """Returns a component. A lock file lists the hashes of all files of a package, not the one that was installed, so
    only a single hash is the component's hash; several are properties."""
    component: dict[str, Any] = {
        "type": "library",
        "bom-ref": package.purl,
        "name": package.name,
        "version": package.version,
        "purl": package.purl,
    }
    if len(package.hashes) == 1:
        ((algorithm, value),) = package.hashes
        component["hashes"] = [{"alg": _ALGORITHMS[algorithm], "content": value}]
    elif package.hashes:
        component["properties"] = [{"name": f"bedplate:{name}", "value": value} for name, value in package.hashes]
    return component


def parse_cyclonedx(content: bytes) -> tuple[LockedPackage, ...]:
    """Returns name and version of each component. Raises ValueError for content that is not CycloneDX."""
    document = json.loads(content)
    if not isinstance(document, dict) or document.get("bomFormat") != "CycloneDX":
        raise ValueError("not a CycloneDX document")
    return tuple(LockedPackage(str(c["name"]), str(c["version"])) for c in document.get("components", []))


# --- vulnerabilities ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Vulnerability:
    """A published vulnerability of a package. `aliases` are its other identifiers (CVE, GHSA)."""

    package: str
    version: str
    id: str
    aliases: tuple[str, ...]
    fixed_in: tuple[str, ...]

    def is_listed(self, names: Sequence[str]) -> bool:
        """Returns whether its id or one of its aliases is among `names`, ignoring case."""
        listed = {name.casefold() for name in names}
        return any(name.casefold() in listed for name in (self.id, *self.aliases))


@dataclass(frozen=True, slots=True)
class VulnerabilityScan:
    """The result of a vulnerability scan. `error` says why it failed; `skipped` are packages that the index does not
    contain."""

    packages_checked: int
    findings: tuple[Vulnerability, ...] = ()
    skipped: tuple[str, ...] = ()
    error: str | None = None


def parse_scan(report: Mapping[str, Any]) -> VulnerabilityScan:
    """Parses pip-audit's JSON report. Raises KeyError or TypeError for anything else."""
    findings, skipped, checked = [], [], 0
    for dependency in report["dependencies"]:
        if "skip_reason" in dependency:
            skipped.append(f"{dependency['name']}: {dependency['skip_reason']}")
            continue
        checked += 1
        package = dependency["name"], dependency["version"]
        findings += [
            Vulnerability(*package, v["id"], tuple(v.get("aliases") or ()), tuple(v.get("fix_versions") or ()))
            for v in dependency["vulns"]
        ]
    return VulnerabilityScan(checked, tuple(findings), tuple(skipped))

"""The bill of materials of an image: its locked packages as CycloneDX 1.6, and what is known against them.

Format: CycloneDX 1.6 (ECMA-424). Names are compared as PEP 503 has them, package URLs are of type pypi.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

SPEC_VERSION = "1.6"
IMAGE = {
    "implementation_name": "cpython",
    "os_name": "posix",
    "platform_machine": "x86_64",
    "platform_python_implementation": "CPython",
    "platform_system": "Linux",
    "python_full_version": "3.11.9",
    "python_version": "3.11",
    "sys_platform": "linux",
}
"""What the Dockerfile's base image is, in the terms of PEP 508: a lock names pins for others, too."""
_PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?==([^\s;\\]+)\s*(?:;([^\\]*))?")
_HASH = re.compile(r"--hash=(sha256|sha384|sha512):([0-9a-f]+)")
_VIA = re.compile(r"^\s*#\s+(?:via\s*)?([A-Za-z0-9][A-Za-z0-9._-]*)")
_ALGORITHMS = {"sha256": "SHA-256", "sha384": "SHA-384", "sha512": "SHA-512"}


@dataclass(frozen=True, slots=True)
class LockedPackage:
    """One pinned package: the hashes that its files may have, and which packages brought it along."""

    name: str
    version: str
    hashes: tuple[tuple[str, str], ...] = ()
    wanted_by: tuple[str, ...] = ()

    @property
    def purl(self) -> str:
        return f"pkg:pypi/{normal(self.name)}@{self.version}"


def normal(name: str) -> str:
    """
    >>> normal("Ruamel.Yaml_clib")
    'ruamel-yaml-clib'
    """
    return re.sub(r"[-_.]+", "-", name).lower()


def locked(text: str) -> tuple[LockedPackage, ...]:
    r"""The pins of a lock file in pip's format that the image takes, by name; those for other systems are left out.

    >>> lock = "click==8.1.7 \n    --hash=sha256:ab12\n    # via bedplate (pyproject.toml)\n"
    >>> lock += "NumPy==2.0.0\n    # via\n    #   pandas"
    >>> [(p.name, p.version, p.hashes, p.wanted_by) for p in locked(lock)]
    [('click', '8.1.7', (('sha256', 'ab12'),), ('bedplate',)), ('numpy', '2.0.0', (), ('pandas',))]
    """
    found: dict[str, tuple[str, list[tuple[str, str]], list[str]]] = {}
    name = ""
    for line in text.splitlines():
        pin = _PIN.match(line)
        if pin:
            name = normal(pin[1]) if _for_image(pin[3]) else ""
            found |= {name: (pin[2], [], [])} if name else {}
        if not name:
            continue
        found[name][1].extend((m[1], m[2]) for m in _HASH.finditer(line))
        via = _VIA.match(line)
        if via and via[1] != "via":
            found[name][2].append(normal(via[1]))
    return tuple(LockedPackage(n, v, tuple(h), tuple(w)) for n, (v, h, w) in sorted(found.items()))


def _for_image(marker: str | None) -> bool:
    from packaging.markers import Marker

    return not (marker and marker.strip()) or Marker(marker.strip()).evaluate(dict(IMAGE))


def cyclonedx(packages: Sequence[LockedPackage], *, image_uri: str, lock_sha256: str) -> bytes:
    """The bill as JSON; the same lock and image give the same bytes, so there is no time in it."""
    image = {
        "type": "container",
        "bom-ref": "image",
        "name": image_uri,
        "properties": [{"name": "bedplate:lock_sha256", "value": lock_sha256}],
    }
    known = {p.name for p in packages}
    needs: dict[str, set[str]] = {p.name: set() for p in packages}
    roots: set[str] = set()
    for p in packages:
        for parent in p.wanted_by:
            needs.get(parent, roots).add(p.purl)
        if not set(p.wanted_by) & known:
            roots.add(p.purl)
    refs = {p.name: p.purl for p in packages}
    bill = {
        "bomFormat": "CycloneDX",
        "specVersion": SPEC_VERSION,
        "serialNumber": uuid.uuid5(uuid.NAMESPACE_URL, f"{image_uri}#{lock_sha256}").urn,
        "version": 1,
        "metadata": {"component": image},
        "components": [_component(p) for p in packages],
        "dependencies": [
            {"ref": "image", "dependsOn": sorted(roots)},
            *({"ref": refs[name], "dependsOn": sorted(on)} for name, on in sorted(needs.items())),
        ],
    }
    return json.dumps(bill, sort_keys=True, indent=1).encode()


def _component(package: LockedPackage) -> dict[str, Any]:
    """A lock names the hash of every file that may be installed; which one the image took, it does not say."""
    found: dict[str, Any] = {
        "type": "library",
        "bom-ref": package.purl,
        "name": package.name,
        "version": package.version,
        "purl": package.purl,
    }
    if len(package.hashes) == 1:
        ((kind, value),) = package.hashes
        found["hashes"] = [{"alg": _ALGORITHMS[kind], "content": value}]
    elif package.hashes:
        found["properties"] = [{"name": f"bedplate:{kind}", "value": value} for kind, value in package.hashes]
    return found


def packages_in(bill: bytes) -> tuple[LockedPackage, ...]:
    """Name and version of everything in a bill. Raises ValueError for what is none."""
    read = json.loads(bill)
    if not isinstance(read, dict) or read.get("bomFormat") != "CycloneDX":
        raise ValueError("it is no CycloneDX document")
    return tuple(LockedPackage(str(c["name"]), str(c["version"])) for c in read.get("components", []))


# --- what is known against them -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Vulnerability:
    """One published vulnerability of one package. `aliases` are its other names (CVE, GHSA)."""

    package: str
    version: str
    id: str
    aliases: tuple[str, ...]
    fixed_in: tuple[str, ...]

    def named(self, allowed: Sequence[str]) -> bool:
        wanted = {a.casefold() for a in allowed}
        return any(name.casefold() in wanted for name in (self.id, *self.aliases))


@dataclass(frozen=True, slots=True)
class Scan:
    """What the index said. `trouble` is why it said nothing; `skipped` are packages that it does not know."""

    checked: int
    findings: tuple[Vulnerability, ...] = ()
    skipped: tuple[str, ...] = ()
    trouble: str | None = None


def scan_of(report: Mapping[str, Any]) -> Scan:
    """pip-audit's JSON report as a `Scan`. Raises KeyError or TypeError for anything else."""
    findings, skipped, checked = [], [], 0
    for d in report["dependencies"]:
        if "skip_reason" in d:
            skipped.append(f"{d['name']}: {d['skip_reason']}")
            continue
        checked += 1
        findings += [
            Vulnerability(
                d["name"], d["version"], v["id"], tuple(v.get("aliases") or ()), tuple(v.get("fix_versions") or ())
            )
            for v in d["vulns"]
        ]
    return Scan(checked, tuple(findings), tuple(skipped))

"""Reads a version's lineage: its code archive, the model.yaml inside it, and its hyperparameters."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from bedplate.domain.ledger import Record
from bedplate.domain.versions.package import CONTRACT_FILE, code_sha256, read_archive
from bedplate.errors import NotFound, PlatformError
from bedplate.ports import Package
from bedplate.settings import ModelSpec
from bedplate.workflows.stack_context import StackContext


@dataclass(frozen=True, slots=True)
class CodeArchive:
    """The archive that a version was trained from. `files` exclude model.yaml; `sha256` is their current hash."""

    uri: str
    files: dict[str, bytes]
    sha256: str
    spec: ModelSpec


def read_code(stack: StackContext, package: Package) -> CodeArchive:
    """Downloads the code archive of a version.

    Raises NotFound when it is not recorded or does not exist, PlatformError when it cannot be read.
    """
    ref = f"{package.metadata.get('model', package.group)}:{package.version}"
    uri = package.metadata.get("code_uri")
    if not uri:
        raise NotFound(f"{ref} has no code archive in its metadata", next_step=f"bedplate models show {ref}")
    try:
        files = read_archive(stack.objects.get(uri))
        spec = ModelSpec.model_validate_json(files.pop(CONTRACT_FILE))
    except NotFound as exc:
        raise NotFound(
            f"The code archive of {ref} does not exist: {exc.message}", next_step=f"bedplate models show {ref}"
        ) from exc
    except (KeyError, ValueError) as exc:
        raise PlatformError(f"The code archive of {ref} at {uri} cannot be read: {exc}") from exc
    return CodeArchive(uri, files, code_sha256(files), spec)


def read_hyperparameters(package: Package, records: Sequence[Record]) -> dict[str, str]:
    """Returns the hyperparameters of a training: from the registry, or from the ledger if they were too long for it.

    Raises NotFound when neither contains them.
    """
    stored = json.loads(package.metadata.get("hyperparameters", "{}"))
    if set(stored) != {"sha256"}:
        return {str(key): str(value) for key, value in stored.items()}
    for record in reversed(records):
        if record.kind == "trained" and record.data.get("package_arn") == package.arn:
            return {str(key): str(value) for key, value in record.data["hyperparameters"].items()}
    model = package.metadata.get("model", package.group)
    raise NotFound(
        f"Neither the registry nor the ledger contains the hyperparameters of {model}:{package.version}",
        next_step=f"bedplate ledger show --model {model} --kind trained",
    )

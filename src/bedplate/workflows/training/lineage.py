"""Reads back what a version was made of: the code archive, the contract inside it, and the hyper-parameters."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from bedplate.domain.ledger import Record
from bedplate.domain.versions.package import CONTRACT_FILE, code_sha256, unarchive
from bedplate.errors import NotFound, PlatformError
from bedplate.ports import Package
from bedplate.settings import ModelSpec
from bedplate.workflows.stack_context import StackContext


@dataclass(frozen=True, slots=True)
class Code:
    """The archive that a version was trained from. `files` are without the contract; `sha256` is their hash now."""

    uri: str
    files: dict[str, bytes]
    sha256: str
    spec: ModelSpec


def code_of(stack: StackContext, package: Package) -> Code:
    """The code archive kept with a version.

    Raises NotFound when the version names none or it is gone, PlatformError when it cannot be read.
    """
    ref = f"{package.metadata.get('model', package.group)}:{package.version}"
    uri = package.metadata.get("code_uri")
    if not uri:
        raise NotFound(f"{ref} names no code archive in its metadata", next_step=f"bedplate models show {ref}")
    try:
        files = unarchive(stack.objects.get(uri))
        spec = ModelSpec.model_validate_json(files.pop(CONTRACT_FILE))
    except NotFound as exc:
        raise NotFound(f"The code of {ref} is gone: {exc.message}", next_step=f"bedplate models show {ref}") from exc
    except (KeyError, ValueError) as exc:
        raise PlatformError(f"The code of {ref} at {uri} cannot be read: {exc}") from exc
    return Code(uri, files, code_sha256(files), spec)


def hyperparameters_of(package: Package, records: Sequence[Record]) -> dict[str, str]:
    """What the script was given: from the registry, or from the ledger where they were too long for it.

    Raises NotFound when neither knows them.
    """
    kept = json.loads(package.metadata.get("hyperparameters", "{}"))
    if set(kept) != {"sha256"}:
        return {str(key): str(value) for key, value in kept.items()}
    for record in reversed(records):
        if record.kind == "trained" and record.data.get("package_arn") == package.arn:
            return {str(key): str(value) for key, value in record.data["hyperparameters"].items()}
    model = package.metadata.get("model", package.group)
    raise NotFound(
        f"Neither registry nor ledger holds the hyper-parameters of {model}:{package.version}",
        next_step=f"bedplate ledger show --model {model} --kind trained",
    )

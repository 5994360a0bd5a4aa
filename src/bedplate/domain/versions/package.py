"""Builds a model package's metadata, its code archive, and the digest that identifies equal trainings."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import tarfile
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from bedplate.domain.ledger import sha256
from bedplate.errors import UsageError
from bedplate.settings import ModelSpec

MAX_METADATA_VALUE = 256
MAX_JOB_NAME = 63
CONTRACT_FILE = "contract.json"
"""The resolved `ModelSpec`, with the stack's overrides, stored in the code archive beside the model's files."""
Dirty = Literal["true", "false", "unknown"]


@dataclass(frozen=True, slots=True)
class CodeSource:
    """The origin of the code. Without git, `commit` is `none` and `dirty` is `unknown`."""

    code_sha256: str
    lock_sha256: str
    commit: str
    dirty: Dirty


@dataclass(frozen=True, slots=True)
class Lineage:
    """All inputs of a training; two equal lineages have the same `training_digest`."""

    model: str
    data_sha256: str
    data_uri: str
    holdout_uri: str
    data_rows: int
    data_from: str
    data_to: str
    source: CodeSource
    hyperparameters: Mapping[str, str]
    seed: int
    instance_type: str
    instance_count: int
    image_uri: str
    spec_sha256: str
    dataset_sha256: str = ""
    """The registered data version that both parts were split from."""


def training_digest(lineage: Lineage) -> str:
    """Returns 12 hex digits of everything that determines the result: data, code, contract, lock file, hyperparameters,
    image, instance.

    Commit and dirty flag are left out, because they do not change what is computed.
    """
    inputs = asdict(lineage)
    source = inputs.pop("source")
    for key in ("data_uri", "holdout_uri", "dataset_sha256"):
        inputs.pop(key)
    values = {**inputs, "code": source["code_sha256"], "lock": source["lock_sha256"]}
    return sha256(json.dumps(values, sort_keys=True).encode())[:12]


def job_name(base: str, digest: str, attempt: int) -> str:
    """Returns a job's name: equal work has an equal name, and each retry of a failed job has the next attempt number.

    >>> job_name("bedplate-local-churn", "0a1b2c3d4e5f", 1)
    'bedplate-local-churn-0a1b2c3d4e5f-1'
    >>> len(job_name("x" * 80, "0a1b2c3d4e5f", 12))
    63
    """
    tail = f"-{digest}-{attempt}"
    return base[: MAX_JOB_NAME - len(tail)].rstrip("-") + tail


def build_metadata(
    lineage: Lineage, *, training_job: str, trained_by: str, trained_at: str, code_uri: str
) -> dict[str, str]:
    """Returns CustomerMetadataProperties of a new model package (docs/contracts.md).

    Hyperparameters longer than 256 characters are replaced by their hash; the ledger stores them in full.
    """
    values = {
        "model": lineage.model,
        "trained_by": trained_by,
        "trained_at": trained_at,
        "training_job": training_job,
        "dataset_sha256": lineage.dataset_sha256,
        "data_sha256": lineage.data_sha256,
        "data_uri": lineage.data_uri,
        "holdout_uri": lineage.holdout_uri,
        "data_rows": str(lineage.data_rows),
        "data_from": lineage.data_from,
        "data_to": lineage.data_to,
        "code_commit": lineage.source.commit,
        "code_dirty": lineage.source.dirty,
        "code_sha256": lineage.source.code_sha256,
        "code_uri": code_uri,
        "lock_sha256": lineage.source.lock_sha256,
        "seed": str(lineage.seed),
        "instance_type": lineage.instance_type,
        "image_uri": lineage.image_uri,
        "hyperparameters": _format_hyperparameters(lineage.hyperparameters),
    }
    return {key: value[:MAX_METADATA_VALUE] for key, value in values.items()}


def build_contract_metadata(spec: ModelSpec, notes: str) -> dict[str, str]:
    """Returns the metadata that a package takes from its contract; the whole contract is in the code archive and beside
    the evaluation.

    Release notes are cut to 256 characters; the ledger stores them in full.
    """
    values = {"owner": spec.owner, "risk": spec.risk, "notes": notes}
    return {key: value[:MAX_METADATA_VALUE] for key, value in values.items() if value}


def resolve_hyperparameters(
    declared: Mapping[str, str | int | float | bool], overrides: Mapping[str, str], seed: int
) -> dict[str, str]:
    """Returns the hyperparameters as text: model.yaml's values, overridden by `--set`, and the seed.

    Raises UsageError for a `--set` that model.yaml does not declare, or whose text does not have the declared type.

    >>> resolve_hyperparameters({"max_iter": 100, "early": True}, {"max_iter": "50"}, 7)
    {'max_iter': '50', 'early': 'true', 'seed': '7'}
    """
    unknown = sorted(set(overrides) - set(declared) - {"seed"})
    if unknown:
        names = ", ".join(declared) or "none"
        raise UsageError(
            f"--set {unknown[0]}=...: training.hyperparameters declares no {unknown[0]!r} (it declares: {names})"
        )
    for key, text in overrides.items():
        _require_same_type(key, text, declared.get(key, seed))
    texts = {key: json.dumps(value) if isinstance(value, bool) else str(value) for key, value in declared.items()}
    return {**texts, **overrides, "seed": overrides.get("seed", str(seed))}


def _require_same_type(key: str, text: str, declared: str | int | float | bool) -> None:
    """Accepts any number for a number, because only the script knows whether it needs a whole one."""
    if isinstance(declared, bool):
        expected, is_valid = "true or false", text in ("true", "false")
    elif isinstance(declared, int | float):
        expected, is_valid = "a number", re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", text) is not None
    else:
        return
    if not is_valid:
        raise UsageError(f"--set {key}={text}: expected {expected}, as in training.hyperparameters ({declared})")


def code_sha256(files: Mapping[str, bytes]) -> str:
    """Returns a hash of file names and contents that does not depend on their order or the file system.

    >>> code_sha256({"a": b"1", "b": b"2"}) == code_sha256({"b": b"2", "a": b"1"})
    True
    """
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(f"{name}\0{sha256(files[name])}\n".encode())
    return digest.hexdigest()


def build_archive(files: Mapping[str, bytes]) -> bytes:
    """Returns `sourcedir.tar.gz`; it has no timestamps and no owners, so the same files give the same bytes."""
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0) as zipped, tarfile.open(fileobj=zipped, mode="w") as tar:
        for name in sorted(files):
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(files[name]), 0o644
            tar.addfile(info, io.BytesIO(files[name]))
    return buffer.getvalue()


def read_archive(content: bytes) -> dict[str, bytes]:
    """Returns the files of a `build_archive` archive by name.

    Raises ValueError for content that is not such an archive.

    >>> read_archive(build_archive({"train.py": b"pass", "lib/a.py": b""})) == {"train.py": b"pass", "lib/a.py": b""}
    True
    """
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as tar:
            return {m.name: file.read() for m in tar if m.isfile() and (file := tar.extractfile(m)) is not None}
    except (tarfile.TarError, OSError, EOFError, zlib.error) as exc:
        raise ValueError(f"the code archive cannot be unpacked: {exc}") from exc


def _format_hyperparameters(values: Mapping[str, Any]) -> str:
    text = json.dumps(values, sort_keys=True)
    return text if len(text) <= MAX_METADATA_VALUE else json.dumps({"sha256": sha256(text.encode())})

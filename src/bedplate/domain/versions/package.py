"""What a model package says about where it comes from, and what makes two trainings the same one."""

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

MAX_VALUE = 256
MAX_JOB_NAME = 63
CONTRACT_FILE = "contract.json"
"""The resolved `ModelSpec`, with the stack's overrides, packed beside the folder's own files."""
Dirty = Literal["true", "false", "unknown"]


@dataclass(frozen=True, slots=True)
class Source:
    """Where the code comes from. Without git the commit is `none` and whether it is dirty is `unknown`."""

    code_sha256: str
    lock_sha256: str
    commit: str
    dirty: Dirty


@dataclass(frozen=True, slots=True)
class Lineage:
    """Everything a training was made of; `same_training` of two equal ones is equal."""

    model: str
    data_sha256: str
    data_uri: str
    holdout_uri: str
    data_rows: int
    data_from: str
    data_to: str
    source: Source
    hyperparameters: Mapping[str, str]
    seed: int
    instance_type: str
    instance_count: int
    image_uri: str
    spec_sha256: str
    dataset_sha256: str = ""
    """Registered version of the data that both parts were cut from."""


def same_training(lineage: Lineage) -> str:
    """12 hex digits of all that decides the result: data, code, contract, lock, hyper-parameters, image, instance.

    Commit and dirty flag are left out: they say who is to be asked, not what was computed.
    """
    deciding = asdict(lineage)
    source = deciding.pop("source")
    for place in ("data_uri", "holdout_uri", "dataset_sha256"):
        deciding.pop(place)
    decided = {**deciding, "code": source["code_sha256"], "lock": source["lock_sha256"]}
    return sha256(json.dumps(decided, sort_keys=True).encode())[:12]


def job_name(base: str, digest: str, attempt: int) -> str:
    """Name of a job: the same work finds the same job again; a failed one is followed by the next attempt.

    >>> job_name("bedplate-local-churn", "0a1b2c3d4e5f", 1)
    'bedplate-local-churn-0a1b2c3d4e5f-1'
    >>> len(job_name("x" * 80, "0a1b2c3d4e5f", 12))
    63
    """
    tail = f"-{digest}-{attempt}"
    return base[: MAX_JOB_NAME - len(tail)].rstrip("-") + tail


def metadata(lineage: Lineage, *, training_job: str, trained_by: str, trained_at: str, code_uri: str) -> dict[str, str]:
    """CustomerMetadataProperties of a fresh model package, by docs/contracts.md.

    Hyper-parameters that do not fit into 256 characters are replaced by their hash; the ledger keeps them whole.
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
        "hyperparameters": _fitting(lineage.hyperparameters),
    }
    return {key: value[:MAX_VALUE] for key, value in values.items()}


def carried(spec: ModelSpec, notes: str) -> dict[str, str]:
    """What a package says of its contract; the whole of it is in the code archive, and beside the evaluation.

    Release notes that are longer than 256 characters are whole in the ledger only.
    """
    told = {"owner": spec.owner, "risk": spec.risk, "notes": notes}
    return {key: value[:MAX_VALUE] for key, value in told.items() if value}


def hyperparameters(
    declared: Mapping[str, str | int | float | bool], overrides: Mapping[str, str], seed: int
) -> dict[str, str]:
    """What the script is given: model.yaml's values, `--set` over them, and the seed, all as text.

    >>> hyperparameters({"max_iter": 100, "early": True}, {"max_iter": "50"}, 7)
    {'max_iter': '50', 'early': 'true', 'seed': '7'}

    Raises UsageError for a `--set` of something that model.yaml does not declare, or of a text where it has a number.
    """
    unknown = sorted(set(overrides) - set(declared) - {"seed"})
    if unknown:
        known = ", ".join(declared) or "none"
        raise UsageError(
            f"--set {unknown[0]}=...: training.hyperparameters declares no {unknown[0]!r} (it declares: {known})"
        )
    for key, given in overrides.items():
        _must_be_alike(key, given, declared.get(key, seed))
    text = {key: json.dumps(value) if isinstance(value, bool) else str(value) for key, value in declared.items()}
    return {**text, **overrides, "seed": overrides.get("seed", str(seed))}


def _must_be_alike(key: str, given: str, declared: str | int | float | bool) -> None:
    """A number may be whole or not: only the script knows which it wants."""
    if isinstance(declared, bool):
        wanted, fits = "true or false", given in ("true", "false")
    elif isinstance(declared, int | float):
        wanted, fits = "a number", re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", given) is not None
    else:
        return
    if not fits:
        raise UsageError(f"--set {key}={given}: {wanted} expected, as in training.hyperparameters ({declared})")


def code_sha256(files: Mapping[str, bytes]) -> str:
    """One hash over names and contents, whatever the order and the file system.

    >>> code_sha256({"a": b"1", "b": b"2"}) == code_sha256({"b": b"2", "a": b"1"})
    True
    """
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(f"{name}\0{sha256(files[name])}\n".encode())
    return digest.hexdigest()


def archive(files: Mapping[str, bytes]) -> bytes:
    """`sourcedir.tar.gz`: the same files give the same bytes, with no time and no owner in them."""
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0) as packed, tarfile.open(fileobj=packed, mode="w") as tar:
        for name in sorted(files):
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(files[name]), 0o644
            tar.addfile(info, io.BytesIO(files[name]))
    return buffer.getvalue()


def unarchive(body: bytes) -> dict[str, bytes]:
    """Files of an `archive` by name.

    >>> unarchive(archive({"train.py": b"pass", "lib/a.py": b""})) == {"train.py": b"pass", "lib/a.py": b""}
    True

    Raises ValueError for bytes that are no such archive.
    """
    try:
        with tarfile.open(fileobj=io.BytesIO(body), mode="r:gz") as tar:
            return {m.name: held.read() for m in tar if m.isfile() and (held := tar.extractfile(m)) is not None}
    except (tarfile.TarError, OSError, EOFError, zlib.error) as exc:
        raise ValueError(f"the code archive cannot be unpacked: {exc}") from exc


def _fitting(values: Mapping[str, Any]) -> str:
    text = json.dumps(values, sort_keys=True)
    return text if len(text) <= MAX_VALUE else json.dumps({"sha256": sha256(text.encode())})

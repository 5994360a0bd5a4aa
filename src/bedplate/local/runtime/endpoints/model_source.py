"""Finds what a variant serves, the image, environment and artifact of its model, and caches unpacked artifacts."""

from __future__ import annotations

import hashlib
import shutil
import threading
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bedplate.local.hooks import Record, Services
from bedplate.local.runtime import archives, transfer


class ModelSourceError(Exception):
    """The endpoint cannot start; the message becomes its FailureReason."""


@dataclass(frozen=True, slots=True)
class ModelSource:
    """What a variant serves. `artifact` is an S3 URI, None for a model without one; `is_archive` tells a tar from a
    prefix. Equal `digest`s mean equal content."""

    model: str
    image: str
    environment: tuple[tuple[str, str], ...]
    artifact: str | None
    artifact_digest: str
    is_archive: bool = True

    @property
    def digest(self) -> str:
        text = repr((self.image, self.environment, self.artifact_digest))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def find_model_source(services: Services, model_name: str) -> ModelSource:
    """Returns what a model serves. Raises ModelSourceError when model, package or artifact does not exist."""
    model = services.record("model", model_name)
    if model is None:
        raise ModelSourceError(f'Could not find model "{model_name}".')
    container = _find_container(services, model)
    address, packed = _artifact_location(container)
    return ModelSource(
        model=model_name,
        image=container.get("Image") or "",
        environment=tuple(sorted((container.get("Environment") or {}).items())),
        artifact=address,
        artifact_digest=_artifact_digest(services, address, packed) if address else "none",
        is_archive=packed,
    )


class ModelCache:
    """Keeps each unpacked artifact on disk once, as long as a process serves it."""

    def __init__(self, services: Services, folder: Path) -> None:
        self._services = services
        self._folder = folder
        self._lock = threading.Lock()
        self._users: Counter[str] = Counter()

    def acquire(self, source: ModelSource) -> Path:
        """Returns a container root with the artifact in `model/`. Raises ModelSourceError for an invalid archive."""
        root = self._folder / source.artifact_digest
        with self._lock:
            if not root.is_dir():
                self._unpack_model(source, root)
            self._users[source.artifact_digest] += 1
        return root

    def release(self, source: ModelSource) -> None:
        with self._lock:
            self._users[source.artifact_digest] -= 1
            if self._users[source.artifact_digest] <= 0:
                del self._users[source.artifact_digest]
                shutil.rmtree(self._folder / source.artifact_digest, ignore_errors=True)

    def _unpack_model(self, source: ModelSource, root: Path) -> None:
        """Unpacks under a temporary name first, so that an existing root is always complete."""
        draft = root.with_name(root.name + ".draft")
        shutil.rmtree(draft, ignore_errors=True)
        (draft / "model").mkdir(parents=True)
        try:
            if source.artifact and source.is_archive:
                bucket, key = transfer.split_uri(source.artifact)
                archives.unpack(self._services.object_path(bucket, key), draft / "model")
            elif source.artifact:
                transfer.download(self._services, source.artifact, draft / "model")
        except (ValueError, KeyError, transfer.DataSourceError) as exc:
            shutil.rmtree(draft, ignore_errors=True)
            raise ModelSourceError(f"Failed to load model data from {source.artifact}: {exc.args[0]}") from exc
        draft.rename(root)


def _find_container(services: Services, model: Record) -> dict[str, Any]:
    containers = [model["PrimaryContainer"]] if model.get("PrimaryContainer") else model.get("Containers") or []
    if len(containers) != 1:
        raise ModelSourceError(
            f'Model "{model["ModelName"]}" has {len(containers)} containers; the local platform serves exactly one.'
        )
    container = dict(containers[0])
    arn = container.get("ModelPackageName")
    if not arn:
        return container
    package = services.record("model-package", arn)
    if package is None:
        raise ModelSourceError(f"ModelPackage {arn} does not exist.")
    package_container = dict(package["InferenceSpecification"]["Containers"][0])
    merged = {**(package_container.get("Environment") or {}), **(container.get("Environment") or {})}
    return {**package_container, **{k: v for k, v in container.items() if v}, "Environment": merged}


def _artifact_location(container: dict[str, Any]) -> tuple[str | None, bool]:
    """Returns the artifact's S3 URI and whether it is an archive."""
    if container.get("ModelDataUrl"):
        return container["ModelDataUrl"], True
    source = (container.get("ModelDataSource") or {}).get("S3DataSource")
    if not source:
        return None, True
    return source["S3Uri"], source.get("CompressionType", "Gzip") == "Gzip"


def _artifact_digest(services: Services, address: str, packed: bool) -> str:
    try:
        bucket, key = transfer.split_uri(address)
        names = [key] if packed else services.list_objects(bucket, key)
        total = hashlib.sha256()
        for name in names:
            with services.object_path(bucket, name).open("rb") as content:
                total.update(name.encode() + hashlib.file_digest(content, "sha256").digest())
    except (KeyError, transfer.DataSourceError) as exc:
        raise ModelSourceError(f"Could not find model data at {address}: {exc.args[0]}.") from exc
    return total.hexdigest()[:16]

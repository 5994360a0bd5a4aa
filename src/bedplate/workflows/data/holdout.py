"""Downloads a version's holdout and caches it; its URI contains the hash of its data, so a copy never expires."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from bedplate.errors import NotFound
from bedplate.workflows.stack_context import StackContext


def download_holdout(stack: StackContext, model: str, version: int | None) -> Path:
    """Returns a local copy of a version's holdout; without a version, of the newest that has one. Raises NotFound."""
    group = stack.names(model).package_group
    if version is None:
        versions = stack.registry.list_versions(group)
        if not versions:
            raise NotFound(f"{model} has no version yet", next_step=f"bedplate train {model} --data DATA.parquet")
        package = next((p for p in versions if p.metadata.get("holdout_uri")), versions[0])
    else:
        package = stack.registry.get(group, version)
    uri = package.metadata.get("holdout_uri")
    if not uri:
        raise NotFound(f"v{package.version} of {model} has no holdout", next_step=f"bedplate models show {model}")
    base = Path(os.environ.get("BEDPLATE_STATE_DIR") or stack.project_dir / ".bedplate")
    path = base / "cache" / f"{hashlib.sha256(uri.encode()).hexdigest()[:16]}.parquet"
    if not path.exists():
        stack.objects.download(uri, path)
    return path

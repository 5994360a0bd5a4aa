"""Builds a release's name, the environment of its container, and the content hash by which releases are compared."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from bedplate.domain.names import ModelNames, parse_release_version
from bedplate.settings import Serving

CONTENT_HASH = "BEDPLATE_CONTENT"
"""Variable with the hash of what a release serves; releases with equal hashes return equal predictions."""
PREDICTION_EDGES = "BEDPLATE_PREDICTION_EDGES"
"""Variable with the bin edges by which a release counts its predictions; see `domain.guard.encode_edges`."""


def hash_content(
    *, package_arn: str, image_uri: str, artifact_uri: str | None, environment: Mapping[str, str], serving: Serving
) -> str:
    """Returns 16 hex digits that identify what is served: package, image, artifact, environment and serving settings.

    Scaling limits are not included, because `up` changes them without a new release.

    >>> h = lambda n: hash_content(
    ...     package_arn="arn", image_uri="i", artifact_uri="s3://b/k", environment={},
    ...     serving=Serving(instance_count=n, max_instances=9))
    >>> h(2) == h(2), h(2) == h(3), len(h(2))
    (True, False, 16)
    """
    content = {
        "package": package_arn,
        "image": image_uri,
        "artifact": artifact_uri,
        "environment": dict(environment),
        "serving": {
            "entry_point": serving.entry_point,
            "instance_type": serving.instance_type,
            "instance_count": serving.instance_count,
            "capture_pct": serving.capture_pct,
            **_mode_settings(serving),
        },
    }
    return _sha256(content)[:16]


def _mode_settings(serving: Serving) -> dict[str, Any]:
    """Returns the settings of a serverless or asynchronous endpoint; empty for one on instances."""
    if serving.mode == "serverless":
        return {"serverless": serving.serverless.model_dump()}
    return {"asynchronous": serving.asynchronous.model_dump()} if serving.mode == "async" else {}


def build_environment(
    names: ModelNames,
    version: int,
    *,
    package_environment: Mapping[str, str],
    content_hash: str,
    prediction_edges: str | None,
) -> tuple[str, dict[str, str]]:
    """Returns the name of a release and the environment of its container.

    `prediction_edges` is the result of `domain.guard.encode_edges`; None when there are no bins to count by. The digest
    in the name covers the whole environment except the name itself.

    >>> names = ModelNames("bedplate", "local", "churn")
    >>> name, env = build_environment(names, 3, package_environment={}, content_hash="c0ffee", prediction_edges=None)
    >>> name == env["BEDPLATE_RELEASE"], env["BEDPLATE_VERSION"], PREDICTION_EDGES in env
    (True, '3', False)
    """
    environment = {
        **package_environment,
        "BEDPLATE_VERSION": str(version),
        "BEDPLATE_MODEL": names.model,
        "BEDPLATE_ENDPOINT": names.endpoint,
        CONTENT_HASH: content_hash,
    }
    if prediction_edges is not None:
        environment[PREDICTION_EDGES] = prediction_edges
    name = names.release(version, _sha256(environment))
    return name, {**environment, "BEDPLATE_RELEASE": name}


def fallback_name(endpoint: str) -> str:
    """Returns the name that release 0 reports; Pulumi chooses the name of its EndpointConfig.

    >>> fallback_name("bedplate-local-churn")
    'bedplate-local-churn-v0'
    """
    return f"{endpoint}-v0"


def version_of(release: str) -> int | None:
    """Returns the version in a release's name, 0 for the fallback; None when it is not one of Bedplate's releases.

    >>> version_of("bedplate-local-churn-v0"), version_of("bedplate-local-churn-v3-0a1b2c3d"), version_of("x")
    (0, 3, None)
    """
    return 0 if release.endswith("-v0") else parse_release_version(release)


def display_name(release: str) -> str:
    """Returns a release's name for people.

    >>> display_name("bedplate-local-churn-v3-0a1b2c3d"), display_name("bedplate-local-churn-v0"), display_name("other")
    ('v3', 'v0 (the fallback)', 'other')
    """
    version = version_of(release)
    if version is None:
        return release
    return f"v{version}" if version else "v0 (the fallback)"


def _sha256(value: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()

"""What makes two releases the same one: the environment of a release's container and the hash that names it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from bedplate.domain.names import ModelNames, version_of_release
from bedplate.settings import Serving

CONTENT = "BEDPLATE_CONTENT"
"""Hash of what a release serves, without the rollout's own settings; two releases with the same one answer alike."""
ANSWER_EDGES = "BEDPLATE_ANSWER_EDGES"
"""Bins in which a release counts its answers; see `domain.guard.encode`."""


def content_hash(
    *, package_arn: str, image_uri: str, artifact_uri: str | None, environment: Mapping[str, str], serving: Serving
) -> str:
    """16 hex digits of what is served: package, image, artifact, environment and serving settings.

    Scaling is the platform's and no part of it: `up` changes it without a release.

    >>> h = lambda n: content_hash(
    ...     package_arn="arn", image_uri="i", artifact_uri="s3://b/k", environment={},
    ...     serving=Serving(instance_count=n, max_instances=9))
    >>> h(2) == h(2), h(2) == h(3), len(h(2))
    (True, False, 16)
    """
    served = {
        "package": package_arn,
        "image": image_uri,
        "artifact": artifact_uri,
        "environment": dict(environment),
        "serving": {
            "entry_point": serving.entry_point,
            "instance_type": serving.instance_type,
            "instance_count": serving.instance_count,
            "capture_pct": serving.capture_pct,
            **_mode(serving),
        },
    }
    return _sha(served)[:16]


def _mode(serving: Serving) -> dict[str, Any]:
    """What sets a serverless or asynchronous release apart; nothing for instances, whose releases keep their names."""
    if serving.mode == "serverless":
        return {"serverless": serving.serverless.model_dump()}
    return {"asynchronous": serving.asynchronous.model_dump()} if serving.mode == "async" else {}


def release_environment(
    names: ModelNames,
    version: int,
    *,
    package_environment: Mapping[str, str],
    content: str,
    answer_edges: str | None,
) -> tuple[str, dict[str, str]]:
    """Name of a release and the environment of its container.

    `answer_edges` is what `domain.guard.encode` made, None where there is nothing to count by. The name's digest covers
    everything in the environment but the name itself.

    >>> names = ModelNames("bedplate", "local", "churn")
    >>> name, env = release_environment(names, 3, package_environment={}, content="c0ffee", answer_edges=None)
    >>> name == env["BEDPLATE_RELEASE"], env["BEDPLATE_VERSION"], ANSWER_EDGES in env
    (True, '3', False)
    """
    environment = {
        **package_environment,
        "BEDPLATE_VERSION": str(version),
        "BEDPLATE_MODEL": names.model,
        "BEDPLATE_ENDPOINT": names.endpoint,
        CONTENT: content,
    }
    if answer_edges is not None:
        environment[ANSWER_EDGES] = answer_edges
    name = names.release(version, _sha(environment))
    return name, {**environment, "BEDPLATE_RELEASE": name}


def fallback_release(endpoint: str) -> str:
    """What release 0 calls itself; its EndpointConfig's name is Pulumi's.

    >>> fallback_release("bedplate-local-churn")
    'bedplate-local-churn-v0'
    """
    return f"{endpoint}-v0"


def version_told(release: str) -> int | None:
    """Version in what a release calls itself, 0 for the fallback; None when it is no release of ours.

    >>> version_told("bedplate-local-churn-v0"), version_told("bedplate-local-churn-v3-0a1b2c3d"), version_told("x")
    (0, 3, None)
    """
    return 0 if release.endswith("-v0") else version_of_release(release)


def spoken(release: str) -> str:
    """How people call a release.

    >>> spoken("bedplate-local-churn-v3-0a1b2c3d"), spoken("bedplate-local-churn-v0"), spoken("other")
    ('v3', 'v0 (the fallback)', 'other')
    """
    version = version_told(release)
    if version is None:
        return release
    return f"v{version}" if version else "v0 (the fallback)"


def _sha(value: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()

"""Pins an image to its digest in ECR, so that a version runs what it was approved with, whatever a tag says later."""

from __future__ import annotations

from typing import Any

from bedplate.aws.errors import code_of, translated
from bedplate.aws.session import Session


def pinned(session: Session, image_uri: str) -> str | None:
    """`<repository>@sha256:...` of a tagged image; as it is when it is pinned already or not ECR's.

    None on the local platform, where no image is pushed. Raises PlatformError for a tag that does not exist on AWS.
    """
    from botocore.exceptions import ClientError

    registry, _, rest = image_uri.partition("/")
    if "@" in image_uri or ".dkr.ecr." not in registry:
        return image_uri
    repository, _, tag = rest.partition(":")
    client: Any = session.client("ecr")
    with translated(f"Cannot read the digest of {image_uri}", next_step="bedplate stack image, and push that"):
        try:
            found = client.describe_images(
                registryId=registry.split(".")[0], repositoryName=repository, imageIds=[{"imageTag": tag or "latest"}]
            )
        except ClientError as exc:
            if session.endpoint_url and code_of(exc) == "ImageNotFoundException":
                return None
            raise
    return f"{registry}/{repository}@{found['imageDetails'][0]['imageDigest']}"

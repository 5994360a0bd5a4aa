"""Pins an image to its digest in ECR, so that a version keeps the approved image when a tag moves."""

from __future__ import annotations

from typing import Any

from bedplate.aws.errors import error_code, map_client_errors
from bedplate.aws.session import Session


def pin_image(session: Session, image_uri: str) -> str | None:
    """Returns `<repository>@sha256:...` for a tagged image in ECR; other images, and pinned ones, unchanged.

    Returns None on the local platform, where no image is pushed. Raises PlatformError for a tag that does not exist on
    AWS.
    """
    from botocore.exceptions import ClientError

    registry, _, path = image_uri.partition("/")
    if "@" in image_uri or ".dkr.ecr." not in registry:
        return image_uri
    repository, _, tag = path.partition(":")
    client: Any = session.client("ecr")
    with map_client_errors(f"Cannot read the digest of {image_uri}", next_step="bedplate stack image, and push it"):
        try:
            response = client.describe_images(
                registryId=registry.split(".")[0], repositoryName=repository, imageIds=[{"imageTag": tag or "latest"}]
            )
        except ClientError as exc:
            if session.endpoint_url and error_code(exc) == "ImageNotFoundException":
                return None
            raise
    return f"{registry}/{repository}@{response['imageDetails'][0]['imageDigest']}"

"""Maps botocore's client errors to Bedplate's error tree."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from bedplate.errors import BedplateError, Conflict, Denied, NotFound, PlatformError

_MISSING = {
    "404",
    "NoSuchBucket",
    "NoSuchKey",
    "NotFound",
    "NotFoundException",
    "ParameterNotFound",
    "RepositoryNotFoundException",
    "ResourceNotFound",
    "ResourceNotFoundException",
}
_CONFLICT = {
    "409",
    "412",
    "AlreadyExistsException",
    "ConditionalRequestConflict",
    "ConflictException",
    "PreconditionFailed",
    "ResourceInUse",
    "ResourceInUseException",
}
_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired"}
_DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError", "403"}
_SAGEMAKER_MISSING = ("could not find", "does not exist", "not found", "cannot find")
"""SageMaker has no error code for a missing resource: it raises a ValidationException with such a message."""


@contextmanager
def map_client_errors(error_prefix: str, *, next_step: str | None = None) -> Iterator[None]:
    """Maps what the block raises to a BedplateError whose message starts with `error_prefix`.

    Raises NotFound, Conflict or PlatformError. `next_step` is the command to type after NotFound and Conflict.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as exc:
        raise _map_client_error(exc, error_prefix, next_step) from exc
    except BotoCoreError as exc:
        raise _map_connection_error(exc, error_prefix) from exc


def error_code(exc: Any) -> str:
    """Returns the error code of a ClientError, e.g. `NoSuchKey`."""
    return str(exc.response.get("Error", {}).get("Code", ""))


def is_missing(exc: Any) -> bool:
    """Returns whether a ClientError says that the resource does not exist."""
    code = error_code(exc)
    if code in ("ValidationException", "ValidationError"):
        return any(words in _message_of(exc).lower() for words in _SAGEMAKER_MISSING)
    return code in _MISSING


def is_conflict(exc: Any) -> bool:
    """Returns whether a ClientError says that the resource already exists, or changed in the meantime."""
    code = error_code(exc)
    return code in _CONFLICT or (code == "ValidationException" and "already exist" in _message_of(exc).lower())


def _message_of(exc: Any) -> str:
    return str(exc.response.get("Error", {}).get("Message", ""))


def _map_client_error(exc: Any, error_prefix: str, next_step: str | None) -> BedplateError:
    code = error_code(exc)
    detail = f"{error_prefix}: {_message_of(exc) or exc} ({code})"
    if is_missing(exc):
        return NotFound(detail, next_step=next_step)
    if is_conflict(exc):
        return Conflict(detail, next_step=next_step)
    if code in _EXPIRED:
        return PlatformError(f"{error_prefix}: your AWS credentials have expired", next_step="aws sso login")
    if code in _DENIED:
        return Denied(f"{detail}. Your identity lacks this permission.", next_step="aws sts get-caller-identity")
    return PlatformError(detail, next_step=next_step)


def _map_connection_error(exc: Any, error_prefix: str) -> BedplateError:
    from botocore import exceptions as boto

    if isinstance(exc, boto.NoCredentialsError | boto.PartialCredentialsError):
        return PlatformError(f"{error_prefix}: there are no AWS credentials", next_step="aws configure sso")
    if isinstance(exc, boto.UnauthorizedSSOTokenError | boto.SSOTokenLoadError | boto.TokenRetrievalError):
        return PlatformError(f"{error_prefix}: your AWS sign-in has ended", next_step="aws sso login")
    if isinstance(exc, boto.ProfileNotFound):
        return PlatformError(f"{error_prefix}: {exc}", next_step="aws configure list-profiles")
    url = str(getattr(exc, "kwargs", {}).get("endpoint_url") or "")
    if isinstance(exc, boto.HTTPClientError | boto.ConnectionError):
        if urlsplit(url).hostname in ("127.0.0.1", "localhost", "::1"):
            address = f"{urlsplit(url).scheme}://{urlsplit(url).netloc}"
            return PlatformError(
                f"{error_prefix}: the local platform does not respond at {address}", next_step="bedplate local start"
            )
        return PlatformError(f"{error_prefix}: AWS cannot be reached: {exc}", next_step="aws sts get-caller-identity")
    return PlatformError(f"{error_prefix}: {exc}")

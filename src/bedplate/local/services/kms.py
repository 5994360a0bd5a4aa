"""Patches moto's KMS: a key created without a usage gets AWS's default, ENCRYPT_DECRYPT."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import moto.kms.urls
from moto.kms.models import KmsBackend

from bedplate.local.services.installation import patch_service

if TYPE_CHECKING:
    from bedplate.local.local_platform import LocalPlatform


class Backend(KmsBackend):  # type: ignore[misc]
    _url_module = moto.kms.urls

    def create_key(self, policy: str | None, key_usage: str | None, *args: Any, **kwargs: Any) -> Any:
        return super().create_key(policy, key_usage or "ENCRYPT_DECRYPT", *args, **kwargs)


def install(_platform: LocalPlatform) -> None:
    patch_service("kms", backend=Backend)

"""Patches moto's SNS: e-mail goes to the outbox, subscriptions share a signing key, and old messages are dropped."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

import moto.sns.models as models
import moto.sns.urls
from moto.sns.models import SNSBackend

from bedplate.local.services.installation import patch_service

if TYPE_CHECKING:
    from bedplate.local.local_platform import LocalPlatform

_HISTORY_SIZE = 200  # messages and their keys; moto keeps all of them in memory


class Backend(SNSBackend):  # type: ignore[misc]
    _url_module = moto.sns.urls


class Topic(models.Topic):  # type: ignore[misc]
    def publish(self, *args: Any, **kwargs: Any) -> str:
        message_id = str(super().publish(*args, **kwargs))
        del self.sent_notifications[:-_HISTORY_SIZE]
        keys = self.sns_backend._message_public_keys
        for name in list(keys)[:-_HISTORY_SIZE]:
            del keys[name]
        return message_id


class SnsSubscription(models.Subscription):  # type: ignore[misc]
    platform: ClassVar[LocalPlatform]

    def publish(self, message: str, message_id: str, subject: str | None = None, **kwargs: Any) -> None:
        if self.protocol not in ("email", "email-json"):
            super().publish(message, message_id, subject=subject, **kwargs)
            return
        matcher = self._filter_policy_matcher
        if matcher is None or matcher.matches(kwargs.get("message_attributes"), message):
            # AWS's subject of an e-mail when the message has none.
            email_subject = subject or "AWS Notification Message"
            self.platform.outbox.send(self.endpoint, email_subject, message, self.platform.now())

    def private_key(self) -> Any:
        return _signing_key()


@lru_cache(maxsize=1)
def _signing_key() -> Any:
    """Returns one key for all subscriptions of this process: generating a key takes a tenth of a second."""
    from cryptography.hazmat.primitives.asymmetric import rsa

    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def install(platform: LocalPlatform) -> None:
    SnsSubscription.platform = platform
    models.Topic, models.Subscription = Topic, SnsSubscription
    patch_service("sns", backend=Backend)

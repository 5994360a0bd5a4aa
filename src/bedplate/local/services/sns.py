"""SNS: e-mail subscriptions that end in the outbox, one signing key, and no memory of every message ever sent."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

import moto.sns.models as models
import moto.sns.urls
from moto.sns.models import SNSBackend

from bedplate.local.services.installation import lay

if TYPE_CHECKING:
    from bedplate.local.local_platform import LocalPlatform

_REMEMBERED = 200


class Backend(SNSBackend):  # type: ignore[misc]
    _url_module = moto.sns.urls


class Topic(models.Topic):  # type: ignore[misc]
    def publish(self, *args: Any, **kwargs: Any) -> str:
        message_id = str(super().publish(*args, **kwargs))
        del self.sent_notifications[:-_REMEMBERED]
        keys = self.sns_backend._message_public_keys
        for name in list(keys)[:-_REMEMBERED]:
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
            title = subject or "AWS Notification Message"
            self.platform.outbox.send(self.endpoint, title, message, self.platform.now())

    def private_key(self) -> Any:
        return _signing_key()


@lru_cache(maxsize=1)
def _signing_key() -> Any:
    """One key for all subscriptions of this process: making one takes a tenth of a second."""
    from cryptography.hazmat.primitives.asymmetric import rsa

    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def install(platform: LocalPlatform) -> None:
    SnsSubscription.platform = platform
    models.Topic, models.Subscription = Topic, SnsSubscription
    lay("sns", backend=Backend)

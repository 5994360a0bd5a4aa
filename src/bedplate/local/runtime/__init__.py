"""The runtime of the local platform: training, processing, serving and monitoring that really happen."""

from __future__ import annotations

from bedplate.local.runtime.attach import attach

__all__ = ["attach"]

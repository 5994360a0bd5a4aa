"""The runtime of the local platform: runs training, processing, serving and monitoring as local processes."""

from __future__ import annotations

from bedplate.local.runtime.runtime import attach

__all__ = ["attach"]

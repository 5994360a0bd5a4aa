"""The progress channel of workflows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Reporter = Callable[[str, Mapping[str, Any]], None]
"""Called with an event's name (`step`, `log`, `status`, `progress`) and its fields."""

"""EventBridge: SNS topics as targets, disabled rules that stay silent, and targets that never make PutEvents fail."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar

import moto.events.models as models
import moto.events.urls
from moto.events.models import EventsBackend
from moto.events.utils import EventTemplateParser

from bedplate.local.mends.laying import lay

if TYPE_CHECKING:
    from bedplate.local.platform import Platform


class Backend(EventsBackend):  # type: ignore[misc]
    _url_module = moto.events.urls


class Rule(models.Rule):  # type: ignore[misc]
    platform: ClassVar[Platform]
    targets: list[dict[str, Any]]

    def send_to_targets(self, original_event: Any, transform_input: bool = True) -> None:
        """moto's targets (queues, log groups, buses) and SNS; what a target cannot take is logged, as AWS retries it
        without telling the sender."""
        if self.state != "ENABLED" or not self.event_pattern.matches_event(original_event):
            return
        self.platform.put_metric("AWS/Events", "TriggeredRules", {"RuleName": self.name}, 1.0, "Count")
        targets = self.targets
        for target in targets:
            try:
                if ":sns:" in target["Arn"]:
                    self._publish(target, original_event)
                else:
                    self.targets = [target]
                    super().send_to_targets(dict(original_event), transform_input)
            except Exception as exc:  # one target must not keep the others from their event
                self.platform.log(f"event rule {self.name}: target {target['Arn']} failed: {type(exc).__name__}: {exc}")
            finally:
                self.targets = targets

    def _publish(self, target: dict[str, Any], event: dict[str, Any]) -> None:
        from bedplate.local.gateway import stamp

        when = event.get("time")
        shown = {k: v for k, v in event.items() if k != "ingestion-time"}
        shown["time"] = stamp(float(when)) if isinstance(when, int | float) else when
        if target.get("Input"):
            message = target["Input"]
        elif target.get("InputTransformer"):
            transformer = target["InputTransformer"]
            made = EventTemplateParser.parse(
                input_template=transformer.get("InputTemplate"),
                input_paths_map=transformer.get("InputPathsMap", {}),
                event=shown,
            )
            message = made if isinstance(made, str) else json.dumps(made)
        else:
            message = json.dumps(shown)
        self.platform.publish(target["Arn"], "", message)


def install(platform: Platform) -> None:
    Rule.platform = platform
    models.Rule = Rule
    lay("events", backend=Backend)

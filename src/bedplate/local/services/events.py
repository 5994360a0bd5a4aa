"""EventBridge: SNS topics as targets, disabled rules that stay silent, and targets that never make PutEvents fail."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar

import moto.events.models as models
import moto.events.urls
from moto.events.models import EventsBackend
from moto.events.utils import EventTemplateParser

from bedplate.local.services.installation import lay

if TYPE_CHECKING:
    from bedplate.local.local_platform import LocalPlatform


class Backend(EventsBackend):  # type: ignore[misc]
    _url_module = moto.events.urls


class Rule(models.Rule):  # type: ignore[misc]
    platform: ClassVar[LocalPlatform]
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
                elif ":pipeline/" in target["Arn"]:
                    self._start_pipeline(target, original_event)
                else:
                    self.targets = [target]
                    super().send_to_targets(dict(original_event), transform_input)
            except Exception as exc:  # one target must not keep the others from their event
                self.platform.log(f"event rule {self.name}: target {target['Arn']} failed: {type(exc).__name__}: {exc}")
                self._bury(target, original_event, exc)
            finally:
                self.targets = targets

    def _start_pipeline(self, target: dict[str, Any], event: dict[str, Any]) -> None:
        """Parameters are texts, or paths into the event (`$.detail.alarmName`)."""
        from bedplate.local.services.sagemaker.pipelines import start

        wanted = (target.get("SageMakerPipelineParameters") or {}).get("PipelineParameterList") or []
        given = {p["Name"]: _at(event, p["Value"]) for p in wanted}
        start(self.platform, target["Arn"].rsplit("/", 1)[-1], given)

    def _bury(self, target: dict[str, Any], event: dict[str, Any], exc: Exception) -> None:
        """An event that a target could not take goes to the target's dead-letter queue, with the reason."""
        arn = (target.get("DeadLetterConfig") or {}).get("Arn")
        if not arn:
            return
        queue = self.platform.backend("sqs", arn.split(":")[3])
        reason = f"{type(exc).__name__}: {exc}"[:256]
        attributes = {"ERROR_MESSAGE": {"DataType": "String", "StringValue": reason}}
        queue.send_message(arn.rsplit(":", 1)[-1], json.dumps(event, default=str), message_attributes=attributes)
        self.platform.store.mark("sqs")

    def _publish(self, target: dict[str, Any], event: dict[str, Any]) -> None:
        from bedplate.local.wire.gateway import stamp

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


def _at(event: Any, text: str) -> str:
    """
    >>> _at({"detail": {"alarmName": "a"}}, "$.detail.alarmName"), _at({}, "$.detail.x"), _at({}, "plain")
    ('a', '', 'plain')
    """
    if not text.startswith("$."):
        return text
    for part in text[2:].split("."):
        event = event.get(part) if isinstance(event, dict) else None
    return "" if event is None else event if isinstance(event, str) else json.dumps(event)


def install(platform: LocalPlatform) -> None:
    Rule.platform = platform
    models.Rule = Rule
    lay("events", backend=Backend)

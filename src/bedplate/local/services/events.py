"""Patches moto's EventBridge: SNS and pipeline targets, disabled rules, and dead-letter queues of failed targets."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar

import moto.events.models as models
import moto.events.urls
from moto.events.models import EventsBackend
from moto.events.utils import EventTemplateParser

from bedplate.local.services.installation import patch_service
from bedplate.local.wire.gateway import format_iso

if TYPE_CHECKING:
    from bedplate.local.local_platform import LocalPlatform


class Backend(EventsBackend):  # type: ignore[misc]
    _url_module = moto.events.urls


class Rule(models.Rule):  # type: ignore[misc]
    platform: ClassVar[LocalPlatform]
    targets: list[dict[str, Any]]

    def send_to_targets(self, original_event: Any, transform_input: bool = True) -> None:
        """Sends an event to SNS topics, SageMaker pipelines, and moto's targets (queues, log groups, buses).

        A target's failure is logged and never fails PutEvents: AWS delivers later, and does not tell the sender.
        """
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
            except Exception as exc:  # one failed target must not keep the event from the others
                self.platform.log(f"event rule {self.name}: target {target['Arn']} failed: {type(exc).__name__}: {exc}")
                self._send_to_dead_letter_queue(target, original_event, exc)
            finally:
                self.targets = targets

    def _start_pipeline(self, target: dict[str, Any], event: dict[str, Any]) -> None:
        """Starts an execution; parameter values are text, or paths into the event such as `$.detail.alarmName`."""
        from bedplate.local.services.sagemaker.pipelines import start_execution

        templates = (target.get("SageMakerPipelineParameters") or {}).get("PipelineParameterList") or []
        parameters = {p["Name"]: _resolve_parameter(event, p["Value"]) for p in templates}
        start_execution(self.platform, target["Arn"].rsplit("/", 1)[-1], parameters)

    def _send_to_dead_letter_queue(self, target: dict[str, Any], event: dict[str, Any], exc: Exception) -> None:
        """Sends an event that its target could not take to the target's dead-letter queue, if any, with the reason."""
        arn = (target.get("DeadLetterConfig") or {}).get("Arn")
        if not arn:
            return
        queue = self.platform.backend("sqs", arn.split(":")[3])
        reason = f"{type(exc).__name__}: {exc}"[:256]
        attributes = {"ERROR_MESSAGE": {"DataType": "String", "StringValue": reason}}
        queue.send_message(arn.rsplit(":", 1)[-1], json.dumps(event, default=str), message_attributes=attributes)
        self.platform.store.mark("sqs")

    def _publish(self, target: dict[str, Any], event: dict[str, Any]) -> None:
        """Publishes the event, the target's constant input, or the target's input template filled from the event."""
        # moto adds ingestion-time and keeps the time in epoch seconds; AWS sends ISO 8601.
        event_time = event.get("time")
        body = {k: v for k, v in event.items() if k != "ingestion-time"}
        body["time"] = format_iso(float(event_time)) if isinstance(event_time, int | float) else event_time
        if target.get("Input"):
            message = target["Input"]
        elif target.get("InputTransformer"):
            transformer = target["InputTransformer"]
            rendered = EventTemplateParser.parse(
                input_template=transformer.get("InputTemplate"),
                input_paths_map=transformer.get("InputPathsMap", {}),
                event=body,
            )
            message = rendered if isinstance(rendered, str) else json.dumps(rendered)
        else:
            message = json.dumps(body)
        self.platform.publish(target["Arn"], "", message)


def _resolve_parameter(event: Any, template: str) -> str:
    """Returns the value at a path of an event, empty if it is missing; a template without `$.` is returned as it is.

    >>> _resolve_parameter({"detail": {"alarmName": "a"}}, "$.detail.alarmName")
    'a'
    >>> _resolve_parameter({}, "$.detail.x"), _resolve_parameter({}, "plain")
    ('', 'plain')
    """
    if not template.startswith("$."):
        return template
    value = event
    for key in template[2:].split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return "" if value is None else value if isinstance(value, str) else json.dumps(value)


def install(platform: LocalPlatform) -> None:
    Rule.platform = platform
    models.Rule = Rule
    patch_service("events", backend=Backend)

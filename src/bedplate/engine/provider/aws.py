"""The verbs of the provider protocol over the tables of kinds: check, diff, create, read, update, delete, invoke."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from bedplate.engine import property_paths
from bedplate.engine.protocol import (
    INTENT_TAG,
    UNKNOWN,
    CheckFailure,
    CheckResult,
    CreateResult,
    DiffChanges,
    DiffResult,
    OperationRejected,
    PartialFailure,
    Properties,
    ReadResult,
)
from bedplate.engine.provider import naming, requests, tables
from bedplate.engine.provider.cloud import Cloud, ServiceError
from bedplate.engine.provider.functions import FUNCTIONS
from bedplate.engine.provider.kind import EVERYTHING, Props, ResourceType
from bedplate.engine.provider.shapes import UnknownMember, same
from bedplate.engine.provider.tagging import change_tags, tag_params, tags_of
from bedplate.errors import UsageError


class AwsProvider:
    """`bedplate.engine.protocol.Provider` for the resource types of `tables.KINDS`."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def configure(self, config: Properties) -> None:
        """The endpoint is the engine's, never the configuration's. Raises UsageError for a region off this machine."""
        region = config.get("region")
        if region not in (None, UNKNOWN, self._cloud.region):
            raise UsageError(f"The provider is of region {self._cloud.region}; the program asks for {region}")

    # --- before anything is touched --------------------------------------------------------------------------------

    def check(self, urn: str, type: str, olds: Properties | None, news: Properties, random_seed: bytes) -> CheckResult:
        kind = tables.kind_of(type)
        inputs = {key: value for key, value in news.items() if value is not None}
        name = naming.name_for(kind, urn, inputs, olds, random_seed)
        if name is not None and kind.named is not None:
            inputs[kind.named] = name
        region = inputs.get("region")
        if region not in (None, UNKNOWN, self._cloud.region):
            return CheckResult(inputs, (CheckFailure("region", f"{self._cloud.region} expected"),))
        if olds == inputs:
            return CheckResult(inputs)
        return CheckResult(inputs, self._failures(kind, inputs))

    def _failures(self, kind: ResourceType, inputs: Props) -> tuple[CheckFailure, ...]:
        """What the create's request says of these inputs: properties and members it has not, and what it misses."""
        if requests.has_unknown({k: inputs.get(k) for k in kind.keys}):
            probe: Props = {**inputs, **dict.fromkeys(kind.keys, UNKNOWN)}
        else:
            probe = inputs
        try:
            params = self._params(kind, kind.create, probe, strict=True)
        except UnknownMember as exc:
            return (CheckFailure(exc.path.split(".")[0].split("[")[0], str(exc)),)
        except (TypeError, ValueError, AttributeError) as exc:
            return (CheckFailure("", f"{kind.type}: {exc}"),)
        if params is None or requests.has_unknown(params):
            return ()
        from botocore.validate import ParamValidator

        shape = self._cloud.operation(kind.service, kind.create).input_shape
        report = ParamValidator().validate(params, shape)
        return (CheckFailure("", f"{kind.type}: {report.generate_report()}"),) if report.has_errors() else ()

    def diff(
        self,
        urn: str,
        id: str,
        type: str,
        old_inputs: Properties,
        old_outputs: Properties,
        news: Properties,
        ignore_changes: Sequence[str],
    ) -> DiffResult:
        kind = tables.kind_of(type)
        if ignore_changes:
            news = property_paths.restore(news, old_inputs, ignore_changes)
        detailed = dict(_changed("", _present(old_inputs), _present(news)))
        if not detailed:
            return DiffResult(DiffChanges.NONE)
        replaces = tuple(path for path in detailed if _forces(kind, path))
        return DiffResult(
            DiffChanges.SOME,
            tuple(detailed),
            replaces,
            delete_before_replace=bool(replaces) and self._in_each_others_way(kind, urn, old_inputs, news),
            detailed=detailed,
        )

    def _in_each_others_way(self, kind: ResourceType, urn: str, old: Properties, new: Properties) -> bool:
        """Whether the replacement would have the identity of what it replaces."""
        if kind.server_named or (kind.named and naming.is_made_up(kind, urn, old.get(kind.named))):
            return False
        return all(same(old.get(key), new.get(key)) for key in kind.keys)

    # --- doing -----------------------------------------------------------------------------------------------------

    def create(self, urn: str, type: str, inputs: Properties, preview: bool, intent: str) -> CreateResult:
        kind, cloud = tables.kind_of(type), self._cloud
        if preview:
            return CreateResult("", {**inputs, **dict.fromkeys(self._computed(kind), UNKNOWN)})
        try:
            if kind.before_create:
                kind.before_create(cloud, inputs)
            params = self._params(kind, kind.create, inputs, strict=True)
            if kind.tags and kind.tags.on_create and params is not None:
                params.update(tag_params(cloud, kind, {**(inputs.get("tags") or {}), INTENT_TAG: intent}))
            answer = cloud.call(kind.service, kind.create, **params) if params is not None else {}
        except (ServiceError, UnknownMember) as exc:
            raise OperationRejected(f"{urn}: {exc}") from exc
        outputs = self._outputs(kind, inputs, {}, answer)
        try:
            if kind.tags and not kind.tags.on_create:
                wanted = {**(inputs.get("tags") or {}), INTENT_TAG: intent}
                change_tags(cloud, kind, outputs, tags_of(cloud, kind, outputs), wanted)
            for extra in kind.extras:
                if any(inputs.get(name) for name in extra.for_) and extra.when(inputs):
                    self._call(kind, extra.operation, outputs)
            if kind.after_create:
                kind.after_create(cloud, outputs)
        except (ServiceError, UnknownMember, OperationRejected) as exc:
            raise PartialFailure(f"{urn}: {exc}", id=outputs["id"], outputs=outputs) from exc
        return CreateResult(outputs["id"], outputs)

    def read(self, urn: str, id: str, type: str, inputs: Properties, state: Properties) -> ReadResult:
        kind, cloud = tables.kind_of(type), self._cloud
        known = {**self._keys_of(kind, id), **state, **inputs, "id": id}
        found = self._look(kind, known)
        if found is None:
            return ReadResult(None, {}, {})
        template = {**inputs} if inputs else {**self._keys_of(kind, id), **requests.template_of(cloud, kind, found)}
        seen = requests.lift_all(cloud, kind, template, found)
        if kind.to_inputs:
            seen.update(kind.to_inputs(cloud, {**known, **template}, found))
        outputs = self._outputs(kind, {**seen, "id": id}, state, found, looked=True)
        if kind.tags:
            tags = {k: v for k, v in tags_of(cloud, kind, outputs).items() if k != INTENT_TAG}
            seen.pop("tags", None)
            if tags or "tags" in inputs:
                seen["tags"] = tags
            outputs = {**outputs, "tags": tags, "tagsAll": tags}
        return ReadResult(id, {k: v for k, v in seen.items() if v is not None}, {**outputs, "id": id})

    def update(
        self,
        urn: str,
        id: str,
        type: str,
        old_inputs: Properties,
        old_outputs: Properties,
        news: Properties,
        preview: bool,
    ) -> Properties:
        kind, cloud = tables.kind_of(type), self._cloud
        old, new = _present(old_inputs), _present(news)
        changed = {key for key in {*old, *new} if not same(old.get(key), new.get(key))}
        kept = {key: value for key, value in old_outputs.items() if key in self._computed(kind)}
        outputs: Props = {**kept, **new, "id": id}
        if "tags" in changed:
            outputs["tagsAll"] = dict(new.get("tags") or {})
        if preview:
            return outputs
        known = {name for call in kind.updates for name in call.for_}
        stuck = changed - known - {"tags", *kind.local, *kind.by_hand}
        if stuck:
            raise OperationRejected(f"{urn}: {', '.join(sorted(stuck))} of {kind.type} cannot change in place")
        try:
            for call in kind.updates:
                if changed & set(call.for_) and call.when(new):
                    outputs = self._outputs(kind, new, outputs, self._call(kind, call.operation, {**outputs, "id": id}))
            if kind.on_update:
                kind.on_update(cloud, old, {**outputs, "id": id})
            if "tags" in changed and kind.tags:
                change_tags(cloud, kind, outputs, old.get("tags") or {}, new.get("tags") or {})
        except (ServiceError, UnknownMember) as exc:
            raise OperationRejected(f"{urn}: {exc}") from exc
        return outputs

    def delete(self, urn: str, id: str, type: str, inputs: Properties, outputs: Properties) -> None:
        kind, cloud = tables.kind_of(type), self._cloud
        known = {**self._keys_of(kind, id), **outputs, **inputs, "id": id}
        try:
            if kind.before_delete:
                kind.before_delete(cloud, known, inputs)
            params = self._params(
                kind, kind.delete, {k: known[k] for k in (*kind.keys, "id") if k in known}, all_=known
            )
            if params is not None:
                cloud.attempt(kind.service, kind.delete, *kind.gone, **params)
            if kind.after_delete:
                kind.after_delete(cloud, known)
        except ServiceError as exc:
            if exc.code in kind.gone:
                return
            raise OperationRejected(f"{urn}: {exc}") from exc

    def invoke(self, token: str, args: Properties) -> Properties:
        """Raises UsageError for a function that is not known."""
        if token not in FUNCTIONS:
            raise UsageError(
                f"The embedded engine does not know the function {token}", next_step="bedplate up --engine pulumi"
            )
        return FUNCTIONS[token](self._cloud, args)

    def find_by_intent(self, type: str, intent: str, inputs: Properties) -> str | None:
        kind, cloud = tables.kind_of(type), self._cloud
        if kind.find:
            return kind.find(cloud, intent, inputs)
        if not all(key in inputs for key in kind.keys):
            return None
        found = self._look(kind, dict(inputs))
        if found is None:
            return None
        outputs = self._outputs(kind, inputs, {}, found, looked=True)
        # Where tags come after the create, a kill between the two left none: then the name has to do.
        missing = "" if kind.tags and kind.tags.on_create else intent
        if kind.tags and tags_of(cloud, kind, outputs).get(INTENT_TAG, missing) != intent:
            return None
        if kind.after_create:
            with suppress(OperationRejected):  # it exists; that it does not work is for the next look to say
                kind.after_create(cloud, outputs)
        return str(outputs["id"])

    # --- requests and answers ----------------------------------------------------------------------------------------

    def _params(
        self, kind: ResourceType, operation: str, props: Props, *, strict: bool = False, all_: Props | None = None
    ) -> Props | None:
        params = requests.request(self._cloud, kind, operation, props, strict=strict)
        return kind.to_params(self._cloud, operation, all_ or props, params) if kind.to_params else params

    def _call(self, kind: ResourceType, operation: str, props: Props) -> Props:
        params = self._params(kind, operation, props)
        return self._cloud.call(kind.service, operation, **params) if params is not None else {}

    def _look(self, kind: ResourceType, known: Props) -> Props | None:
        """The resource as the service describes it, None when there is none."""
        params = self._params(kind, kind.read, {k: known[k] for k in (*kind.keys, "id") if k in known}, all_=known)
        answer = self._cloud.attempt(kind.service, kind.read, *kind.gone, **(params or {}))
        found = None if answer is None else requests.pick(answer, kind.found, requests.fields_of(self._cloud, known))
        return found if found is not None and kind.alive(found) else None

    def _keys_of(self, kind: ResourceType, id: str) -> Props:
        if kind.from_id:
            return kind.from_id(id)
        return {} if kind.server_named else {kind.keys[0]: id}

    @staticmethod
    def _computed(kind: ResourceType) -> tuple[str, ...]:
        return ("id", *kind.outputs, *(("tagsAll",) if kind.tags else ()))

    def _outputs(
        self, kind: ResourceType, inputs: Props, state: Props, answer: Mapping[str, Any], *, looked: bool = False
    ) -> Props:
        """Inputs, what the kind computes, and the id."""
        outputs: Props = {k: v for k, v in state.items() if k in self._computed(kind)} | dict(inputs)
        for name, source in kind.outputs.items():
            if source.startswith("="):
                path = source[1:].split("|")[1 if looked and "|" in source else 0]
                value = requests.pick(answer, path)
                if value is not None:
                    outputs[name] = value
            else:
                fields = requests.fields_of(self._cloud, inputs, outputs)
                outputs[name] = requests.fill(self._cloud, source, fields)
        if "id" not in outputs:
            outputs["id"] = requests.fill(self._cloud, kind.id, requests.fields_of(self._cloud, inputs, outputs))
        if kind.tags:
            outputs["tagsAll"] = dict(inputs.get("tags") or {})
        return outputs


# --- comparing -------------------------------------------------------------------------------------------------------


def _present(props: Mapping[str, Any]) -> Props:
    return {k: v for k, v in props.items() if v is not None and not k.startswith("__")}


def _changed(path: str, old: Any, new: Any) -> list[tuple[str, tuple[Any, Any]]]:
    """Every differing leaf, as a path and both values; what means the same is no difference."""
    if same(old, new) or (path and not _matters(old) and not _matters(new)):
        return []
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        found = []
        for key in sorted({*old, *new}):
            plain = key.isidentifier()
            inner = f"{path}.{key}" if path and plain else key if plain else f'{path}["{key}"]'
            found += _changed(inner, old.get(key), new.get(key))
        return found
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        return [change for i in range(len(old)) for change in _changed(f"{path}[{i}]", old[i], new[i])]
    return [(path, (old, new))]


def _matters(value: Any) -> bool:
    """None, an empty text, list or mapping say nothing to AWS."""
    return value not in (None, "", [], {})


def _forces(kind: ResourceType, path: str) -> bool:
    top = path.split(".")[0].split("[")[0]
    if top == "tags":
        return False
    if EVERYTHING in kind.replaces:
        return top not in kind.local
    plain = ".".join(segment.split("[")[0] for segment in path.split("."))
    return any(plain == each or plain.startswith(f"{each}.") or each.startswith(f"{plain}.") for each in kind.replaces)

"""Turns a checkpoint into the files of a Terraform configuration; pure but for the schema that it reads."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bedplate.engine.protocol import INTENT_TAG
from bedplate.engine.terraform.names import (
    AFTER_IMPORT,
    PROVIDER_ONLY,
    Arguments,
    argument,
    import_id,
    schema,
    snake,
    terraform_type,
)
from bedplate.engine.terraform.values import ASSET, SECRET, References, escaped, expressions, special
from bedplate.errors import BedplateError

Tree = dict[str, Any]
EXPRESSIONS = {("aws_ce_anomaly_monitor", "monitor_specification")}
"""Arguments that hold an expression of Cost Explorer as JSON text."""
SERVICES = (
    *("applicationautoscaling", "budgets", "ce", "cloudtrail", "cloudwatch", "ec2", "ecr", "events", "iam", "kms"),
    *("lambda", "logs", "s3", "sagemaker", "sns", "sqs", "ssm", "sts"),
)


@dataclass(slots=True)
class Export:
    """Files by name, JSON trees or text, and what there is to say about them."""

    files: dict[str, Tree] = field(default_factory=dict)
    assets: dict[str, str] = field(default_factory=dict)
    """File below the directory -> the path of the asset that it is a copy of, as the state has it."""
    texts: dict[str, str] = field(default_factory=dict)
    """File below the directory -> its text, for assets that are text."""
    resources: int = 0
    references: int = 0
    secrets: dict[str, Any] = field(default_factory=dict)
    """Variables that stand for secrets -> the value where the document shows secrets, else None."""
    left_out: tuple[str, ...] = ()
    """Arguments that only the provider keeps, so no import can read them: `aws_s3_bucket.data.force_destroy`."""


def export(document: Mapping[str, Any], *, endpoint_url: str | None = None) -> Export:
    """The configuration of every living resource in a checkpoint, one file a component.

    `endpoint_url` is the local platform's, for a stack that lives there; None means AWS.

    Raises BedplateError for a resource type or property whose Terraform name is not known: nothing is left out in
    silence.
    """
    held = [
        r
        for r in (document.get("deployment") or {}).get("resources") or []
        if r["type"].startswith("aws:") and not r.get("delete") and not r.get("external")
    ]
    if not held:
        raise BedplateError("The stack has no resources to export", next_step="bedplate up")
    addresses = _addresses(held)
    outputs = {r["urn"]: {**r.get("outputs", {}), "id": r["id"]} for r in held}
    result = Export(resources=len(held))
    components: dict[str, dict[str, Tree]] = defaultdict(lambda: defaultdict(dict))
    imports = []
    left_out: list[str] = []
    for resource in held:
        kind, name = addresses[resource["urn"]]
        writer = _Writer(kind, name, resource, addresses, outputs, result)
        components[_component(resource)][kind][name] = writer.block()
        result.secrets |= writer.secrets
        left_out += writer.left_out
        result.references += writer.references
        imports.append(
            {"to": f"{kind}.{name}", "id": escaped(import_id(kind, resource["id"], outputs[resource["urn"]]))}
        )
    for component, blocks in components.items():
        result.files[f"{component}.tf.json"] = {"resource": {k: dict(v) for k, v in sorted(blocks.items())}}
    result.files["imports.tf.json"] = {"import": sorted(imports, key=lambda block: block["to"])}
    result.files["providers.tf.json"] = _providers(document, held, endpoint_url)
    if stack_outputs := _outputs(document, addresses, outputs):
        result.files["outputs.tf.json"] = {"output": stack_outputs}
    if result.secrets:
        kept = {name: {"type": "string", "sensitive": True} for name in result.secrets}
        result.files["variables.tf.json"] = {"variable": kept}
    result.left_out = tuple(left_out)
    return result


class _Writer:
    """One resource: its block, and what writing it brought to light."""

    def __init__(
        self,
        kind: str,
        name: str,
        resource: Mapping[str, Any],
        addresses: Mapping[str, tuple[str, str]],
        outputs: Mapping[str, Mapping[str, Any]],
        result: Export,
    ) -> None:
        self.kind, self.name, self.resource, self.result = kind, name, resource, result
        self.addresses, self.outputs = addresses, outputs
        self.secrets: dict[str, Any] = {}
        self.left_out: list[str] = []
        self.references = 0
        self._referred: set[str] = set()

    def block(self) -> Tree:
        inputs = self.resource.get("inputs", {})
        arguments = schema()[self.kind]
        block: Tree = {}
        for prop, value in inputs.items():
            if prop.startswith("__") or value is None:
                continue
            name = argument(self.kind, arguments, snake(prop), prop)
            if name in PROVIDER_ONLY.get(self.kind, ()):
                self.left_out.append(f"{self.kind}.{self.name}.{name}")
                continue
            if (self.kind, name) in EXPRESSIONS:
                value = _with_nulls(value)
            block[name] = self._value(value, arguments[name], prop, self._known(prop))
        missing = [n for n, spec in arguments.items() if spec.get("required") and n not in block]
        if missing:
            raise BedplateError(
                f"{self.resource['urn']}: Terraform requires {', '.join(missing)}, which the state has not"
            )
        block = dict(sorted(block.items()))
        return {"//": self.resource["urn"], **block, **self._lifecycle(arguments), **self._depends_on()}

    def _value(self, value: Any, spec: Mapping[str, Any], path: str, known: References) -> Any:
        if special(value) == SECRET:
            variable = f"{self.kind}_{self.name}_{snake(re.sub(r'[^A-Za-z0-9]+', '_', path))}"
            plain = value.get("plaintext")
            self.secrets[variable] = None if plain is None else json.loads(plain)
            return f"${{var.{variable}}}"
        if special(value) == ASSET:
            return self._asset(value)
        if special(value) is not None:
            raise BedplateError(f"{self.resource['urn']}: {path} holds an archive, which cannot be exported")
        if "in" in spec:
            return self._nested(value, spec, path, known)
        if isinstance(value, list):
            return [self._value(item, spec, path, known) for item in value]
        if isinstance(value, dict):
            return {escaped(k): self._value(v, spec, f"{path}.{k}", known) for k, v in value.items()}
        if isinstance(value, str):
            used = known.used(value)
            self.references += used != escaped(value)
            return used
        if isinstance(value, float) and value.is_integer():
            return int(value)
        return value

    def _nested(self, value: Any, spec: Mapping[str, Any], path: str, known: References) -> Any:
        """A block, given once or several times, or an attribute of objects, which is always written as a list."""
        items = value if isinstance(value, list) else [value]
        written = [self._object(item, spec["in"], path, known) for item in items]
        return written if isinstance(value, list) or spec["as"] == "attribute" else written[0]

    def _object(self, value: Mapping[str, Any], arguments: Arguments, path: str, known: References) -> Tree:
        written: Tree = {}
        for prop, inner in value.items():
            if prop.startswith("__") or inner is None:
                continue
            name = argument(self.kind, arguments, snake(prop), f"{path}.{prop}")
            written[name] = self._value(inner, arguments[name], f"{path}.{prop}", known)
        return written

    def _known(self, prop: str) -> References:
        urns = (self.resource.get("propertyDependencies") or {}).get(prop) or []
        upstream = [u for u in urns if u in self.addresses]
        self._referred.update(upstream)
        return References(expressions([(".".join(self.addresses[u]), self.outputs[u]) for u in upstream]))

    def _lifecycle(self, arguments: Arguments) -> Tree:
        rules: Tree = {}
        ignored = {re.split(r"[.\[]", path)[0] for path in self.resource.get("ignoreChanges") or []}
        names = {argument(self.kind, arguments, snake(p), p) for p in ignored} | {*AFTER_IMPORT.get(self.kind, ())}
        if names:
            rules["ignore_changes"] = sorted(names)
        if self.resource.get("protect"):
            rules["prevent_destroy"] = True
        return {"lifecycle": rules} if rules else {}

    def _depends_on(self) -> Tree:
        """Dependencies that no argument shows by itself."""
        others = [u for u in self.resource.get("dependencies") or [] if u in self.addresses and u not in self._referred]
        return {"depends_on": sorted(".".join(self.addresses[u]) for u in others)} if others else {}

    def _asset(self, value: Mapping[str, Any]) -> str:
        file = f"files/{value.get('hash', self.name)[:16]}"
        if "path" in value:
            self.result.assets[file] = value["path"]
        elif "text" in value:
            self.result.texts[file] = value["text"]
        else:
            raise BedplateError(f"{self.resource['urn']}: an asset at {value.get('uri')} cannot be exported")
        return f"${{path.module}}/{file}"


def _with_nulls(text: str) -> str:
    """An expression of Cost Explorer as its provider keeps it: every operator named, null where it is not used."""
    return json.dumps(
        {**dict.fromkeys(("And", "CostCategories", "Dimensions", "Not", "Or", "Tags")), **json.loads(text)}
    )


def _addresses(held: Sequence[Mapping[str, Any]]) -> dict[str, tuple[str, str]]:
    """URN -> (type, name), each unique; a name repeats in one type only under different parents."""
    taken: set[tuple[str, str]] = set()
    addresses = {}
    for resource in held:
        kind = terraform_type(resource["type"])
        name = base = re.sub(r"[^A-Za-z0-9_-]", "-", resource["urn"].rpartition("::")[2])
        if not re.match(r"[A-Za-z_]", base):
            name = base = f"_{base}"
        count = 1
        while (kind, name) in taken:
            count += 1
            name = f"{base}-{count}"
        taken.add((kind, name))
        addresses[resource["urn"]] = (kind, name)
    return addresses


def _component(resource: Mapping[str, Any]) -> str:
    """The component that a resource belongs to: `storage`, `serving`; `platform` for what belongs to none."""
    chain = resource["urn"].split("::")[2].split("$")
    return chain[0].rpartition(":")[2].lower() if len(chain) > 1 else "platform"


def _providers(document: Mapping[str, Any], held: Sequence[Mapping[str, Any]], endpoint_url: str | None) -> Tree:
    resources = (document.get("deployment") or {}).get("resources") or []
    inputs: Tree = next((r.get("inputs", {}) for r in resources if r["type"] == "pulumi:providers:aws"), {})
    accounts = {m[1] for r in held if (m := re.match(r"arn:[^:]+:[^:]+:[^:]*:(\d{12}):", str(r["outputs"].get("arn"))))}
    provider: Tree = {"region": inputs.get("region"), "ignore_tags": {"keys": [INTENT_TAG]}}
    if endpoint_url:
        provider |= {
            "access_key": "local",
            "secret_key": "local",
            "s3_use_path_style": True,
            "skip_credentials_validation": True,
            "skip_metadata_api_check": True,
            "endpoints": dict.fromkeys(SERVICES, endpoint_url),
        }
    elif len(accounts) == 1:
        provider["allowed_account_ids"] = sorted(accounts)
    return {
        "terraform": {
            "required_version": ">= 1.5",
            "required_providers": {"aws": {"source": "hashicorp/aws", "version": ">= 5.100.0, < 7.0.0"}},
        },
        "provider": {"aws": provider},
    }


def _outputs(
    document: Mapping[str, Any], addresses: Mapping[str, tuple[str, str]], outputs: Mapping[str, Mapping[str, Any]]
) -> Tree:
    """The stack's own outputs, by reference where a resource has the value."""
    resources = (document.get("deployment") or {}).get("resources") or []
    stack: Tree = next((r.get("outputs", {}) for r in resources if r["type"] == "pulumi:pulumi:Stack"), {})
    known = References(expressions([(".".join(address), outputs[urn]) for urn, address in addresses.items()]))
    return {name: {"value": _output(value, known)} for name, value in sorted(stack.items()) if special(value) != SECRET}


def _output(value: Any, known: References) -> Any:
    if isinstance(value, str):
        return known.used(value) if value.startswith("arn:") else escaped(value)
    if isinstance(value, list):
        return [_output(item, known) for item in value]
    if isinstance(value, dict):
        return {escaped(k): _output(v, known) for k, v in value.items()}
    return value

"""Converts a Pulumi checkpoint to the files of a Terraform configuration. Reads only the schema of arguments."""

from __future__ import annotations

import itertools
import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bedplate.engine.protocol import INTENT_TAG
from bedplate.engine.terraform.names import (
    IGNORED_AFTER_IMPORT,
    PROVIDER_ONLY,
    Arguments,
    find_argument,
    find_terraform_type,
    format_import_id,
    load_schema,
    snake_case,
)
from bedplate.engine.terraform.values import ASSET, SECRET, References, build_references, escape, signature_of
from bedplate.errors import BedplateError

Tree = dict[str, Any]
COST_EXPRESSIONS = {("aws_ce_anomaly_monitor", "monitor_specification")}
"""Arguments whose value is a Cost Explorer expression as JSON text."""
SERVICES = (
    *("applicationautoscaling", "budgets", "ce", "cloudtrail", "cloudwatch", "ec2", "ecr", "events", "iam", "kms"),
    *("lambda", "logs", "s3", "sagemaker", "sns", "sqs", "ssm", "sts"),
)


@dataclass(slots=True)
class TerraformExport:
    """A Terraform configuration: its files by name, and what the user has to know about them."""

    files: dict[str, Tree] = field(default_factory=dict)
    asset_files: dict[str, str] = field(default_factory=dict)
    """File below the directory -> path of the asset to copy, relative to the Pulumi program as in the state."""
    text_files: dict[str, str] = field(default_factory=dict)
    """File below the directory -> its text, for assets that are text."""
    resource_count: int = 0
    reference_count: int = 0
    secrets: dict[str, Any] = field(default_factory=dict)
    """Variables for secrets -> the value if the document shows secrets, else None."""
    left_out: list[str] = field(default_factory=list)
    """Arguments that AWS does not store, so that no import can read them: `aws_s3_bucket.data.force_destroy`."""


def build_export(document: Mapping[str, Any], *, endpoint_url: str | None = None) -> TerraformExport:
    """Converts every resource of a checkpoint that exists at AWS to Terraform, one file per component.

    `endpoint_url` is the local platform's, for a stack with `target: local`; None means AWS.

    Raises BedplateError for a resource type or property whose Terraform name is not known: nothing is left out
    silently.
    """
    resources = [
        resource
        for resource in _list_resources(document)
        if resource["type"].startswith("aws:") and not resource.get("delete") and not resource.get("external")
    ]
    if not resources:
        raise BedplateError("The stack has no resources to export", next_step="bedplate up")
    addresses = _assign_addresses(resources)
    outputs = {resource["urn"]: {**resource.get("outputs", {}), "id": resource["id"]} for resource in resources}
    export = TerraformExport(resource_count=len(resources))
    components: dict[str, dict[str, Tree]] = defaultdict(lambda: defaultdict(dict))
    imports = []
    for resource in resources:
        resource_type, name = addresses[resource["urn"]]
        writer = _ResourceWriter(resource, addresses, outputs, export)
        components[_component_of(resource)][resource_type][name] = writer.build_block()
        import_id = format_import_id(resource_type, resource["id"], outputs[resource["urn"]])
        imports.append({"to": f"{resource_type}.{name}", "id": escape(import_id)})
    for component, blocks in components.items():
        export.files[f"{component}.tf.json"] = {"resource": {k: dict(v) for k, v in sorted(blocks.items())}}
    export.files["imports.tf.json"] = {"import": sorted(imports, key=lambda block: block["to"])}
    export.files["providers.tf.json"] = _build_providers(document, resources, endpoint_url)
    if stack_outputs := _build_outputs(document, addresses, outputs):
        export.files["outputs.tf.json"] = {"output": stack_outputs}
    if export.secrets:
        variables = {name: {"type": "string", "sensitive": True} for name in export.secrets}
        export.files["variables.tf.json"] = {"variable": variables}
    return export


class _ResourceWriter:
    """Builds the block of one resource; adds its secrets, assets, references and omissions to the export."""

    def __init__(
        self,
        resource: Mapping[str, Any],
        addresses: Mapping[str, tuple[str, str]],
        outputs: Mapping[str, Mapping[str, Any]],
        export: TerraformExport,
    ) -> None:
        self.resource, self.addresses, self.outputs, self.export = resource, addresses, outputs, export
        self.resource_type, self.name = addresses[resource["urn"]]
        self._referenced_urns: set[str] = set()

    def build_block(self) -> Tree:
        arguments = load_schema()[self.resource_type]
        block: Tree = {}
        for property, value in self.resource.get("inputs", {}).items():
            if property.startswith("__") or value is None:
                continue
            name = find_argument(self.resource_type, arguments, snake_case(property), property)
            if name in PROVIDER_ONLY.get(self.resource_type, ()):
                self.export.left_out.append(f"{self.resource_type}.{self.name}.{name}")
                continue
            if (self.resource_type, name) in COST_EXPRESSIONS:
                value = _name_all_operators(value)
            block[name] = self._format_value(value, arguments[name], property, self._references_of(property))
        missing = [name for name, spec in arguments.items() if spec.get("required") and name not in block]
        if missing:
            raise BedplateError(
                f"{self.resource['urn']}: Terraform requires {', '.join(missing)}, which the state does not have"
            )
        block = dict(sorted(block.items()))
        return {"//": self.resource["urn"], **block, **self._build_lifecycle(arguments), **self._build_depends_on()}

    def _format_value(self, value: Any, spec: Mapping[str, Any], path: str, references: References) -> Any:
        """Returns a value in Terraform's JSON syntax, with references to the resources that it comes from."""
        signature = signature_of(value)
        if signature == SECRET:
            variable = f"{self.resource_type}_{self.name}_{snake_case(re.sub(r'[^A-Za-z0-9]+', '_', path))}"
            plaintext = value.get("plaintext")
            self.export.secrets[variable] = None if plaintext is None else json.loads(plaintext)
            return f"${{var.{variable}}}"
        if signature == ASSET:
            return self._add_asset(value)
        if signature is not None:
            raise BedplateError(f"{self.resource['urn']}: {path} is an archive, which cannot be exported")
        if "in" in spec:
            return self._format_nested(value, spec, path, references)
        if isinstance(value, list):
            return [self._format_value(item, spec, path, references) for item in value]
        if isinstance(value, dict):
            return {escape(k): self._format_value(v, spec, f"{path}.{k}", references) for k, v in value.items()}
        if isinstance(value, str):
            expression = references.substitute(value)
            self.export.reference_count += expression != escape(value)
            return expression
        if isinstance(value, float) and value.is_integer():
            return int(value)
        return value

    def _format_nested(self, value: Any, spec: Mapping[str, Any], path: str, references: References) -> Any:
        """Returns one or several blocks, or an attribute of objects, which is always a list."""
        items = value if isinstance(value, list) else [value]
        objects = [self._format_object(item, spec["in"], path, references) for item in items]
        return objects if isinstance(value, list) or spec["as"] == "attribute" else objects[0]

    def _format_object(self, value: Mapping[str, Any], arguments: Arguments, path: str, references: References) -> Tree:
        formatted: Tree = {}
        for property, inner in value.items():
            if property.startswith("__") or inner is None:
                continue
            name = find_argument(self.resource_type, arguments, snake_case(property), f"{path}.{property}")
            formatted[name] = self._format_value(inner, arguments[name], f"{path}.{property}", references)
        return formatted

    def _references_of(self, property: str) -> References:
        """References to the resources that a property depends on, as the state recorded them."""
        urns = (self.resource.get("propertyDependencies") or {}).get(property) or []
        upstream = [urn for urn in urns if urn in self.addresses]
        self._referenced_urns.update(upstream)
        return build_references([(".".join(self.addresses[urn]), self.outputs[urn]) for urn in upstream])

    def _build_lifecycle(self, arguments: Arguments) -> Tree:
        """Returns `ignore_changes` and `prevent_destroy`; Terraform ignores whole arguments, `a` for `a.b`."""
        properties = {re.split(r"[.\[]", path)[0] for path in self.resource.get("ignoreChanges") or []}
        ignored = {find_argument(self.resource_type, arguments, snake_case(name), name) for name in properties}
        ignored.update(IGNORED_AFTER_IMPORT.get(self.resource_type, ()))
        rules: Tree = {"ignore_changes": sorted(ignored)} if ignored else {}
        if self.resource.get("protect"):
            rules["prevent_destroy"] = True
        return {"lifecycle": rules} if rules else {}

    def _build_depends_on(self) -> Tree:
        """Returns `depends_on` for the dependencies that no reference in the block implies."""
        urns = (urn for urn in self.resource.get("dependencies") or [] if urn not in self._referenced_urns)
        addresses = sorted(".".join(self.addresses[urn]) for urn in urns if urn in self.addresses)
        return {"depends_on": addresses} if addresses else {}

    def _add_asset(self, value: Mapping[str, Any]) -> str:
        """Adds the asset's file to the export and returns the expression of its path."""
        file = f"files/{value.get('hash', self.name)[:16]}"
        if "path" in value:
            self.export.asset_files[file] = value["path"]
        elif "text" in value:
            self.export.text_files[file] = value["text"]
        else:
            raise BedplateError(f"{self.resource['urn']}: the asset at {value.get('uri')} cannot be exported")
        return f"${{path.module}}/{file}"


def _name_all_operators(text: str) -> str:
    """Returns a Cost Explorer expression as Terraform's provider stores it: unused operators are null."""
    operators = dict.fromkeys(("And", "CostCategories", "Dimensions", "Not", "Or", "Tags"))
    return json.dumps({**operators, **json.loads(text)})


def _list_resources(document: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return (document.get("deployment") or {}).get("resources") or []


def _find_properties(document: Mapping[str, Any], type: str, field: str) -> Tree:
    """Returns the `inputs` or `outputs` of the first resource of a type, empty if there is none."""
    return next((resource.get(field, {}) for resource in _list_resources(document) if resource["type"] == type), {})


def _assign_addresses(resources: Sequence[Mapping[str, Any]]) -> dict[str, tuple[str, str]]:
    """Returns (Terraform type, unique name) by URN; equal names under different parents get a number."""
    addresses: dict[str, tuple[str, str]] = {}
    for resource in resources:
        resource_type = find_terraform_type(resource["type"])
        base = re.sub(r"[^A-Za-z0-9_-]", "-", resource["urn"].rpartition("::")[2])
        if not re.match(r"[A-Za-z_]", base):
            base = f"_{base}"
        names = (base if number == 1 else f"{base}-{number}" for number in itertools.count(1))
        taken = set(addresses.values())
        addresses[resource["urn"]] = next((resource_type, name) for name in names if (resource_type, name) not in taken)
    return addresses


def _component_of(resource: Mapping[str, Any]) -> str:
    """Returns the component that contains a resource (`storage`, `serving`), or `platform` if none does."""
    chain = resource["urn"].split("::")[2].split("$")
    return chain[0].rpartition(":")[2].lower() if len(chain) > 1 else "platform"


def _build_providers(
    document: Mapping[str, Any], resources: Sequence[Mapping[str, Any]], endpoint_url: str | None
) -> Tree:
    """Returns the provider block, restricted to the local platform's address, or to the resources' only account."""
    region = _find_properties(document, "pulumi:providers:aws", "inputs").get("region")
    arns = (str(resource["outputs"].get("arn")) for resource in resources)
    account_ids = {match[1] for arn in arns if (match := re.match(r"arn:[^:]+:[^:]+:[^:]*:(\d{12}):", arn))}
    provider: Tree = {"region": region, "ignore_tags": {"keys": [INTENT_TAG]}}
    if endpoint_url:
        provider |= {
            "access_key": "local",
            "secret_key": "local",
            "s3_use_path_style": True,
            "skip_credentials_validation": True,
            "skip_metadata_api_check": True,
            "endpoints": dict.fromkeys(SERVICES, endpoint_url),
        }
    elif len(account_ids) == 1:
        provider["allowed_account_ids"] = sorted(account_ids)
    return {
        "terraform": {
            "required_version": ">= 1.5",
            "required_providers": {"aws": {"source": "hashicorp/aws", "version": ">= 5.100.0, < 7.0.0"}},
        },
        "provider": {"aws": provider},
    }


def _build_outputs(
    document: Mapping[str, Any], addresses: Mapping[str, tuple[str, str]], outputs: Mapping[str, Mapping[str, Any]]
) -> Tree:
    """Returns the stack's outputs except secrets, as references where a resource has the value."""
    stack_outputs = _find_properties(document, "pulumi:pulumi:Stack", "outputs")
    references = build_references([(".".join(address), outputs[urn]) for urn, address in addresses.items()])
    return {
        name: {"value": _format_output(value, references)}
        for name, value in sorted(stack_outputs.items())
        if signature_of(value) != SECRET
    }


def _format_output(value: Any, references: References) -> Any:
    if isinstance(value, str):
        return references.substitute(value) if value.startswith("arn:") else escape(value)
    if isinstance(value, list):
        return [_format_output(item, references) for item in value]
    if isinstance(value, dict):
        return {escape(k): _format_output(v, references) for k, v in value.items()}
    return value

"""The Pulumi program of one environment: reads its settings and models, creates the components, exports the outputs."""

from __future__ import annotations

from pathlib import Path

import pulumi
import pulumi_aws as aws

from alerts import Alerts, AlertsArgs
from audit import Audit, AuditArgs
from automation import Automation, AutomationArgs, Reconciler
from bedplate.domain import names, tags
from bedplate.domain.data import retention
from bedplate.settings import image_tag, load_models
from budgets import Budgets, BudgetsArgs
from configuration import check_account, read_settings
from dashboards import Dashboard, DashboardArgs
from iam import Scope
from identity import Identity, IdentityArgs
from monitoring import Monitoring, MonitoringArgs
from network import Network, NetworkArgs
from outputs import document
from registry import Registry, RegistryArgs
from serving import Serving, ServingArgs
from snapshot import snapshot
from storage import Storage, StorageArgs
from tracking import Tracking, TrackingArgs

project, stack = pulumi.get_project(), pulumi.get_stack()
settings = read_settings(stack)
account_id = check_account(aws.get_caller_identity().account_id, settings)
specs = load_models(Path(__file__).parents[1], settings, stack=stack)

platform_tags = tags.for_platform(project=project, stack=stack, owner=settings.owner, cost_center=settings.cost_center)
model_names = {model: names.ModelNames(project, stack, model) for model in specs}
model_tags = {
    model: tags.for_model(
        project=project,
        stack=stack,
        model=model,
        version=0,
        owner=spec.owner,
        cost_center=settings.cost_center,
        managed_by="pulumi",
    )
    for model, spec in specs.items()
}

storage = Storage(
    "storage",
    StorageArgs(
        project=project,
        stack=stack,
        region=settings.region,
        account_id=account_id,
        settings=settings.storage,
        model_retention_days={
            model: retention.retention_days(spec.data, settings.storage.privacy_retention_days.model_dump())
            for model, spec in specs.items()
        },
        model_names=model_names,
        lock_ledger=settings.target == "aws",
        reader_account_ids=settings.registry.reader_account_ids,
        tags=platform_tags,
    ),
)
audit = Audit(
    "audit",
    AuditArgs(
        project=project,
        stack=stack,
        region=settings.region,
        account_id=account_id,
        settings=settings.audit,
        force_destroy=settings.storage.force_destroy,
        kms_key_arn=storage.key_arn,
        log_bucket=storage.log_bucket,
        ledger_bucket_arn=storage.bucket_arns["ledger"],
        cost_tags=tags.COST_KEYS if settings.cost_allocation_tags else (),
        tags=platform_tags,
    ),
)
registry = Registry(
    "registry",
    RegistryArgs(
        repository=f"{project}-{stack}",
        image_tag=image_tag(Path(__file__).parents[1], settings),
        package_groups={
            name.package_group: (specs[model].description, model_tags[model]) for model, name in model_names.items()
        },
        kms_key_arn=storage.key_arn,
        region=settings.region,
        account_id=account_id,
        reader_account_ids=settings.registry.reader_account_ids,
        force_destroy=settings.storage.force_destroy,
        tags=platform_tags,
    ),
)
identity = Identity(
    "identity",
    IdentityArgs(
        scope=Scope(
            project=project,
            stack=stack,
            region=settings.region,
            account_id=account_id,
            bucket_arns=storage.bucket_arns,
            kms_key_arn=storage.key_arn,
            signing_key_arn=storage.signing_key_arn,
            repository_arn=registry.repository_arn,
            in_network=settings.network.enabled,
        ),
        models={model: (name, model_tags[model]) for model, name in model_names.items()},
        tags=platform_tags,
    ),
)
alerts = Alerts(
    "alerts",
    AlertsArgs(
        name=f"{project}-{stack}-alerts",
        region=settings.region,
        account_id=account_id,
        emails=settings.alerts.emails,
        kms_key_arn=storage.key_arn,
        tags=platform_tags,
    ),
)
network = (
    Network(
        "network",
        NetworkArgs(
            name=f"{project}-{stack}",
            region=settings.region,
            account_id=account_id,
            settings=settings.network,
            tags=platform_tags,
        ),
    )
    if settings.network.enabled
    else None
)
serving = {
    model: Serving(
        model,
        ServingArgs(
            names=model_names[model],
            spec=spec,
            image_uri=registry.image_uri,
            execution_role_arn=identity.execution_role_arns[model],
            capture_bucket=storage.buckets["capture"],
            kms_key_arn=storage.key_arn,
            vpc_config=network.vpc_config if network else None,
            alerts_topic_arn=alerts.topic_arn,
            tags=model_tags[model],
        ),
    )
    for model, spec in specs.items()
}
monitoring = {
    model: Monitoring(
        model,
        MonitoringArgs(
            names=model_names[model],
            monitors=spec.monitors,
            endpoint=serving[model].endpoint_name,
            image_uri=registry.image_uri,
            execution_role_arn=identity.execution_role_arns[model],
            artifacts_bucket=storage.buckets["artifacts"],
            kms_key_arn=storage.key_arn,
            vpc_config=network.vpc_config if network else None,
            tags=model_tags[model],
        ),
    )
    for model, spec in specs.items()
    if spec.serving.mode
    != "serverless"  # SageMaker cannot capture requests of serverless endpoints, so there is nothing to monitor
}
for model, spec in specs.items():
    Dashboard(
        model,
        DashboardArgs(
            prefix=f"{project}-{stack}-",
            region=settings.region,
            names=model_names[model],
            spec=spec,
            alarms=[*serving[model].alarms, *([monitoring[model].alarm] if model in monitoring else [])],
            alerts_topic_arn=alerts.topic_arn,
            tags=model_tags[model],
        ),
    )
budgets = Budgets(
    "budgets",
    BudgetsArgs(
        project=project,
        stack=stack,
        account_id=account_id,
        platform_name=f"{project}-{stack}",
        platform=settings.budget,
        models={model: (model_names[model].budget, spec.budget) for model, spec in specs.items()},
        anomalies=settings.cost_anomalies,
        emails=settings.alerts.emails,
        alerts_topic_arn=alerts.topic_arn,
        trainer_role_arns=[identity.persona_role_arns[persona] for persona in ("data-scientist", "reconciler")],
        boundary_arn=identity.boundary_arn,
        platform_tags=platform_tags,
        model_tags=model_tags,
    ),
)
Automation(
    "automation",
    AutomationArgs(
        prefix=f"{project}-{stack}-",
        stack=stack,
        region=settings.region,
        account_id=account_id,
        model_names=tuple(model_names.values()),
        alerts_topic_arn=alerts.topic_arn,
        reconciler=Reconciler(
            snapshot=snapshot(Path(__file__).parents[1]),
            artifacts_bucket=storage.buckets["artifacts"],
            image_uri=registry.image_uri,
            job_role_arn=identity.create_reconcile_job_role(),
            kms_key_arn=storage.key_arn,
            boundary_arn=identity.boundary_arn,
            settings=settings.automation,
        )
        if settings.automation.reconcile
        else None,
        tags=platform_tags,
    ),
)

tracking = (
    Tracking(
        "tracking",
        TrackingArgs(
            name=f"{project}-{stack}",
            account_id=account_id,
            settings=settings.tracking,
            artifacts_bucket=storage.buckets["artifacts"],
            artifacts_bucket_arn=storage.bucket_arns["artifacts"],
            kms_key_arn=storage.key_arn,
            boundary_arn=identity.boundary_arn,
            tags=platform_tags,
        ),
    )
    if settings.tracking.enabled
    else None
)

outputs = {  # the fields of bedplate.settings.PlatformOutputs
    "project": project,
    "stack": stack,
    "account_id": account_id,
    "region": settings.region,
    "models": list(settings.models),
    "artifacts_bucket": storage.buckets["artifacts"],
    "data_bucket": storage.buckets["data"],
    "capture_bucket": storage.buckets["capture"],
    "ledger_bucket": storage.buckets["ledger"],
    "logs_bucket": storage.log_bucket,
    "trail_bucket": audit.trail_bucket,
    "kms_key_arn": storage.key_arn,
    "signing_key_arn": storage.signing_key_arn,
    "image_uri": registry.image_uri,
    "execution_role_prefix": names.execution_role_prefix(project, stack, account_id),
    "network": network and {"subnet_ids": network.subnet_ids, "security_group_ids": network.security_group_ids},
    "persona_role_arns": identity.persona_role_arns,
    "alerts_topic_arn": alerts.topic_arn,
    "platform_budget": budgets.platform_budget,
    "tracking_server_arn": tracking.server_arn if tracking else "",
    "tracking_url": tracking.url if tracking else "",
    "fallback_releases": {model: component.fallback_release for model, component in serving.items()},
}
for name, value in outputs.items():
    pulumi.export(name, value)
aws.ssm.Parameter(
    "platform-outputs",
    name=names.outputs_parameter(project, stack),
    description="Outputs of this environment for bedplate's commands (bedplate.settings.PlatformOutputs).",
    type="String",
    tier="Intelligent-Tiering",  # about forty models need more than the standard tier's 4 KB
    value=document(outputs, sort_keys=True),
    tags=platform_tags,
)

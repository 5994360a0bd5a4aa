"""Lists the platform's policies."""

from __future__ import annotations

from bedplate.domain.policy import access, encryption, monitoring, ownership
from bedplate.domain.policy.rules import Policy

POLICIES: tuple[Policy, ...] = (
    Policy(
        "encrypted-at-rest",
        "Topics, queues, logs, images, volumes, captured requests and job outputs are encrypted with a named key.",
        "name the platform's key (storage.key_arn)",
        encryption.encryption_keys,
    ),
    Policy(
        "buckets-encrypted",
        "Every bucket encrypts by default with a KMS key.",
        "give it a BucketServerSideEncryptionConfiguration with aws:kms, as infra/storage.py does",
        encryption.encrypted_buckets,
        scope="stack",
    ),
    Policy("keys-rotate", "KMS keys rotate every year.", "enable_key_rotation=True", encryption.key_rotation),
    Policy(
        "tls-only",
        "Buckets and topics deny calls without TLS.",
        "add deny_without_tls of infra/iam.py to its policy",
        encryption.tls_only,
        scope="stack",
    ),
    Policy(
        "no-public-buckets",
        "No bucket can become public.",
        "give it a BucketPublicAccessBlock with all four switches and BucketOwnerEnforced",
        access.no_public_buckets,
        scope="stack",
    ),
    Policy(
        "no-public-access",
        "No resource policy, security group or subnet is open to everyone.",
        "name the accounts, services or address ranges that need access",
        access.no_public_access,
    ),
    Policy(
        "no-wildcard-admin",
        "No policy allows wildcard actions on all resources, and no administrator policy is attached.",
        "name the actions and the resources",
        access.no_wildcard_admin,
    ),
    Policy(
        "roles-bounded",
        "Every role has a permission boundary, and no role can be assumed by everyone.",
        "permissions_boundary=identity's boundary, and a principal in assume_role_policy",
        access.bounded_roles,
    ),
    Policy(
        "tags-present",
        "Every taggable resource has Project, Stack, Owner, CostCenter, ManagedBy; a model's resources have Model.",
        "tags=bedplate.domain.tags.for_platform(...) or for_model(...)",
        ownership.required_tags,
    ),
    Policy(
        "data-classes-separated",
        "Captured requests, training data, models and the ledger are separate, and so are the models' data.",
        "use the bucket of that purpose and the prefix of that model (bedplate.domain.names)",
        ownership.separate_data_classes,
        scope="stack",
    ),
    Policy(
        "capture-on",
        "Every endpoint captures requests and predictions.",
        "enable_capture=True with Input and Output; serving.capture_pct above 0",
        monitoring.endpoint_capture,
    ),
    Policy(
        "alarms-present",
        "Every endpoint has alarms on errors and latency, and rolls back on them.",
        "add MetricAlarms on Invocation5XXErrors and ModelLatency, as infra/serving.py does",
        monitoring.endpoint_alarms,
        scope="stack",
    ),
    Policy(
        "budgets-present",
        "Every endpoint's model has a budget with notifications.",
        "add a Budget that filters by the tag Model, as infra/budgets.py does",
        monitoring.endpoint_budgets,
        scope="stack",
    ),
    Policy(
        "alarms-notify",
        "Every alarm notifies someone.",
        "alarm_actions=[the alerts topic]",
        monitoring.alarm_actions,
        scope="stack",
    ),
    Policy(
        "buckets-versioned",
        "Every bucket is versioned.",
        "give it a BucketVersioning with status Enabled",
        ownership.versioned_buckets,
        level="advisory",
        scope="stack",
    ),
    Policy(
        "images-scanned",
        "Images are scanned on push, and tags are immutable.",
        "scan_on_push=True, image_tag_mutability='IMMUTABLE'",
        monitoring.image_scans,
        level="advisory",
    ),
    Policy(
        "logs-expire",
        "Log groups have a retention period.",
        "retention_in_days=90",
        monitoring.log_retention,
        level="advisory",
    ),
)

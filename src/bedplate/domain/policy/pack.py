"""The policies of the platform, one by one."""

from __future__ import annotations

from bedplate.domain.policy import access, encryption, ownership, watching
from bedplate.domain.policy.rules import Policy

POLICIES: tuple[Policy, ...] = (
    Policy(
        "encrypted-at-rest",
        "Topics, queues, logs, images, volumes, captured requests and job outputs are encrypted with a named key.",
        "name the platform's key (storage.key_arn)",
        encryption.keys_named,
    ),
    Policy(
        "buckets-encrypted",
        "Every bucket encrypts by default with a KMS key.",
        "give it a BucketServerSideEncryptionConfiguration with aws:kms, as infra/storage.py does",
        encryption.buckets_encrypted,
        scope="stack",
    ),
    Policy("keys-rotate", "KMS keys rotate every year.", "enable_key_rotation=True", encryption.keys_rotate),
    Policy(
        "tls-only",
        "Buckets and topics deny what comes without TLS.",
        "add the statement of infra/policies.py that denies aws:SecureTransport false",
        encryption.tls_only,
        scope="stack",
    ),
    Policy(
        "no-public-buckets",
        "No bucket can become public.",
        "give it a BucketPublicAccessBlock with all four switches and BucketOwnerEnforced",
        access.buckets_shut,
        scope="stack",
    ),
    Policy(
        "no-public-access",
        "No resource policy, security group or subnet is open to anybody.",
        "name the accounts, services or address ranges that may",
        access.strangers_out,
    ),
    Policy(
        "no-wildcard-admin",
        "Nobody may do everything: no wildcard action on a wildcard resource, no administrator policy.",
        "name the actions and the resources",
        access.no_wildcard_admin,
    ),
    Policy(
        "roles-bounded",
        "Every role is under a permission boundary, and not everybody may assume it.",
        "permissions_boundary=identity's boundary, and a principal in assume_role_policy",
        access.roles_bounded,
    ),
    Policy(
        "tags-present",
        "Everything that takes tags says Project, Stack, Owner, CostCenter, ManagedBy; a model's says Model.",
        "tags=bedplate.domain.tags.platform(...) or for_model(...)",
        ownership.tags_present,
    ),
    Policy(
        "data-classes-apart",
        "Captured requests, training data, models and the ledger lie apart, and one model's data from another's.",
        "use the bucket of that purpose and the prefix of that model (bedplate.domain.names)",
        ownership.data_classes_apart,
        scope="stack",
    ),
    Policy(
        "capture-on",
        "Every endpoint captures requests and answers.",
        "enable_capture=True with Input and Output; serving.capture_pct above 0",
        watching.capture_on,
    ),
    Policy(
        "alarms-present",
        "Every endpoint has alarms on errors and latency, and rolls back by them.",
        "add MetricAlarms on Invocation5XXErrors and ModelLatency, as infra/serving.py does",
        watching.alarms_present,
        scope="stack",
    ),
    Policy(
        "budgets-present",
        "Every endpoint's model has a budget that tells somebody.",
        "add a Budget that filters by the tag Model, as infra/budgets.py does",
        watching.budgets_present,
        scope="stack",
    ),
    Policy(
        "alarms-tell-somebody",
        "Every alarm has somebody to tell.",
        "alarm_actions=[the alerts topic]",
        watching.alarms_tell,
        scope="stack",
    ),
    Policy(
        "buckets-versioned",
        "Every bucket keeps earlier versions.",
        "give it a BucketVersioning with status Enabled",
        ownership.buckets_versioned,
        level="advisory",
        scope="stack",
    ),
    Policy(
        "images-scanned",
        "Images are scanned on push, and tags are immutable.",
        "scan_on_push=True, image_tag_mutability='IMMUTABLE'",
        watching.images_scanned,
        level="advisory",
    ),
    Policy(
        "logs-forget",
        "Log groups have a retention time.",
        "retention_in_days=90",
        watching.logs_forget,
        level="advisory",
    ),
)

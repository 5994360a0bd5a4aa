"""The auditor: reads the ledger, the registry, the evidence and the trail.

Training data and captured requests are left out, because they may be personal.
"""

from __future__ import annotations

from iam import Scope, Statement, allow
from personas.shared import read_objects, read_platform


def statements(scope: Scope) -> list[Statement]:
    return [
        *read_objects(scope, "ledger", "artifacts"),
        allow("Decrypt", ["kms:Decrypt", "kms:DescribeKey"], scope.kms_key_arn),
        *read_platform(scope),
        allow("ReadLedgerLock", "s3:GetObjectRetention", scope.objects("ledger")),
        # CloudTrail's event history has no resource.
        allow("ReadTrail", "cloudtrail:LookupEvents", "*"),
        allow("ReadRecords", ["s3:ListBucket", "s3:GetObject", "s3:GetObjectVersion"], scope.audit_buckets),
    ]

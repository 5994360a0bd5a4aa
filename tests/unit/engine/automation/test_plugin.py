"""The plugin speaks Pulumi's provider protocol for a provider of ours: asked over a real socket, as the CLI asks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.protobuf import struct_pb2
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc, status_pb2

from bedplate.engine.automation.plugin import aws, intent_of, refuse_foreign_endpoints, serve
from bedplate.engine.property_values import from_struct, to_struct
from bedplate.engine.protocol import (
    UNKNOWN,
    CheckResult,
    CreateResult,
    DiffChanges,
    DiffResult,
    PartialFailure,
    Properties,
    Secret,
)
from bedplate.errors import UsageError
from golden.oracle.world import World, WorldProvider

URN = "urn:pulumi:s::oracle::test:index:Box$test:index:Thing::a"


class Recorder(WorldProvider):
    """The recordings' provider; keeps what it was asked."""

    def __init__(self) -> None:
        super().__init__(World())
        self.seeds: list[bytes] = []
        self.seen: list[Properties] = []
        self.types: list[str] = []
        self.intents: list[str] = []

    def check(self, urn: str, type: str, olds: Properties | None, news: Properties, random_seed: bytes) -> CheckResult:
        self.seeds.append(random_seed)
        self.types.append(type)
        self.seen.append({"olds": olds})
        return super().check(urn, type, olds, news, random_seed)

    def create(self, urn: str, type: str, inputs: Properties, preview: bool, intent: str) -> CreateResult:
        self.seen.append(inputs)
        self.intents.append(intent)
        if inputs.get("half"):
            raise PartialFailure("it never came up", id="a-1", outputs={"x": 1})
        if inputs.get("hide"):
            return CreateResult("a-1", {"password": Secret("hush")})
        return super().create(urn, type, inputs, preview, intent)

    def delete(self, urn: str, id: str, type: str, inputs: Properties, outputs: Properties) -> None:
        raise RuntimeError("the line went dead")

    def diff(self, *args: Any) -> DiffResult:
        return DiffResult(
            DiffChanges.SOME,
            diffs=("a.b[0]", "c", "d"),
            replaces=("a.b[0]",),
            delete_before_replace=True,
            detailed={"a.b[0]": (1, 2), "c": (None, 1), "d": (1, None)},
        )


@pytest.fixture
def provider() -> Recorder:
    return Recorder()


@pytest.fixture
def stub(provider: Recorder) -> Iterator[provider_pb2_grpc.ResourceProviderStub]:
    server, port = serve(provider, package="test", version="1.2.3")
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield provider_pb2_grpc.ResourceProviderStub(channel)
    server.stop(None).wait()


def create(**inputs: Any) -> Any:
    return provider_pb2.CreateRequest(urn=URN, type="test:index:Thing", properties=to_struct(inputs))


def test_a_preview_says_what_will_be_known_later_and_makes_nothing(stub: Any, provider: Recorder) -> None:
    request = create(x=1)
    request.preview = True
    made = stub.Create(request)
    assert (made.id, from_struct(made.properties)) == ("", {"x": 1, "computed": UNKNOWN})
    assert provider.world.things == {}
    assert provider.intents == [""]


def test_a_create_is_tagged_with_what_follows_from_the_state_and_a_replacement_with_another(
    stub: Any, provider: Recorder
) -> None:
    stub.Create(create(x=1))
    stub.Diff(provider_pb2.DiffRequest(urn=URN, id="a-1"))
    stub.Create(create(x=1))
    assert provider.intents == [intent_of(URN, ""), intent_of(URN, "a-1")]
    assert len(set(provider.intents)) == 2


def test_secrets_go_in_as_plain_values_and_come_out_marked(stub: Any, provider: Recorder) -> None:
    made = stub.Create(create(hide=True, key=Secret({"a": [Secret(1)]})))
    assert provider.seen == [{"hide": True, "key": {"a": [1]}}]
    assert from_struct(made.properties)["password"].value == "hush"


def test_whole_numbers_stay_whole(stub: Any, provider: Recorder) -> None:
    stub.Create(create(n=3, x=0.5))
    assert {name: type(value) for name, value in provider.seen[0].items()} == {"n": int, "x": float}


def test_a_refusal_is_a_definite_no_and_a_surprise_is_not(stub: Any) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        stub.Create(create(fail=["create"]))
    assert (refused.value.code(), refused.value.details()) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        "create of a-1 was refused",
    )
    with pytest.raises(grpc.RpcError) as dead:
        stub.Delete(provider_pb2.DeleteRequest(urn=URN, id="a-1"))
    assert (dead.value.code(), dead.value.details()) == (grpc.StatusCode.UNKNOWN, "the line went dead")


def test_a_resource_half_made_is_told_with_its_id_and_outputs(stub: Any) -> None:
    with pytest.raises(grpc.RpcError) as half:
        stub.Create(create(half=True))
    trailing = dict(half.value.trailing_metadata())
    status = status_pb2.Status.FromString(trailing["grpc-status-details-bin"])
    told = provider_pb2.ErrorResourceInitFailed()
    assert status.details[0].Unpack(told)
    assert (told.id, from_struct(told.properties), list(told.reasons)) == ("a-1", {"x": 1}, ["it never came up"])


def test_a_diff_says_path_by_path_what_is_added_deleted_changed_and_replaced(stub: Any) -> None:
    diff = stub.Diff(provider_pb2.DiffRequest(urn=URN, id="a-1"))
    kinds = provider_pb2.PropertyDiff
    assert diff.changes == provider_pb2.DiffResponse.DIFF_SOME
    assert (list(diff.diffs), list(diff.replaces)) == (["a.b[0]", "c", "d"], ["a.b[0]"])
    assert diff.deleteBeforeReplace
    assert {path: entry.kind for path, entry in diff.detailedDiff.items()} == {
        "a.b[0]": kinds.UPDATE_REPLACE,
        "c": kinds.ADD,
        "d": kinds.DELETE,
    }


def test_names_come_from_a_seed_that_is_the_same_in_preview_and_up_and_another_for_a_replacement(
    stub: Any, provider: Recorder
) -> None:
    def check(seed: bytes, **olds: Any) -> None:
        stub.Check(provider_pb2.CheckRequest(urn=URN, olds=to_struct(olds), news=to_struct({}), randomSeed=seed))

    check(b"1" * 32)
    check(b"2" * 32)
    stub.Diff(provider_pb2.DiffRequest(urn=URN, id="a-1"))
    check(b"3" * 32)
    first, again, replacing = provider.seeds
    assert first == again != replacing
    assert provider.types[0] == "test:index:Thing"
    assert provider.seen[0] == {"olds": None}


def test_the_seed_is_the_embedded_engines(stub: Any, provider: Recorder) -> None:
    from bedplate.engine.deployment.provider_checks import seed_of
    from bedplate.engine.state.snapshot import Resource

    request = provider_pb2.CheckRequest(urn=URN, news=struct_pb2.Struct())
    stub.Check(request)
    stub.Diff(provider_pb2.DiffRequest(urn=URN, id="a-1"))
    stub.Check(request)
    replaced = Resource(URN, "test:index:Thing", True, id="a-1")
    assert provider.seeds == [seed_of(URN, None), seed_of(URN, replaced)]


def test_a_failed_check_names_the_property(stub: Any) -> None:
    checked = stub.Check(provider_pb2.CheckRequest(urn=URN, news=to_struct({"invalid": "must be even"})))
    assert [(f.property, f.reason) for f in checked.failures] == [("invalid", "must be even")]


def test_what_is_gone_is_read_as_nothing(stub: Any, provider: Recorder) -> None:
    assert stub.Read(provider_pb2.ReadRequest(urn=URN, id="a-9")).id == ""
    provider.world.things["a-9"] = {"x": 1}
    found = stub.Read(provider_pb2.ReadRequest(urn=URN, id="a-9"))
    assert (found.id, from_struct(found.inputs)) == ("a-9", {"x": 1})


def test_the_provider_is_configured_without_what_is_the_engines_own(stub: Any, provider: Recorder) -> None:
    answer = stub.Configure(provider_pb2.ConfigureRequest(args=to_struct({"region": "eu-west-1", "version": "7.51.1"})))
    assert answer.supportsPreview
    assert provider.config == {"region": "eu-west-1"}


@pytest.mark.parametrize(
    "endpoints", ['[{"s3": "https://s3.amazonaws.com"}]', [{"s3": "http://127.0.0.1:1", "iam": "http://10.0.0.1"}]]
)
def test_a_configured_endpoint_off_this_machine_is_refused(stub: Any, endpoints: Any) -> None:
    with pytest.raises(grpc.RpcError, match="this machine only"):
        stub.Configure(provider_pb2.ConfigureRequest(args=to_struct({"endpoints": endpoints})))
    with pytest.raises(UsageError):
        refuse_foreign_endpoints({"endpoints": endpoints})


@pytest.mark.parametrize("url", ["", "https://sagemaker.us-east-1.amazonaws.com", "http://192.168.1.7:4566"])
def test_the_aws_plugin_starts_only_for_a_platform_on_this_machine(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    with pytest.raises(UsageError) as refused:
        aws("aws")
    assert refused.value.next_step


def test_the_aws_plugin_is_of_the_region_it_is_configured_with(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    provider = aws("aws")
    assert not hasattr(provider, "check_config")
    provider.configure({"region": "eu-west-1"})
    failures = provider.check(URN, "aws:s3/bucket:Bucket", None, {"region": "us-east-1"}, bytes(32)).failures
    assert [(f.property, f.reason) for f in failures] == [("region", "eu-west-1 expected")]


def test_the_plugin_tells_its_version(stub: Any) -> None:
    from google.protobuf import empty_pb2

    assert stub.GetPluginInfo(empty_pb2.Empty()).version == "1.2.3"
    assert '"name": "test"' in stub.GetSchema(provider_pb2.GetSchemaRequest()).schema

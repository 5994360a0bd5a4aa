"""Pickles moto's backends, including what pickle alone cannot: locks, private keys, other backends, special dicts."""

from __future__ import annotations

import io
import pickle
import threading
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable
from typing import Any

from moto.backends import get_backend
from moto.core.base_backend import BackendDict, BaseBackend


def pickle_state(state: Any) -> bytes:
    """Returns the pickled bytes. Raises pickle's exceptions for values that it cannot pickle."""
    buffer = io.BytesIO()
    _Pickler(buffer, protocol=5).dump(state)
    return buffer.getvalue()


_LOCKS: tuple[tuple[type, Callable[[], Any]], ...] = (
    (type(threading.Lock()), threading.Lock),
    (type(threading.RLock()), threading.RLock),
)


def _new_condition(_: Iterable[Any] = ()) -> threading.Condition:
    return threading.Condition()


def _key_from_pem(pem: bytes) -> Any:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    return load_pem_private_key(pem, None)


class _Pickler(pickle.Pickler):
    """Pickles a backend's attributes: locks as new locks, private keys as PEM, other backends by name."""

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, BackendDict):
            return _load_backends, (obj.service_name,)
        if isinstance(obj, BaseBackend):
            return _load_backend, _backend_key(obj)
        if getattr(type(obj), "__pickled_empty__", False):  # a `Partition` stores the content
            return type(obj), ()
        for kind, make in _LOCKS:
            if isinstance(obj, kind):
                return make, ()
        if isinstance(obj, dict) and type(obj) not in (dict, OrderedDict):
            return _new_mapping, (type(obj), _picklable_factory(obj)), _mapping_state(obj), None, None, _fill_mapping
        if isinstance(obj, type({}.keys())):
            return list, (list(obj),)
        if isinstance(obj, threading.Condition):
            return _new_condition, ()
        if hasattr(obj, "private_bytes") and hasattr(obj, "public_key"):
            from cryptography.hazmat.primitives import serialization as s

            pem = obj.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.NoEncryption())
            return _key_from_pem, (pem,)
        return NotImplemented


# moto's dict subclasses redefine setting and listing items (all versions of an S3 key), and some default factories are
# lambdas: such a dict is pickled as its attributes and the items of the underlying plain dict.


def _new_mapping(kind: type[dict[Any, Any]], factory: Any) -> Any:
    mapping = kind.__new__(kind)
    if isinstance(mapping, defaultdict):
        mapping.default_factory = factory
    return mapping


def _mapping_state(mapping: Any) -> tuple[dict[str, Any], list[tuple[Any, Any]]]:
    return dict(vars(mapping)) if hasattr(mapping, "__dict__") else {}, list(dict.items(mapping))


def _fill_mapping(mapping: Any, state: tuple[dict[str, Any], list[tuple[Any, Any]]]) -> None:
    attributes, items = state
    for name, value in attributes.items():
        setattr(mapping, name, value)
    for key, value in items:
        dict.__setitem__(mapping, key, value)


def _picklable_factory(mapping: Any) -> Any:
    """Returns a mapping's default factory, or for a lambda a named function that creates the same."""
    factory: Any = getattr(mapping, "default_factory", None)
    if getattr(factory, "__name__", "") != "<lambda>":
        return factory
    sample = factory()
    return _dict_of_dicts if isinstance(sample, defaultdict) else type(sample)


def _dict_of_dicts() -> Any:
    return defaultdict(dict)


def _backend_key(backend: BaseBackend) -> tuple[str, str, str]:
    """Returns the key of a backend: service, account, region."""
    for candidates in BackendDict._instances:
        for account, region, other in candidates.iter_backends():
            if other is backend:
                return candidates.service_name, account, region
    raise pickle.PicklingError(f"{type(backend).__name__} is not a backend of a service")


def _load_backends(service: str) -> Any:
    return get_backend(service)


def _load_backend(service: str, account: str, region: str) -> Any:
    return get_backend(service)[account][region]

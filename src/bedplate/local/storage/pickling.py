"""What pickle alone cannot do with moto's state: locks, private keys, backends, and dicts with ways of their own."""

from __future__ import annotations

import io
import pickle
import threading
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable
from typing import Any

from moto.backends import get_backend
from moto.core.base_backend import BackendDict, BaseBackend


def pickled(state: Any) -> bytes:
    """Raises whatever pickle raises for what it cannot take."""
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
    """Pickles a backend's dict: locks become new locks, private keys PEM, backends references by name."""

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, BackendDict):
            return _backends_again, (obj.service_name,)
        if isinstance(obj, BaseBackend):
            return _backend_again, _address_of(obj)
        if getattr(type(obj), "__folded__", False):  # its owner keeps the content elsewhere
            return type(obj), ()
        for kind, make in _LOCKS:
            if isinstance(obj, kind):
                return make, ()
        if isinstance(obj, dict) and type(obj) not in (dict, OrderedDict):
            return _mapping_again, (type(obj), _factory_of(obj)), _state_of(obj), None, None, _fill
        if isinstance(obj, type({}.keys())):
            return list, (list(obj),)
        if isinstance(obj, threading.Condition):
            return _new_condition, ()
        if hasattr(obj, "private_bytes") and hasattr(obj, "public_key"):
            from cryptography.hazmat.primitives import serialization as s

            pem = obj.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.NoEncryption())
            return _key_from_pem, (pem,)
        return NotImplemented


# moto's dicts of its own change what setting and listing items mean (all versions of an S3 key), and some default
# factories are lambdas: such a dict is taken apart and put together as the plain dict it rests on.


def _mapping_again(kind: type[dict[Any, Any]], factory: Any) -> Any:
    made = kind.__new__(kind)
    if isinstance(made, defaultdict):
        made.default_factory = factory
    return made


def _state_of(mapping: Any) -> tuple[dict[str, Any], list[tuple[Any, Any]]]:
    return dict(vars(mapping)) if hasattr(mapping, "__dict__") else {}, list(dict.items(mapping))


def _fill(mapping: Any, state: tuple[dict[str, Any], list[tuple[Any, Any]]]) -> None:
    attributes, items = state
    for name, value in attributes.items():
        setattr(mapping, name, value)
    for key, value in items:
        dict.__setitem__(mapping, key, value)


def _factory_of(mapping: Any) -> Any:
    """A default factory that pickle can name: for a lambda, the function here that makes the same."""
    factory: Any = getattr(mapping, "default_factory", None)
    if getattr(factory, "__name__", "") != "<lambda>":
        return factory
    sample = factory()
    return _dict_of_dicts if isinstance(sample, defaultdict) else type(sample)


def _dict_of_dicts() -> Any:
    return defaultdict(dict)


def _address_of(backend: BaseBackend) -> tuple[str, str, str]:
    """Where a backend is found again: service, account, region."""
    for candidates in BackendDict._instances:
        for account, region, other in candidates.iter_backends():
            if other is backend:
                return candidates.service_name, account, region
    raise pickle.PicklingError(f"{type(backend).__name__} is no backend of a service")


def _backends_again(service: str) -> Any:
    return get_backend(service)


def _backend_again(service: str, account: str, region: str) -> Any:
    return get_backend(service)[account][region]

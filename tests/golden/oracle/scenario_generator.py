"""Generates random scenarios in the format of the recordings, with which two engines are compared.

A thing is a custom resource of type `test:index:Thing`, as in the program of the recordings.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from typing import Any

Step = dict[str, Any]
Resource = dict[str, Any]

ROOT_URN = "urn:pulumi:s::oracle::pulumi:pulumi:Stack::oracle-s"


def generate_scenario(seed: int, *, kinds: frozenset[str] = frozenset()) -> list[Step]:
    """Returns two to five steps: a program, then edits of it, with drift and failures; reproducible by `seed`.

    `kinds` limits the edits to some of `EDITS`; empty means all.
    """
    return _ProgramEditor(random.Random(seed), kinds).steps()


class _ProgramEditor:
    """The current program, with the methods that edit it."""

    def __init__(self, rng: random.Random, kinds: frozenset[str]) -> None:
        self.rng = rng
        self.resources: list[Resource] = []
        self.exports: dict[str, Any] = {}
        self.cloud_changes: dict[str, Any] = {}
        self.flags: list[str] = []
        self.name_count = 0
        self.edits = [edit for name, edit in EDITS.items() if not kinds or name in kinds]
        self.weights = [WEIGHTS.get(name, 2) for name in EDITS if not kinds or name in kinds]

    def steps(self) -> list[Step]:
        for _ in range(self.rng.randint(2, 5)):
            self.add()
        if self.rng.random() < 0.5:
            for _ in range(self.rng.randint(1, 3)):
                self.make_edit()
        steps = [self.build_step("up")]
        for _ in range(self.rng.randint(1, 3)):
            for _ in range(self.rng.choice([1, 1, 2, 2, 3])):
                self.make_edit()
            op = self.rng.choices(["up", "preview+up", "refresh", "destroy"], [6, 2, 1, 1])[0]
            if op == "preview+up":
                steps += [self.build_step("preview"), {**self.build_step("up"), "world": {}}]
            else:
                steps.append(self.build_step(op))
            if self.rng.random() < 0.4:
                self.remove_failures()
        if self.rng.random() < 0.35:
            steps.append(self.build_step("destroy"))
        return steps

    def build_step(self, op: str) -> Step:
        step = {"op": op, "resources": copy.deepcopy(self.resources) if op in ("up", "preview") else []}
        step |= {"exports": copy.deepcopy(self.exports)} if self.exports and op in ("up", "preview") else {}
        step |= {"world": copy.deepcopy(self.cloud_changes)} if self.cloud_changes else {}
        step |= {"flags": list(self.flags)} if self.flags and op in ("up", "preview") else {}
        if op != "preview":
            self.cloud_changes = {}
            self.flags = []
        return step

    def make_edit(self) -> None:
        self.rng.choices(self.edits, self.weights)[0](self)

    def remove_failures(self) -> None:
        """Removes the deliberate failures."""
        self.resources = [r for r in self.resources if "raise" not in r]
        for resource in self.resources:
            for key in ("fail", "invalid"):
                resource["props"].pop(key, None)

    # --- choosing -------------------------------------------------------------------------------------------------

    def things(self) -> list[Resource]:
        return [r for r in self.resources if "raise" not in r and not r.get("kind")]

    def pick_thing(self) -> Resource | None:
        things = self.things()
        return self.rng.choice(things) if things else None

    def names_before(self, resource: Resource, kind: str | None = None) -> list[str]:
        """Returns the names of the things (or of another kind) that precede a resource in the program."""
        index = next((i for i, other in enumerate(self.resources) if other is resource), len(self.resources))
        return [r["name"] for r in self.resources[:index] if "raise" not in r and r.get("kind") == kind]

    def new_name(self) -> str:
        self.name_count += 1
        return "abcdefghijklmnopqrstuvwxyz"[(self.name_count - 1) % 26] + (
            "" if self.name_count <= 26 else str(self.name_count)
        )

    def random_value(self, resource: Resource, depth: int = 0) -> Any:
        names = self.names_before(resource)
        kind = self.rng.choices(
            ["number", "ref", "secret", "list", "object", "text", "flag", "null"], [5, 4, 1.2, 1.5, 1.5, 1, 0.5, 0.3]
        )[0]
        if kind == "ref" and names:
            return {"$ref": f"{self.rng.choice(names)}.computed"}
        if kind == "secret":
            return {"$secret": self.random_value(resource, 3)}
        if kind == "list" and depth < 2:
            return [self.random_value(resource, depth + 1) for _ in range(self.rng.randint(0, 3))]
        if kind == "object" and depth < 2:
            keys = self.rng.sample(["k", "j", "v.w"], self.rng.randint(0, 3))
            return {key: self.random_value(resource, depth + 1) for key in keys}
        if kind == "text":
            return self.rng.choice(["", "u", "w"])
        if kind == "flag":
            return self.rng.choice([True, False])
        return None if kind == "null" else self.rng.randint(1, 3)

    def random_path(self, props: dict[str, Any]) -> str:
        """Returns a property path that usually exists in the properties."""
        key = self.rng.choice([*props, "x", "m", "nope"])
        path, value = key, props.get(key)
        for _ in range(2):
            if isinstance(value, dict) and self.rng.random() < 0.7:
                if "$ref" in value or "$secret" in value:
                    break
                name = self.rng.choice([*value, "k", "*"])
                path += "[*]" if name == "*" else f'["{name}"]' if "." in name else f".{name}"
                value = value.get(name)
            elif isinstance(value, list) and self.rng.random() < 0.7:
                number = self.rng.choice(["*", "0", "1", "5"])
                path += f"[{number}]"
                value = (
                    value[int(number)] if number != "*" and int(number) < len(value) else value[0] if value else None
                )
        return "*" if self.rng.random() < 0.1 else path

    # --- edits ----------------------------------------------------------------------------------------------------

    def add(self) -> None:
        name = self.new_name()
        kind = self.rng.choices([None, "box", "provider"], [8, 1.5, 0.8])[0]
        new: Resource = {"name": name, "props": {}, "opts": {}}
        if kind:
            new["kind"] = kind
        index = len(self.resources) if self.rng.random() < 0.8 else self.rng.randint(0, len(self.resources))
        self.resources.insert(index, new)
        if kind == "provider":
            new["props"] = {"x": 1}
            return
        boxes = self.names_before(new, "box")
        if boxes and self.rng.random() < 0.5:
            new["opts"]["parent"] = self.rng.choice(boxes)
        if kind == "box":
            return
        for key in self.rng.sample(["x", "src", "forceX", "m", "l"], self.rng.randint(1, 3)):
            new["props"][key] = self.random_value(new)
        providers = self.names_before(new, "provider")
        if providers and self.rng.random() < 0.5:
            new["opts"]["provider"] = self.rng.choice(providers)
        if self.names_before(new) and self.rng.random() < 0.2:
            new["opts"]["dependsOn"] = [self.rng.choice(self.names_before(new))]
        if self.rng.random() < 0.15:
            new["props"]["dbr"] = True

    def change(self) -> None:
        if thing := self.pick_thing():
            key = self.rng.choice([*thing["props"], "x", "forceX", "src"])
            if key not in ("fail", "invalid", "$type", "dbr"):
                thing["props"][key] = self.random_value(thing)

    def force(self) -> None:
        if thing := self.pick_thing():
            thing["props"]["forceX"] = self.rng.randint(4, 99)

    def unset(self) -> None:
        thing = self.pick_thing()
        if thing and thing["props"]:
            thing["props"].pop(self.rng.choice(list(thing["props"])))

    def refer(self) -> None:
        thing = self.pick_thing()
        if thing and self.names_before(thing):
            key = self.rng.choice(["src", "forceSrc", "m"])
            ref = {"$ref": f"{self.rng.choice(self.names_before(thing))}.computed"}
            thing["props"][key] = {"k": ref, "j": 1} if key == "m" else ref

    def drop(self) -> None:
        """Removes a resource and all references to it."""
        if not self.resources:
            return
        resource = self.rng.choice(self.resources)
        self.remove(resource)

    def remove(self, removed: Resource) -> None:
        self.resources.remove(removed)
        if "raise" in removed:
            return
        name = removed["name"]
        for other in list(self.resources):
            if "raise" in other:
                continue
            opts = other["opts"]
            for key in ("parent", "deletedWith", "provider"):
                if opts.get(key) == name:
                    del opts[key]
            if name in opts.get("dependsOn", ()):
                del opts["dependsOn"]
            other["props"] = _remove_references(other["props"], name)
        self.exports = {k: v for k, v in self.exports.items() if _remove_references({"v": v}, name) == {"v": v}}

    def rename(self) -> None:
        """Renames a resource with a correct alias, a wrong one, or none."""
        candidates = [r for r in self.resources if "raise" not in r]
        if not candidates:
            return
        thing = self.rng.choice(candidates)
        old, new = thing["name"], self.new_name()
        alias_kind = self.rng.choice(["name", "name", "urn", "none", "two"])
        parent = thing["opts"].get("parent")
        if alias_kind == "name":
            thing["opts"]["aliases"] = [{"name": old}]
        elif alias_kind == "two":
            thing["opts"]["aliases"] = [{"name": "ghost"}, {"name": old}]
        elif alias_kind == "urn" and not thing.get("kind") and not parent:
            thing["opts"]["aliases"] = [
                f"urn:pulumi:s::oracle::{thing['props'].get('$type', 'test:index:Thing')}::{old}"
            ]
        thing["name"] = new
        self.rename_references(old, new)

    def rename_references(self, old: str, new: str) -> None:
        for other in self.resources:
            if "raise" in other:
                continue
            opts = other["opts"]
            for key in ("parent", "deletedWith", "provider"):
                if opts.get(key) == old:
                    opts[key] = new
            if "dependsOn" in opts:
                opts["dependsOn"] = [new if n == old else n for n in opts["dependsOn"]]
            other["props"] = _rename_references(other["props"], old, new)
        self.exports = _rename_references(self.exports, old, new)

    def retype(self) -> None:
        if thing := self.pick_thing():
            old = thing["props"].get("$type", "test:index:Thing")
            thing["props"]["$type"] = "test:index:Other" if old == "test:index:Thing" else "test:index:Thing"
            if self.rng.random() < 0.7:
                thing["opts"]["aliases"] = [{"type": old}]

    def move(self) -> None:
        """Moves a thing to another parent, or to the top level."""
        thing = self.pick_thing()
        if thing is None:
            return
        old = thing["opts"].pop("parent", None)
        thing["opts"].pop("dependsOn", None)  # on its parent it would be a cycle
        parents = [n for n in (*self.names_before(thing, "box"), *self.names_before(thing)) if n != old]
        if parents and (old is None or self.rng.random() < 0.6):
            thing["opts"]["parent"] = self.rng.choice(parents)
        if self.rng.random() < 0.8:
            thing["opts"]["aliases"] = [{"parent": old or ROOT_URN}]

    def unalias(self) -> None:
        for resource in self.resources:
            resource.get("opts", {}).pop("aliases", None)

    def protect(self) -> None:
        self.toggle("protect")

    def retain(self) -> None:
        self.toggle("retainOnDelete")

    def toggle(self, option: str) -> None:
        candidates = [r for r in self.resources if "raise" not in r]
        if candidates:
            opts = self.rng.choice(candidates)["opts"]
            if opts.pop(option, None) is None:
                opts[option] = True

    def delete_before_replace(self) -> None:
        if thing := self.pick_thing():
            if self.rng.random() < 0.5:
                thing["opts"]["deleteBeforeReplace"] = self.rng.choice([True, True, False])
            else:
                thing["props"]["dbr"] = True
            if self.rng.random() < 0.6:
                thing["props"]["forceX"] = self.rng.randint(4, 99)

    def ignore(self) -> None:
        if thing := self.pick_thing():
            thing["opts"]["ignoreChanges"] = [self.random_path(thing["props"]) for _ in range(self.rng.randint(1, 2))]

    def replace_on(self) -> None:
        if thing := self.pick_thing():
            thing["opts"]["replaceOnChanges"] = [
                self.random_path(thing["props"]) for _ in range(self.rng.randint(1, 2))
            ]

    def delete_with(self) -> None:
        thing = self.pick_thing()
        if thing and self.names_before(thing):
            thing["opts"]["deletedWith"] = self.rng.choice(self.names_before(thing))

    def depend(self) -> None:
        thing = self.pick_thing()
        if thing:
            names = [
                n
                for n in (*self.names_before(thing), *self.names_before(thing, "box"))
                if n != thing["opts"].get("parent")
            ]
            if names:
                thing["opts"]["dependsOn"] = self.rng.sample(names, min(len(names), self.rng.randint(1, 2)))

    def undepend(self) -> None:
        if thing := self.pick_thing():
            for key in ("dependsOn", "deletedWith"):
                thing["opts"].pop(key, None)

    def change_provider(self) -> None:
        thing = self.pick_thing()
        if thing is None:
            return
        providers = self.names_before(thing, "provider")
        if "provider" in thing["opts"] and self.rng.random() < 0.5:
            del thing["opts"]["provider"]
        elif providers:
            thing["opts"]["provider"] = self.rng.choice(providers)

    def configure_provider(self) -> None:
        """Changes an explicit provider, or adds one; a change of `forceX` replaces it."""
        providers = [r for r in self.resources if r.get("kind") == "provider"]
        if not providers:
            new: Resource = {"name": self.new_name(), "kind": "provider", "props": {"x": 1}, "opts": {}}
            self.resources.insert(0, new)
        else:
            self.rng.choice(providers)["props"][self.rng.choice(["x", "forceX"])] = self.rng.randint(2, 9)

    def import_(self) -> None:
        """Imports a resource with the right inputs, with wrong ones, or one that does not exist."""
        name, id = self.new_name(), f"found-{self.name_count}"
        inputs = {"x": self.rng.randint(1, 3)}
        props = (
            dict(inputs) if self.rng.random() < 0.6 else {"x": 9, **({"forceX": 1} if self.rng.random() < 0.3 else {})}
        )
        if self.rng.random() < 0.9:
            self.cloud_changes[id] = inputs
        old = self.pick_thing()
        if old is not None and self.rng.random() < 0.25:
            old["opts"]["import"], old["props"] = id, props
        else:
            self.resources.append({"name": name, "props": props, "opts": {"import": id}})

    def unimport(self) -> None:
        for resource in self.resources:
            resource.get("opts", {}).pop("import", None)

    def read_existing(self) -> None:
        name, id = self.new_name(), f"out-{self.name_count}"
        if self.rng.random() < 0.9:
            self.cloud_changes[id] = {"x": self.rng.randint(1, 3)}
        old = self.pick_thing()
        if old is not None and self.rng.random() < 0.25:
            old["opts"]["id"], old["props"] = id, {}
        else:
            self.resources.append({"name": name, "props": {}, "opts": {"id": id}})

    def stop_reading(self) -> None:
        for resource in self.resources:
            resource.get("opts", {}).pop("id", None)

    def add_failure(self) -> None:
        if thing := self.pick_thing():
            thing["props"]["fail"] = self.rng.sample(["create", "update", "delete"], self.rng.randint(1, 2))

    def add_invalid_input(self) -> None:
        if thing := self.pick_thing():
            thing["props"]["invalid"] = "must be even"

    def add_exception(self) -> None:
        self.resources.insert(self.rng.randint(0, len(self.resources)), {"raise": "boom"})
        index = next(i for i, r in enumerate(self.resources) if "raise" in r)
        names = {r["name"] for r in self.resources[index:] if "raise" not in r}
        self.exports = {k: v for k, v in self.exports.items() if not _has_reference(v, names)}

    def duplicate(self) -> None:
        if thing := self.pick_thing():
            self.resources.append(copy.deepcopy(thing) | {"opts": {}, "props": {"x": 7}})

    def drift(self) -> None:
        """Changes or deletes an actual resource outside of the program."""
        if thing := self.pick_thing():
            id = f"{thing['name']}-{self.rng.choice([1, 1, 1, 2])}"
            inputs = {k: v for k, v in thing["props"].items() if k in ("x", "forceX") and isinstance(v, int)}
            self.cloud_changes[id] = None if self.rng.random() < 0.4 else {**inputs, "x": 70}

    def mark_secret_outputs(self) -> None:
        if thing := self.pick_thing():
            thing["opts"]["additionalSecretOutputs"] = [self.rng.choice(["computed", "x", "nope"])]

    def add_export(self) -> None:
        things = [r for r in self.things() if not any("raise" in other for other in self.resources)]
        if things:
            self.exports[self.rng.choice(["one", "two"])] = {"$ref": f"{self.rng.choice(things)['name']}.computed"}

    def shuffle(self) -> None:
        """Changes the order of resources without references to each other."""
        index = self.rng.randint(0, max(0, len(self.resources) - 1))
        tail = self.resources[index:]
        names = {r.get("name") for r in tail}
        if not any(
            _has_reference(r.get("props"), names) or _has_option_reference(r.get("opts", {}), names) for r in tail
        ):
            self.rng.shuffle(tail)
            self.resources[index:] = tail

    def flag_refresh(self) -> None:
        self.flags = ["--refresh"]

    def flag_target(self) -> None:
        if thing := self.pick_thing():
            self.flags = ["--target", f"**::{thing['name']}"]
            if self.rng.random() < 0.5:
                self.flags.append("--target-dependents")

    def flag_replace(self) -> None:
        if thing := self.pick_thing():
            self.flags = ["--replace", f"**::{thing['name']}"]


def _remove_references(value: Any, name: str | None) -> Any:
    """Returns the value without references to `name`."""
    if isinstance(value, dict):
        return {k: _remove_references(v, name) for k, v in value.items() if not _is_reference_to(v, name)}
    return (
        [_remove_references(v, name) for v in value if not _is_reference_to(v, name)]
        if isinstance(value, list)
        else value
    )


def _is_reference_to(value: Any, name: str | None) -> bool:
    if isinstance(value, dict) and "$secret" in value:
        return _is_reference_to(value["$secret"], name)
    return isinstance(value, dict) and "$ref" in value and value["$ref"].split(".")[0] == name


def _has_reference(value: Any, names: set[Any]) -> bool:
    if isinstance(value, dict):
        if "$ref" in value:
            return value["$ref"].split(".")[0] in names
        return any(_has_reference(v, names) for v in value.values())
    return isinstance(value, list) and any(_has_reference(v, names) for v in value)


def _has_option_reference(opts: dict[str, Any], names: set[Any]) -> bool:
    referenced = {opts.get("parent"), opts.get("deletedWith"), opts.get("provider"), *opts.get("dependsOn", ())}
    return bool(referenced & names - {None})


def _rename_references(value: Any, old: str, new: str) -> Any:
    if isinstance(value, dict):
        if "$ref" in value:
            name, prop = value["$ref"].split(".")
            return {"$ref": f"{new if name == old else name}.{prop}"}
        return {k: _rename_references(v, old, new) for k, v in value.items()}
    return [_rename_references(v, old, new) for v in value] if isinstance(value, list) else value


EDITS: dict[str, Callable[[_ProgramEditor], None]] = {
    "add": _ProgramEditor.add,
    "change": _ProgramEditor.change,
    "force": _ProgramEditor.force,
    "unset": _ProgramEditor.unset,
    "refer": _ProgramEditor.refer,
    "drop": _ProgramEditor.drop,
    "rename": _ProgramEditor.rename,
    "retype": _ProgramEditor.retype,
    "move": _ProgramEditor.move,
    "unalias": _ProgramEditor.unalias,
    "protect": _ProgramEditor.protect,
    "retain": _ProgramEditor.retain,
    "delete-first": _ProgramEditor.delete_before_replace,
    "ignore": _ProgramEditor.ignore,
    "replace-on": _ProgramEditor.replace_on,
    "deleted-with": _ProgramEditor.delete_with,
    "depend": _ProgramEditor.depend,
    "undepend": _ProgramEditor.undepend,
    "provide": _ProgramEditor.change_provider,
    "provider": _ProgramEditor.configure_provider,
    "import": _ProgramEditor.import_,
    "unimport": _ProgramEditor.unimport,
    "get": _ProgramEditor.read_existing,
    "unget": _ProgramEditor.stop_reading,
    "fail": _ProgramEditor.add_failure,
    "invalid": _ProgramEditor.add_invalid_input,
    "raise": _ProgramEditor.add_exception,
    "duplicate": _ProgramEditor.duplicate,
    "drift": _ProgramEditor.drift,
    "secret-outputs": _ProgramEditor.mark_secret_outputs,
    "export": _ProgramEditor.add_export,
    "shuffle": _ProgramEditor.shuffle,
    "refresh": _ProgramEditor.flag_refresh,
    "target": _ProgramEditor.flag_target,
    "replace": _ProgramEditor.flag_replace,
}
WEIGHTS = {
    "change": 4,
    "force": 4,
    "refer": 4,
    "drop": 4,
    "unalias": 1,
    "unget": 1,
    "raise": 1,
    "duplicate": 0.5,
    "invalid": 0.7,
    "unset": 2,
    "shuffle": 1,
    "refresh": 0.7,
    "target": 0.7,
    "replace": 0.7,
}

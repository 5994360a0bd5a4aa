"""Small programs at random, in the recordings' vocabulary: steps by which two engines are held against each other."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from typing import Any

Step = dict[str, Any]
Resource = dict[str, Any]

ROOT_URN = "urn:pulumi:s::oracle::pulumi:pulumi:Stack::oracle-s"


def scenario(seed: int, *, kinds: frozenset[str] = frozenset()) -> list[Step]:
    """Two to five steps: a program, then edits of it, with drift and failures between them; the same for a seed.

    `kinds` limits the edits to some of `EDITS`; empty means any.
    """
    return _Writer(random.Random(seed), kinds).steps()


class _Writer:
    """Keeps the program as it is now, and edits it."""

    def __init__(self, chance: random.Random, kinds: frozenset[str]) -> None:
        self.chance = chance
        self.resources: list[Resource] = []
        self.exports: dict[str, Any] = {}
        self.world: dict[str, Any] = {}
        self.flags: list[str] = []
        self.count = 0
        self.made: dict[str, int] = {}
        self.edits = [edit for name, edit in EDITS.items() if not kinds or name in kinds]
        self.weights = [WEIGHTS.get(name, 2) for name in EDITS if not kinds or name in kinds]

    def steps(self) -> list[Step]:
        for _ in range(self.chance.randint(2, 5)):
            self.add()
        if self.chance.random() < 0.5:
            for _ in range(self.chance.randint(1, 3)):
                self.edit()
        steps = [self.step("up")]
        for _ in range(self.chance.randint(1, 3)):
            for _ in range(self.chance.choice([1, 1, 2, 2, 3])):
                self.edit()
            op = self.chance.choices(["up", "preview+up", "refresh", "destroy"], [6, 2, 1, 1])[0]
            if op == "preview+up":
                steps += [self.step("preview"), {**self.step("up"), "world": {}}]
            else:
                steps.append(self.step(op))
            if self.chance.random() < 0.4:
                self.mend()
        if self.chance.random() < 0.35:
            steps.append(self.step("destroy"))
        return steps

    def step(self, op: str) -> Step:
        step = {"op": op, "resources": copy.deepcopy(self.resources) if op in ("up", "preview") else []}
        step |= {"exports": copy.deepcopy(self.exports)} if self.exports and op in ("up", "preview") else {}
        step |= {"world": copy.deepcopy(self.world)} if self.world else {}
        step |= {"flags": list(self.flags)} if self.flags and op in ("up", "preview") else {}
        if op != "preview":
            self.world = {}
            self.flags = []
        return step

    def edit(self) -> None:
        self.chance.choices(self.edits, self.weights)[0](self)

    def mend(self) -> None:
        """Nothing fails on purpose any more."""
        self.resources = [r for r in self.resources if "raise" not in r]
        for resource in self.resources:
            for key in ("fail", "invalid"):
                resource["props"].pop(key, None)

    # --- choosing -------------------------------------------------------------------------------------------------

    def things(self) -> list[Resource]:
        return [r for r in self.resources if "raise" not in r and not r.get("kind")]

    def thing(self) -> Resource | None:
        things = self.things()
        return self.chance.choice(things) if things else None

    def before(self, resource: Resource, kind: str | None = None) -> list[str]:
        """Names of the things (or of another kind) that stand before it in the program."""
        at = next((i for i, each in enumerate(self.resources) if each is resource), len(self.resources))
        return [r["name"] for r in self.resources[:at] if "raise" not in r and r.get("kind") == kind]

    def new_name(self) -> str:
        self.count += 1
        return "abcdefghijklmnopqrstuvwxyz"[(self.count - 1) % 26] + ("" if self.count <= 26 else str(self.count))

    def value(self, resource: Resource, depth: int = 0) -> Any:
        names = self.before(resource)
        kind = self.chance.choices(
            ["number", "ref", "secret", "list", "object", "text", "flag", "null"], [5, 4, 1.2, 1.5, 1.5, 1, 0.5, 0.3]
        )[0]
        if kind == "ref" and names:
            return {"$ref": f"{self.chance.choice(names)}.computed"}
        if kind == "secret":
            return {"$secret": self.value(resource, 3)}
        if kind == "list" and depth < 2:
            return [self.value(resource, depth + 1) for _ in range(self.chance.randint(0, 3))]
        if kind == "object" and depth < 2:
            keys = self.chance.sample(["k", "j", "v.w"], self.chance.randint(0, 3))
            return {key: self.value(resource, depth + 1) for key in keys}
        if kind == "text":
            return self.chance.choice(["", "u", "w"])
        if kind == "flag":
            return self.chance.choice([True, False])
        return None if kind == "null" else self.chance.randint(1, 3)

    def some_path(self, props: dict[str, Any]) -> str:
        """A path into the properties, or nearly one."""
        key = self.chance.choice([*props, "x", "m", "nope"])
        path, at = key, props.get(key)
        for _ in range(2):
            if isinstance(at, dict) and self.chance.random() < 0.7:
                if "$ref" in at or "$secret" in at:
                    break
                name = self.chance.choice([*at, "k", "*"])
                path += "[*]" if name == "*" else f'["{name}"]' if "." in name else f".{name}"
                at = at.get(name)
            elif isinstance(at, list) and self.chance.random() < 0.7:
                number = self.chance.choice(["*", "0", "1", "5"])
                path += f"[{number}]"
                at = at[int(number)] if number != "*" and int(number) < len(at) else at[0] if at else None
        return "*" if self.chance.random() < 0.1 else path

    # --- edits ----------------------------------------------------------------------------------------------------

    def add(self) -> None:
        name = self.new_name()
        kind = self.chance.choices([None, "box", "provider"], [8, 1.5, 0.8])[0]
        new: Resource = {"name": name, "props": {}, "opts": {}}
        if kind:
            new["kind"] = kind
        at = len(self.resources) if self.chance.random() < 0.8 else self.chance.randint(0, len(self.resources))
        self.resources.insert(at, new)
        if kind == "provider":
            new["props"] = {"x": 1}
            return
        boxes = self.before(new, "box")
        if boxes and self.chance.random() < 0.5:
            new["opts"]["parent"] = self.chance.choice(boxes)
        if kind == "box":
            return
        for key in self.chance.sample(["x", "src", "forceX", "m", "l"], self.chance.randint(1, 3)):
            new["props"][key] = self.value(new)
        providers = self.before(new, "provider")
        if providers and self.chance.random() < 0.5:
            new["opts"]["provider"] = self.chance.choice(providers)
        if self.before(new) and self.chance.random() < 0.2:
            new["opts"]["dependsOn"] = [self.chance.choice(self.before(new))]
        if self.chance.random() < 0.15:
            new["props"]["dbr"] = True

    def change(self) -> None:
        if thing := self.thing():
            key = self.chance.choice([*thing["props"], "x", "forceX", "src"])
            if key not in ("fail", "invalid", "$type", "dbr"):
                thing["props"][key] = self.value(thing)

    def force(self) -> None:
        if thing := self.thing():
            thing["props"]["forceX"] = self.chance.randint(4, 99)

    def unset(self) -> None:
        thing = self.thing()
        if thing and thing["props"]:
            thing["props"].pop(self.chance.choice(list(thing["props"])))

    def refer(self) -> None:
        thing = self.thing()
        if thing and self.before(thing):
            key = self.chance.choice(["src", "forceSrc", "m"])
            ref = {"$ref": f"{self.chance.choice(self.before(thing))}.computed"}
            thing["props"][key] = {"k": ref, "j": 1} if key == "m" else ref

    def drop(self) -> None:
        """Away with one, and with every mention of it; now and then with all that depend on it."""
        if not self.resources:
            return
        gone = self.chance.choice(self.resources)
        self.remove(gone)

    def remove(self, gone: Resource) -> None:
        self.resources.remove(gone)
        if "raise" in gone:
            return
        name = gone["name"]
        for other in list(self.resources):
            if "raise" in other:
                continue
            opts = other["opts"]
            for key in ("parent", "deletedWith", "provider"):
                if opts.get(key) == name:
                    del opts[key]
            if name in opts.get("dependsOn", ()):
                del opts["dependsOn"]
            other["props"] = _without(other["props"], name)
        self.exports = {k: v for k, v in self.exports.items() if _without({"v": v}, name) == {"v": v}}

    def rename(self) -> None:
        """Another name, with an alias, with a wrong one, or with none."""
        named = [r for r in self.resources if "raise" not in r]
        if not named:
            return
        thing = self.chance.choice(named)
        old, new = thing["name"], self.new_name()
        how = self.chance.choice(["name", "name", "urn", "none", "two"])
        parent = thing["opts"].get("parent")
        if how == "name":
            thing["opts"]["aliases"] = [{"name": old}]
        elif how == "two":
            thing["opts"]["aliases"] = [{"name": "ghost"}, {"name": old}]
        elif how == "urn" and not thing.get("kind") and not parent:
            thing["opts"]["aliases"] = [
                f"urn:pulumi:s::oracle::{thing['props'].get('$type', 'test:index:Thing')}::{old}"
            ]
        thing["name"] = new
        self.rewire(old, new)

    def rewire(self, old: str, new: str) -> None:
        for other in self.resources:
            if "raise" in other:
                continue
            opts = other["opts"]
            for key in ("parent", "deletedWith", "provider"):
                if opts.get(key) == old:
                    opts[key] = new
            if "dependsOn" in opts:
                opts["dependsOn"] = [new if n == old else n for n in opts["dependsOn"]]
            other["props"] = _renamed(other["props"], old, new)
        self.exports = _renamed(self.exports, old, new)

    def retype(self) -> None:
        if thing := self.thing():
            old = thing["props"].get("$type", "test:index:Thing")
            thing["props"]["$type"] = "test:index:Other" if old == "test:index:Thing" else "test:index:Thing"
            if self.chance.random() < 0.7:
                thing["opts"]["aliases"] = [{"type": old}]

    def move(self) -> None:
        """Under another parent, or to the top."""
        thing = self.thing()
        if thing is None:
            return
        old = thing["opts"].pop("parent", None)
        thing["opts"].pop("dependsOn", None)  # on its parent it would be a cycle
        parents = [n for n in (*self.before(thing, "box"), *self.before(thing)) if n != old]
        if parents and (old is None or self.chance.random() < 0.6):
            thing["opts"]["parent"] = self.chance.choice(parents)
        if self.chance.random() < 0.8:
            thing["opts"]["aliases"] = [{"parent": old or ROOT_URN}]

    def unalias(self) -> None:
        for resource in self.resources:
            resource.get("opts", {}).pop("aliases", None)

    def protect(self) -> None:
        self.toggle("protect")

    def retain(self) -> None:
        self.toggle("retainOnDelete")

    def toggle(self, option: str) -> None:
        named = [r for r in self.resources if "raise" not in r]
        if named:
            opts = self.chance.choice(named)["opts"]
            if opts.pop(option, None) is None:
                opts[option] = True

    def first(self) -> None:
        if thing := self.thing():
            if self.chance.random() < 0.5:
                thing["opts"]["deleteBeforeReplace"] = self.chance.choice([True, True, False])
            else:
                thing["props"]["dbr"] = True
            if self.chance.random() < 0.6:
                thing["props"]["forceX"] = self.chance.randint(4, 99)

    def ignore(self) -> None:
        if thing := self.thing():
            thing["opts"]["ignoreChanges"] = [self.some_path(thing["props"]) for _ in range(self.chance.randint(1, 2))]

    def replace_on(self) -> None:
        if thing := self.thing():
            thing["opts"]["replaceOnChanges"] = [
                self.some_path(thing["props"]) for _ in range(self.chance.randint(1, 2))
            ]

    def with_(self) -> None:
        thing = self.thing()
        if thing and self.before(thing):
            thing["opts"]["deletedWith"] = self.chance.choice(self.before(thing))

    def depend(self) -> None:
        thing = self.thing()
        if thing:
            names = [n for n in (*self.before(thing), *self.before(thing, "box")) if n != thing["opts"].get("parent")]
            if names:
                thing["opts"]["dependsOn"] = self.chance.sample(names, min(len(names), self.chance.randint(1, 2)))

    def undepend(self) -> None:
        if thing := self.thing():
            for key in ("dependsOn", "deletedWith"):
                thing["opts"].pop(key, None)

    def provide(self) -> None:
        thing = self.thing()
        if thing is None:
            return
        providers = self.before(thing, "provider")
        if "provider" in thing["opts"] and self.chance.random() < 0.5:
            del thing["opts"]["provider"]
        elif providers:
            thing["opts"]["provider"] = self.chance.choice(providers)

    def provider(self) -> None:
        """Another configuration of an explicit provider; one that `force`s makes it another provider."""
        providers = [r for r in self.resources if r.get("kind") == "provider"]
        if not providers:
            new: Resource = {"name": self.new_name(), "kind": "provider", "props": {"x": 1}, "opts": {}}
            self.resources.insert(0, new)
        else:
            self.chance.choice(providers)["props"][self.chance.choice(["x", "forceX"])] = self.chance.randint(2, 9)

    def import_(self) -> None:
        """Something found in the world, with the right values, with wrong ones, or not there at all."""
        name, id = self.new_name(), f"found-{self.count}"
        there = {"x": self.chance.randint(1, 3)}
        props = (
            dict(there)
            if self.chance.random() < 0.6
            else {"x": 9, **({"forceX": 1} if self.chance.random() < 0.3 else {})}
        )
        if self.chance.random() < 0.9:
            self.world[id] = there
        old = self.thing()
        if old is not None and self.chance.random() < 0.25:
            old["opts"]["import"], old["props"] = id, props
        else:
            self.resources.append({"name": name, "props": props, "opts": {"import": id}})

    def unimport(self) -> None:
        for resource in self.resources:
            resource.get("opts", {}).pop("import", None)

    def get(self) -> None:
        name, id = self.new_name(), f"out-{self.count}"
        if self.chance.random() < 0.9:
            self.world[id] = {"x": self.chance.randint(1, 3)}
        old = self.thing()
        if old is not None and self.chance.random() < 0.25:
            old["opts"]["id"], old["props"] = id, {}
        else:
            self.resources.append({"name": name, "props": {}, "opts": {"id": id}})

    def unget(self) -> None:
        for resource in self.resources:
            resource.get("opts", {}).pop("id", None)

    def fail(self) -> None:
        if thing := self.thing():
            thing["props"]["fail"] = self.chance.sample(["create", "update", "delete"], self.chance.randint(1, 2))

    def invalid(self) -> None:
        if thing := self.thing():
            thing["props"]["invalid"] = "must be even"

    def raise_(self) -> None:
        self.resources.insert(self.chance.randint(0, len(self.resources)), {"raise": "boom"})
        at = next(i for i, r in enumerate(self.resources) if "raise" in r)
        names = {r["name"] for r in self.resources[at:] if "raise" not in r}
        self.exports = {k: v for k, v in self.exports.items() if not _mentions(v, names)}

    def duplicate(self) -> None:
        if thing := self.thing():
            self.resources.append(copy.deepcopy(thing) | {"opts": {}, "props": {"x": 7}})

    def drift(self) -> None:
        """Somebody changed, or deleted, something by hand."""
        if thing := self.thing():
            id = f"{thing['name']}-{self.chance.choice([1, 1, 1, 2])}"
            there = {k: v for k, v in thing["props"].items() if k in ("x", "forceX") and isinstance(v, int)}
            self.world[id] = None if self.chance.random() < 0.4 else {**there, "x": 70}

    def secret_outputs(self) -> None:
        if thing := self.thing():
            thing["opts"]["additionalSecretOutputs"] = [self.chance.choice(["computed", "x", "nope"])]

    def export(self) -> None:
        things = [r for r in self.things() if not any("raise" in each for each in self.resources)]
        if things:
            self.exports[self.chance.choice(["one", "two"])] = {
                "$ref": f"{self.chance.choice(things)['name']}.computed"
            }

    def shuffle(self) -> None:
        """Another order in the program, where nothing refers to anything."""
        at = self.chance.randint(0, max(0, len(self.resources) - 1))
        tail = self.resources[at:]
        names = {r.get("name") for r in tail}
        if not any(_mentions(r.get("props"), names) or _wired(r.get("opts", {}), names) for r in tail):
            self.chance.shuffle(tail)
            self.resources[at:] = tail

    def flag_refresh(self) -> None:
        self.flags = ["--refresh"]

    def flag_target(self) -> None:
        if thing := self.thing():
            self.flags = ["--target", f"**::{thing['name']}"]
            if self.chance.random() < 0.5:
                self.flags.append("--target-dependents")

    def flag_replace(self) -> None:
        if thing := self.thing():
            self.flags = ["--replace", f"**::{thing['name']}"]


def _without(value: Any, name: str | None) -> Any:
    """The value without what refers to `name`."""
    if isinstance(value, dict):
        return {k: _without(v, name) for k, v in value.items() if not _refers(v, name)}
    return [_without(v, name) for v in value if not _refers(v, name)] if isinstance(value, list) else value


def _refers(value: Any, name: str | None) -> bool:
    if isinstance(value, dict) and "$secret" in value:
        return _refers(value["$secret"], name)
    return isinstance(value, dict) and "$ref" in value and value["$ref"].split(".")[0] == name


def _mentions(value: Any, names: set[Any]) -> bool:
    if isinstance(value, dict):
        if "$ref" in value:
            return value["$ref"].split(".")[0] in names
        return any(_mentions(v, names) for v in value.values())
    return isinstance(value, list) and any(_mentions(v, names) for v in value)


def _wired(opts: dict[str, Any], names: set[Any]) -> bool:
    wired = {opts.get("parent"), opts.get("deletedWith"), opts.get("provider"), *opts.get("dependsOn", ())}
    return bool(wired & names - {None})


def _renamed(value: Any, old: str, new: str) -> Any:
    if isinstance(value, dict):
        if "$ref" in value:
            name, prop = value["$ref"].split(".")
            return {"$ref": f"{new if name == old else name}.{prop}"}
        return {k: _renamed(v, old, new) for k, v in value.items()}
    return [_renamed(v, old, new) for v in value] if isinstance(value, list) else value


EDITS: dict[str, Callable[[_Writer], None]] = {
    "add": _Writer.add,
    "change": _Writer.change,
    "force": _Writer.force,
    "unset": _Writer.unset,
    "refer": _Writer.refer,
    "drop": _Writer.drop,
    "rename": _Writer.rename,
    "retype": _Writer.retype,
    "move": _Writer.move,
    "unalias": _Writer.unalias,
    "protect": _Writer.protect,
    "retain": _Writer.retain,
    "delete-first": _Writer.first,
    "ignore": _Writer.ignore,
    "replace-on": _Writer.replace_on,
    "deleted-with": _Writer.with_,
    "depend": _Writer.depend,
    "undepend": _Writer.undepend,
    "provide": _Writer.provide,
    "provider": _Writer.provider,
    "import": _Writer.import_,
    "unimport": _Writer.unimport,
    "get": _Writer.get,
    "unget": _Writer.unget,
    "fail": _Writer.fail,
    "invalid": _Writer.invalid,
    "raise": _Writer.raise_,
    "duplicate": _Writer.duplicate,
    "drift": _Writer.drift,
    "secret-outputs": _Writer.secret_outputs,
    "export": _Writer.export,
    "shuffle": _Writer.shuffle,
    "refresh": _Writer.flag_refresh,
    "target": _Writer.flag_target,
    "replace": _Writer.flag_replace,
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

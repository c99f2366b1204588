"""Run the real Pulumi program in this process, and keep the whole graph of what it asks for.

No engine, no network, no Azure: the program is run as the language host does it, against a monitor that records.
"""

import asyncio
import contextlib
import dataclasses
import json
import runpy
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pulumi
import yaml
from pulumi.runtime import mocks, rpc
from pulumi.runtime import settings as runtime_settings

from azure_resources import CLIENT_CONFIG, answer

PROGRAM = Path(__file__).resolve().parents[2] / "pulumi"
STACK_TYPE = "pulumi:pulumi:Stack"


@dataclass(frozen=True)
class Options:
    """What the engine is told about a resource besides its inputs."""

    protect: bool = False
    ignore_changes: tuple[str, ...] = ()
    replace_on_changes: tuple[str, ...] = ()
    delete_before_replace: bool = False
    retain_on_delete: bool = False


@dataclass(frozen=True)
class Made:
    """A resource as the program asked for it."""

    type: str
    name: str
    urn: str
    custom: bool
    inputs: dict[str, Any]
    outputs: dict[str, Any]
    parent: str
    depends_on: tuple[str, ...]
    options: Options

    @property
    def kind(self) -> str:
        return self.type.removeprefix("azure-native:")

    @property
    def id(self) -> str:
        return self.outputs["id"]


@dataclass
class Graph:
    made: list[Made] = field(default_factory=list)
    outputs: dict[str, Any] = field(default_factory=dict)

    def of(self, kind: str) -> list[Made]:
        return [one for one in self.made if one.kind == kind]

    def one(self, kind: str, name: str | None = None) -> Made:
        found = [one for one in self.of(kind) if name is None or one.name == name]
        assert len(found) == 1, f"{kind} {name}: {[one.name for one in found]}"
        return found[0]

    def has(self, kind: str) -> bool:
        return bool(self.of(kind))

    def leaves(self) -> Iterator[tuple[Made, str, Any]]:
        """Every leaf of every input: the resource, the path, the value."""

        for one in self.made:
            for path, value in leaves(one.inputs):
                yield one, path, value

    def needs(self, one: Made) -> set[str]:
        """The urns that a resource waits for, straight or through others."""
        by_urn = {made.urn: made for made in self.made}
        found: set[str] = set()
        queue = [one.urn]
        while queue:
            for urn in by_urn[queue.pop()].depends_on:
                if urn not in found:
                    found.add(urn)
                    queue.append(urn)
        return found


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every leaf of an input: the path, the value."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from leaves(inner, f"{path}[{index}]")
    else:
        yield path, value


def snapshot(graph: Graph) -> dict[str, Any]:
    """What a reviewer should see change: in the order of type and name, not of the calls."""
    rows = [
        {
            "type": one.type,
            "name": one.name,
            "parent": " ".join(one.parent.split("::")[2:]).rpartition("$")[2],
            "depends_on": sorted({_last(urn) for urn in one.depends_on}),
            **{name: value for name, value in dataclasses.asdict(one.options).items() if value},
            "inputs": _plain(one.inputs),
        }
        for one in graph.made
    ]
    for row in rows:
        if "timePeriod" in row["inputs"]:
            row["inputs"]["timePeriod"] = "the month in which it is made"
    return {"resources": sorted(rows, key=lambda row: (row["type"], row["name"])), "outputs": graph.outputs}


def _last(urn: str) -> str:
    return urn.rsplit("::", 1)[-1]


def _plain(value: Any) -> Any:
    """Numbers come back as floats: whole ones are written as they were."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


class _Mocks(pulumi.runtime.Mocks):
    def __init__(self, location: str) -> None:
        self.location = location

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        if not args.typ.startswith("azure-native:"):
            return "", dict(args.inputs)
        return answer(args.typ, args.name, args.inputs, self.location)

    def call(self, args: pulumi.runtime.MockCallArgs) -> dict[str, Any]:
        assert args.token == "azure-native:authorization:getClientConfig", args.token
        return CLIENT_CONFIG


class _Monitor(mocks.MockMonitor):
    """Keeps what the mocks are not told: parent, dependencies, options, outputs of the stack."""

    def __init__(self, answers: _Mocks, graph: Graph) -> None:
        super().__init__(answers)
        self.graph = graph

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 - gRPC's name
        response = super().RegisterResource(request)
        if request.type != STACK_TYPE:
            outputs = dict(self.resources[response.urn].state)
            self.graph.made.append(
                Made(
                    type=request.type,
                    name=request.name,
                    urn=response.urn,
                    custom=request.custom,
                    inputs=rpc.deserialize_properties(request.object),
                    outputs={**outputs, "id": response.id},
                    parent=request.parent,
                    depends_on=tuple(request.dependencies),
                    options=Options(
                        protect=request.protect,
                        ignore_changes=tuple(request.ignoreChanges),
                        replace_on_changes=tuple(request.replaceOnChanges),
                        delete_before_replace=request.deleteBeforeReplace,
                        retain_on_delete=request.retainOnDelete,
                    ),
                )
            )
        return response

    def RegisterResourceOutputs(self, request: Any) -> Any:  # noqa: N802 - gRPC's name
        if f"::{STACK_TYPE}::" in request.urn:
            self.graph.outputs = rpc.deserialize_properties(request.outputs)
        return super().RegisterResourceOutputs(request)


def configuration(program: Path, stack: str | None) -> dict[str, str]:
    """What the CLI would give the program: the project's defaults, then the stack's file."""
    project = yaml.safe_load((program / "Pulumi.yaml").read_text())
    values = {key: item.get("value", item.get("default")) for key, item in project["config"].items()}
    if stack is not None:
        values |= yaml.safe_load((program / f"Pulumi.{stack}.yaml").read_text())["config"]
    return flat(values)


def flat(values: Mapping[str, Any]) -> dict[str, str]:
    """Configuration as the CLI gives it to a program: names with the project's, values as text."""
    return {
        key if ":" in key else f"batchimg:{key}": value if isinstance(value, str) else json.dumps(value)
        for key, value in values.items()
    }


def run(
    stack: str | None = None,
    config: Mapping[str, Any] | None = None,
    program: Path = PROGRAM,
    named: str | None = None,
) -> Graph:
    """Run the program with a stack's file (or the defaults alone) and more configuration on top.

    ``named`` is the stack's name, where it is another than its file's.
    """
    with _loops_closed():
        merged = {**configuration(program, stack), **flat(config or {})}
        return _run(named or stack or "test", merged, program)


@contextlib.contextmanager
def _loops_closed() -> Iterator[None]:
    """The SDK makes an event loop in every thread that it uses and leaves it open: close them all."""
    made: list[asyncio.AbstractEventLoop] = []
    make = asyncio.new_event_loop

    def noted() -> asyncio.AbstractEventLoop:
        made.append(make())
        return made[-1]

    asyncio.new_event_loop = noted
    try:
        yield
    finally:
        asyncio.new_event_loop = make
        asyncio.set_event_loop(None)
        for loop in made:
            loop.close()


def _run(stack: str, config: Mapping[str, str], program: Path) -> Graph:
    graph = Graph()
    monitor = _Monitor(_Mocks(config["azure-native:location"]), graph)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    # As pulumi.runtime.set_mocks, without the root stack that it makes: run_in_stack makes the only one.
    runtime_settings.set_root_resource(None)
    runtime_settings.configure(
        mocks.MockSettings(
            monitor=monitor,
            monitor_features=set(monitor.GetDeploymentInfo(None).supportedFeatures),
            engine=mocks.MockEngine(None),
            project="batchimg",
            stack=stack,
            dry_run=False,
            organization="test",
            callbacks=None,
        )
    )
    pulumi.runtime.set_all_config(dict(config))
    aside = _set_aside(program)
    before = set(sys.modules)
    try:
        loop.run_until_complete(pulumi.runtime.run_in_stack(lambda: runpy.run_path(str(program), run_name="__main__")))
    finally:
        _forget(program, before)
        sys.modules.update(aside)
        loop.run_until_complete(loop.shutdown_default_executor())  # its threads hold loops of their own
        pulumi.runtime.set_all_config({})
    return graph


def _set_aside(program: Path) -> dict[str, ModuleType]:
    """Take what somebody else has imported under the names of the program's modules out of its way."""
    names = {file.stem for file in program.glob("*.py")} - {"__main__"}
    return {name: sys.modules.pop(name) for name in names & set(sys.modules)}


def _forget(program: Path, before: set[str]) -> None:
    """The program's modules must not be there for the next run, which may be of a changed copy."""
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None)
        if file and Path(file).is_relative_to(program):
            del sys.modules[name]

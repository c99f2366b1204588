"""A language host for Python programs, for a Pulumi CLI that was built here and came without one.

The engine starts it, reads its port from standard output, and asks it to run the program. The SDK's own server of
inline programs does the work; what is added is where the program lies.
"""

import contextlib
import os
import runpy
import sys
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
from pulumi.automation._server import LanguageServer
from pulumi.runtime.proto import language_pb2, language_pb2_grpc, plugin_pb2
from pulumi.runtime.settings import _GRPC_CHANNEL_OPTIONS


class Host(LanguageServer):
    """Runs the program of a project's folder in this process; the engine starts a host for every command."""

    def __init__(self, engine: str) -> None:
        super().__init__(lambda: None)
        self._engine = engine

    def Run(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        folder = Path(request.info.program_directory or request.pwd or ".").resolve()
        os.chdir(folder)
        self.program = lambda: runpy.run_path(str(folder), run_name="__main__")
        request.args[:] = [self._engine]
        return super().Run(request, context)

    def GetPluginInfo(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802 - gRPC's name
        return plugin_pb2.PluginInfo(version="0.0.0")

    def GetProgramDependencies(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802 - gRPC's name
        return language_pb2.GetProgramDependenciesResponse()


def main() -> None:
    engine = next(argument for argument in reversed(sys.argv) if not argument.startswith("-"))
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=4), options=_GRPC_CHANNEL_OPTIONS)
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(Host(engine), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    with contextlib.suppress(KeyboardInterrupt):  # how the engine ends its plugins
        server.wait_for_termination()


if __name__ == "__main__":
    main()

#!/usr/bin/python3
"""A small controller in Python: applies YAML files of objects through the agent API, each as one batch.

Its stubs are generated from the contract at run time, so it shows what any language needs: the .proto files.
Debian 12: apt-get install python3-grpcio python3-protobuf python3-yaml protobuf-compiler protobuf-compiler-grpc
"""
import argparse
import importlib
import pathlib
import subprocess
import sys
import tempfile

import grpc
import yaml
from google.protobuf.json_format import ParseDict, ParseError

PROTO = pathlib.Path(__file__).resolve().parents[2] / "agent-api" / "proto"


def generate():
    """The messages and the client of vrouter.v1."""
    with tempfile.TemporaryDirectory() as out:
        files = sorted(str(path) for path in PROTO.rglob("*.proto"))
        plugin = "--plugin=protoc-gen-grpc_python=/usr/bin/grpc_python_plugin"
        command = ["protoc", f"-I{PROTO}", plugin, f"--python_out={out}", f"--grpc_python_out={out}"]
        subprocess.run(command + files, check=True)
        sys.path.insert(0, out)
        names = ("objects_pb2", "agent_pb2", "agent_pb2_grpc")
        return [importlib.import_module(f"vrouter.v1.{name}") for name in names]


def main():
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("--agent", default="unix:///run/vrouter/agent.sock", help="where the vRouter listens")
    arguments.add_argument("files", nargs="+", type=pathlib.Path)
    options = arguments.parse_args()

    objects, agent, service = generate()
    batches = []
    for number, path in enumerate(options.files, 1):
        documents = [document for document in yaml.safe_load_all(path.read_text()) if document]
        items = sum((document if isinstance(document, list) else [document] for document in documents), [])
        puts = [agent.Operation(put=ParseDict(item, objects.Object())) for item in items]
        batches.append(agent.Batch(id=number, operations=puts))

    failed = False
    with grpc.insecure_channel(options.agent) as channel:
        for result in service.AgentStub(channel).Apply(iter(batches), timeout=30):
            path = options.files[result.id - 1]
            if result.code == 0:
                print(f"{path}: {result.changed} objects changed, generation {result.generation}")
            else:
                failed = True
                where = " ".join(str(result.object).split()) + (f" {result.field}" if result.field else "")
                print(f"{path}: refused: {where}: {result.message} (code {result.code})", file=sys.stderr)
    return int(failed)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (OSError, subprocess.CalledProcessError, yaml.YAMLError, ParseError) as error:
        sys.exit(f"agent.py: {error}")
    except grpc.RpcError as error:
        sys.exit(f"agent.py: {error.code().name}: {error.details()}")

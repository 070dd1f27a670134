"""Starts a saga and prints its events, from nothing but the server's reflection.

This client has no generated code and no .proto file: it asks the server for its types,
as a client in any language may. It prints one JSON object per line: the saga once it has
ended, and then each event of its log. It exits with 0 where the saga completed, with 8
where it was compensated or closed, with 9 where it is stuck, and with 7 where it did not
end in time.
"""

import argparse
import json
import sys
import time

import grpc
from google.protobuf import descriptor_pool, json_format, message_factory
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

SERVICE = "saga.v1.SagaService"
EXITS = {
    "SAGA_STATE_COMPLETED": 0,
    "SAGA_STATE_COMPENSATED": 8,
    "SAGA_STATE_CLOSED": 8,
    "SAGA_STATE_STUCK": 9,
}


class ReflectedService:
    """A gRPC service whose types come from the server."""

    def __init__(self, channel, full_name):
        database = ProtoReflectionDescriptorDatabase(channel)
        self._channel = channel
        self._service = descriptor_pool.DescriptorPool(database).FindServiceByName(full_name)

    def call(self, method_name, request, timeout_s=30):
        """Calls a unary method with a dict, and returns the reply as a dict."""
        method = self._service.FindMethodByName(method_name)
        request_type = message_factory.GetMessageClass(method.input_type)
        reply_type = message_factory.GetMessageClass(method.output_type)
        invoke = self._channel.unary_unary(
            f"/{self._service.full_name}/{method_name}",
            request_serializer=request_type.SerializeToString,
            response_deserializer=reply_type.FromString,
        )
        reply = invoke(json_format.ParseDict(request, request_type()), timeout=timeout_s)
        return json_format.MessageToDict(reply)


def wait_until_ended(sagas, saga_id, timeout_s):
    """Waits in slices until the saga has ended or is stuck, and returns it as it stands."""
    deadline = time.monotonic() + timeout_s
    while True:
        left_s = max(0.0, deadline - time.monotonic())
        timeout = f"{min(left_s, 2.0):.3f}s"
        reply = sagas.call("WaitSaga", {"name": {"sagaId": saga_id}, "timeout": timeout})
        saga = reply["saga"]
        if reply.get("ended") or saga["state"] in EXITS or left_s == 0.0:
            return saga


def list_events(sagas, saga_id):
    """Yields the events of the saga over all pages."""
    page_token = ""
    while True:
        request = {"name": {"sagaId": saga_id}, "pageToken": page_token}
        reply = sagas.call("ListEvents", request)
        yield from reply.get("events", [])
        page_token = reply.get("nextPageToken", "")
        if not page_token:
            return


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("address", help="HOST:PORT of the orchestrator")
    parser.add_argument("definition", help="name of a registered definition")
    parser.add_argument("key", help="the business key")
    parser.add_argument("input", help="the input, as proto-JSON")
    parser.add_argument("--timeout", type=float, default=30.0, help="seconds to wait for the end")
    arguments = parser.parse_args()

    with grpc.insecure_channel(arguments.address) as channel:
        sagas = ReflectedService(channel, SERVICE)
        started = sagas.call(
            "StartSaga",
            {
                "definition": arguments.definition,
                "businessKey": arguments.key,
                "json": arguments.input,
            },
        )
        saga_id = started["saga"]["sagaId"]
        saga = wait_until_ended(sagas, saga_id, arguments.timeout)
        print(json.dumps({"saga": saga}))
        for event in list_events(sagas, saga_id):
            print(json.dumps({"event": event}))
    return EXITS.get(saga["state"], 7)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except grpc.RpcError as error:
        print(f"error: {error.code().name}: {error.details()}", file=sys.stderr)
        sys.exit(1)

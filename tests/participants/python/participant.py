"""A wallet that takes part in sagas. `participant.py PORT DATABASE`"""

import hashlib
import sqlite3
import sys
import time
import uuid
from concurrent import futures

import grpc
from google.protobuf import any_pb2, timestamp_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_reflection.v1alpha import reflection
from saga.participant.v1 import participant_pb2 as saga

import wallet_pb2 as wallet

CODE = grpc.StatusCode
TABLES = """
    pragma journal_mode = wal;
    create table if not exists account (name text primary key, balance integer not null);
    create table if not exists debit (op_id text primary key, account text, amount integer);
    create table if not exists op_log (
        seq integer primary key, op_id text unique not null, saga_id text not null,
        kind text not null, request_hash blob, state text not null, reverses text unique,
        reply blob, code integer, reason text, message text, at_ms integer not null);
"""


class Refusal(Exception):
    """Nothing was done, and nothing will be done under this operation id."""

    def __init__(self, code, reason, message, trailers=()):
        self.code, self.reason, self.message, self.trailers = code, reason, message, trailers


def open_database():
    # A commit that was answered is on the disk.
    database = sqlite3.connect(sys.argv[2], timeout=20, isolation_level=None)
    database.execute("pragma synchronous = full")
    return database


def abort(context, refusal):
    """A status with a machine-readable reason: google.rpc.ErrorInfo in the details."""
    info = any_pb2.Any()
    info.Pack(error_details_pb2.ErrorInfo(reason=refusal.reason, domain="wallet.acme.example"))
    status = status_pb2.Status(
        code=refusal.code.value[0], message=refusal.message[:500], details=[info])
    details = ("grpc-status-details-bin", status.SerializeToString())
    context.set_trailing_metadata((details, *refusal.trailers))
    context.abort(refusal.code, refusal.message[:500])


def find(tx, op_id):
    columns = "kind, request_hash, state, reply, code, reason, message"
    return tx.execute(f"select {columns} from op_log where op_id = ?", (op_id,)).fetchone()


def is_reversed(tx, op_id):
    undone = "select 1 from op_log where reverses = ? and state = 'APPLIED'"
    return tx.execute(undone, (op_id,)).fetchone() is not None


def record(tx, op_id, saga_id, kind, request_hash, state, reverses=None, reply=None, refusal=None):
    told = (refusal.code.value[0], refusal.reason, refusal.message) if refusal else (None,) * 3
    tx.execute(
        "insert into op_log (op_id, saga_id, kind, request_hash, state, reverses, reply, code,"
        " reason, message, at_ms) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (op_id, saga_id, kind, request_hash, state, reverses, reply, *told,
         int(time.time() * 1000)))


def repeat(tx, op_id, row, kind, request_hash):
    """The answer to an operation that is on record, whoever asks and however often."""
    stored_kind, stored_hash, state, reply, code, reason, message = row
    if state == "FENCED":
        raise Refusal(CODE.FAILED_PRECONDITION, "OP_FENCED", "called off before it came")
    if (stored_kind, stored_hash) != (kind, request_hash):
        raise Refusal(CODE.ALREADY_EXISTS, "OP_ID_REUSED", "this id came with another request")
    if state == "REJECTED":
        code = next(it for it in CODE if it.value[0] == code)
        raise Refusal(code, reason, message, [("saga-refusal", "recorded")])
    if is_reversed(tx, op_id):
        raise Refusal(CODE.FAILED_PRECONDITION, "OP_REVERSED", "done, and undone since")
    return reply


def operation(kind, request_type, effect, reverses=lambda request: None):
    """A handler that has its effect at most once, whatever is repeated, late or lost."""

    def handle(raw, context):
        metadata = dict(context.invocation_metadata())
        try:
            op_id = str(uuid.UUID(metadata.get("saga-op-id", "")))
            request = request_type.FromString(raw)
            undoes = reverses(request) and str(uuid.UUID(reverses(request)))
        except Exception:
            abort(context, Refusal(CODE.INVALID_ARGUMENT, "OP_ID_INVALID", "send saga-op-id, a UUID"))
        saga_id = metadata.get("saga-id", "")
        # Of the bytes that came over the wire: encoding a message anew may give others.
        request_hash = hashlib.sha256(raw).digest()
        tx = open_database()
        try:
            # The log and the effect are one transaction. It waits for others to end.
            tx.execute("begin immediate")
            row = find(tx, op_id)
            if row:
                return repeat(tx, op_id, row, kind, request_hash)
            tx.execute("savepoint effect")
            nothing_to_undo = False
            try:
                if undoes:
                    original = find(tx, undoes)
                    if original is None:  # It may still come. From now on it is too late.
                        record(tx, undoes, saga_id, "", None, "FENCED")
                    elif is_reversed(tx, undoes):
                        raise Refusal(CODE.FAILED_PRECONDITION, "ALREADY_REVERSED", "undone before")
                    nothing_to_undo = original is None or original[2] != "APPLIED"
                reply = effect(tx, op_id, request, nothing_to_undo).SerializeToString()
                record(tx, op_id, saga_id, kind, request_hash, "APPLIED", undoes, reply)
            except Refusal as refusal:
                tx.execute("rollback to effect")
                record(tx, op_id, saga_id, kind, request_hash, "REJECTED", refusal=refusal)
                tx.execute("commit")
                refusal.trailers = [("saga-refusal", "recorded")]
                raise
            tx.execute("commit")
            if nothing_to_undo:
                context.set_trailing_metadata([("saga-nothing-to-undo", "true")])
            return reply
        except Refusal as refusal:
            abort(context, refusal)
        finally:
            tx.close()  # Rolls back what was not committed: the caller hears UNKNOWN and asks again.

    # Bytes in, bytes out.
    return grpc.unary_unary_rpc_method_handler(handle)


def balance_of(tx, account):
    row = tx.execute("select balance from account where name = ?", (account,)).fetchone()
    return row[0] if row else 1000


def set_balance(tx, account, balance):
    tx.execute("insert or replace into account values (?, ?)", (account, balance))


def debit(tx, op_id, request, _nothing):
    balance = balance_of(tx, request.account) - request.amount
    if not request.account or request.amount <= 0:
        raise Refusal(CODE.FAILED_PRECONDITION, "DEBIT_INVALID", "an account and an amount")
    if balance < 0:
        raise Refusal(CODE.FAILED_PRECONDITION, "TOO_LITTLE", "the account has too little")
    set_balance(tx, request.account, balance)
    tx.execute("insert into debit values (?, ?, ?)", (op_id, request.account, request.amount))
    return wallet.DebitResponse(balance=balance)


def undo_debit(tx, _op_id, request, nothing_to_undo):
    if not nothing_to_undo:
        op_id = str(uuid.UUID(request.debit_op_id))
        found = "select account, amount from debit where op_id = ?"
        account, amount = tx.execute(found, (op_id,)).fetchone()
        set_balance(tx, account, balance_of(tx, account) + amount)
    return wallet.UndoDebitResponse()


def balance(raw, _context):
    tx = open_database()
    request = wallet.BalanceRequest.FromString(raw)
    try:
        return wallet.BalanceResponse(balance=balance_of(tx, request.account)).SerializeToString()
    finally:
        tx.close()


def resolve(request, context):
    """What became of an operation; with FENCE it never happens from now on."""
    try:
        op_id = str(uuid.UUID(request.op_id))
    except ValueError:
        abort(context, Refusal(CODE.INVALID_ARGUMENT, "OP_ID_INVALID", "op_id is not a UUID"))
    tx = open_database()
    try:
        tx.execute("begin immediate")
        row = find(tx, op_id)
        if row is None and request.mode != saga.RESOLVE_MODE_FENCE:
            return saga.ResolveResponse(absent=saga.Absent())
        if row is None:
            record(tx, op_id, "", "", None, "FENCED")
            tx.execute("commit")
            return saga.ResolveResponse(fenced=saga.Fenced())
        _kind, _hash, state, reply, _code, reason, message = row
        if state == "FENCED":
            return saga.ResolveResponse(fenced=saga.Fenced())
        if state == "REJECTED":
            return saga.ResolveResponse(rejected=saga.Rejected(reason=reason, message=message))
        if is_reversed(tx, op_id):
            return saga.ResolveResponse(reversed=saga.Reversed(reply=reply))
        return saga.ResolveResponse(applied=saga.Applied(reply=reply))
    finally:
        tx.close()


def list_effects(request, _context):
    tx, size = open_database(), min(request.page_size or 50, 1000)
    rows = tx.execute(
        "select seq, op_id, saga_id, kind, state, coalesce(reverses, ''), at_ms from op_log"
        " where seq > ? and ? in ('', saga_id) order by seq limit ?",
        (int(request.page_token or 0), request.saga_id, size)).fetchall()
    tx.close()
    effects = [
        saga.Effect(
            op_id=op_id, saga_id=saga_id, kind=kind, state=f"EFFECT_STATE_{state}",
            reverses=reverses, recorded_at=timestamp_pb2.Timestamp(seconds=at_ms // 1000))
        for _, op_id, saga_id, kind, state, reverses, at_ms in rows]
    more = str(rows[-1][0]) if len(rows) == size else ""
    return saga.ListEffectsResponse(effects=effects, next_page_token=more)


def typed(handle, request_type, reply_type):
    return grpc.unary_unary_rpc_method_handler(
        handle, request_type.FromString, reply_type.SerializeToString)


def serve():
    database = open_database()
    database.executescript(TABLES)
    database.close()
    server = grpc.server(futures.ThreadPoolExecutor(16))
    services = {
        "acme.wallet.v1.WalletService": {
            "Debit": operation("Debit", wallet.DebitRequest, debit),
            "UndoDebit": operation(
                "UndoDebit", wallet.UndoDebitRequest, undo_debit, lambda it: it.debit_op_id),
            "Balance": grpc.unary_unary_rpc_method_handler(balance),
        },
        "saga.participant.v1.ParticipantService": {
            "Resolve": typed(resolve, saga.ResolveRequest, saga.ResolveResponse),
            "ListEffects": typed(list_effects, saga.ListEffectsRequest, saga.ListEffectsResponse),
        },
    }
    for name, methods in services.items():
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, methods),))
    reflection.enable_server_reflection((*services, reflection.SERVICE_NAME), server)
    server.add_insecure_port(f"127.0.0.1:{sys.argv[1]}")
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    serve()

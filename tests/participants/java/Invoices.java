// Invoices that take part in sagas, with their log in memory. `java Invoices PORT`, or
// `java Invoices PORT CALLS` for no more than so many calls at the same time on a connection.

import acme.invoices.v1.*;
import com.google.protobuf.Any;
import com.google.protobuf.ByteString;
import com.google.protobuf.MessageLite;
import com.google.protobuf.UnknownFieldSet;
import io.grpc.*;
import io.grpc.netty.NettyServerBuilder;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.*;
import java.util.regex.Pattern;
import saga.participant.v1.Participant.*;

public final class Invoices {
  static final Pattern UUID = Pattern.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}");

  /** Nothing was done, and nothing will be done under this operation id. */
  static final class Refusal extends Exception {
    final Status.Code code;
    final String reason;

    Refusal(Status.Code code, String reason, String message) {
      super(message);
      this.code = code;
      this.reason = reason;
    }

    /**
     * A status with a machine-readable reason: google.rpc.ErrorInfo in the details. It is younger
     * than the library's types: two texts, written by hand.
     */
    void tell(Metadata trailers) {
      var info = UnknownFieldSet.newBuilder().mergeField(1, text(reason))
          .mergeField(2, text("invoices.acme.example")).build().toByteString();
      var any = Any.newBuilder().setTypeUrl("type.googleapis.com/google.rpc.ErrorInfo").setValue(info);
      var status = com.google.rpc.Status.newBuilder().setCode(code.value()).setMessage(getMessage());
      var details = Metadata.Key.of("grpc-status-details-bin", Metadata.BINARY_BYTE_MARSHALLER);
      trailers.put(details, status.addDetails(any).build().toByteArray());
    }
  }

  static UnknownFieldSet.Field text(String text) {
    return UnknownFieldSet.Field.newBuilder().addLengthDelimited(ByteString.copyFromUtf8(text)).build();
  }

  static final class Row {
    final EffectState state;
    final String sagaId, kind, reverses;
    final ByteString request, reply;
    final Refusal refusal;
    final long at = System.currentTimeMillis() / 1000;

    Row(EffectState state, String sagaId, String kind, String reverses, ByteString request, ByteString reply,
        Refusal refusal) {
      this.state = state;
      this.sagaId = sagaId;
      this.kind = kind;
      this.reverses = reverses;
      this.request = request;
      this.reply = reply;
      this.refusal = refusal;
    }

    static Row fenced(String sagaId) {
      return new Row(EffectState.EFFECT_STATE_FENCED, sagaId, "", "", null, null, null);
    }

    boolean isApplied() {
      return state == EffectState.EFFECT_STATE_APPLIED;
    }
  }

  /** Answers one call, of which it gets what came over the wire. */
  interface Work {
    ByteString answer(ByteString request, Metadata sent, Metadata trailers) throws Refusal, IOException;
  }

  /** What an operation does, and its reply. `original`: what it undoes, if anything. */
  interface Effect {
    MessageLite on(Row original) throws Refusal, IOException;
  }

  // The log and the invoices: whoever holds the lock sees and changes all of it, or nothing.
  static final Object BOOKS = new Object();
  static final Map<String, Row> rows = new LinkedHashMap<>();
  static final Set<String> undone = new HashSet<>();
  static final Map<String, Long> totals = new HashMap<>();

  static Metadata.Key<String> key(String name) {
    return Metadata.Key.of(name, Metadata.ASCII_STRING_MARSHALLER);
  }

  static String uuid(String text) throws Refusal {
    if (text != null && UUID.matcher(text).matches()) return text;
    throw new Refusal(Status.Code.INVALID_ARGUMENT, "OP_ID_INVALID", "an operation's id is a UUID");
  }

  static Refusal precondition(String reason, String message) {
    return new Refusal(Status.Code.FAILED_PRECONDITION, reason, message);
  }

  /** Has its effect at most once, whatever is repeated, late or lost. */
  static ByteString operation(String kind, ByteString request, Metadata sent, Metadata trailers, String undoes,
      Effect effect) throws Refusal, IOException {
    String opId = uuid(sent.get(key("saga-op-id"))), sagaId = Objects.toString(sent.get(key("saga-id")), "");
    if (!undoes.isEmpty()) uuid(undoes);
    if (!rows.containsKey(opId)) {
      try {
        if (undone.contains(undoes)) throw precondition("ALREADY_REVERSED", "undone before");
        // What never came may still come. From now on it is too late.
        if (!undoes.isEmpty()) rows.putIfAbsent(undoes, Row.fenced(sagaId));
        var reply = effect.on(rows.get(undoes)).toByteString();
        rows.put(opId, new Row(EffectState.EFFECT_STATE_APPLIED, sagaId, kind, undoes, request, reply, null));
        if (!undoes.isEmpty()) undone.add(undoes);
      } catch (Refusal refusal) {
        rows.put(opId, new Row(EffectState.EFFECT_STATE_REJECTED, sagaId, kind, "", request, null, refusal));
      }
    }
    Row row = rows.get(opId);
    if (row.state == EffectState.EFFECT_STATE_FENCED) throw precondition("OP_FENCED", "called off before it came");
    if (!row.kind.equals(kind) || !row.request.equals(request))
      throw new Refusal(Status.Code.ALREADY_EXISTS, "OP_ID_REUSED", "this id came with another request");
    if (row.refusal != null) {
      trailers.put(key("saga-refusal"), "recorded");
      throw row.refusal;
    }
    if (undone.contains(opId)) throw precondition("OP_REVERSED", "done, and undone since");
    if (!undoes.isEmpty() && !rows.get(undoes).isApplied()) trailers.put(key("saga-nothing-to-undo"), "true");
    return row.reply;
  }

  /** Bytes in, bytes out: encoding a message anew may give other bytes than came over the wire. */
  static final MethodDescriptor.Marshaller<ByteString> BYTES = new MethodDescriptor.Marshaller<>() {
    public InputStream stream(ByteString bytes) {
      return bytes.newInput();
    }

    public ByteString parse(InputStream stream) {
      try {
        return ByteString.readFrom(stream);
      } catch (IOException error) {
        throw new UncheckedIOException(error);
      }
    }
  };

  static ServerMethodDefinition<ByteString, ByteString> method(String name, Work work) {
    var method = MethodDescriptor.newBuilder(BYTES, BYTES).setType(MethodDescriptor.MethodType.UNARY)
        .setFullMethodName(name).build();
    return ServerMethodDefinition.create(method, (call, sent) -> {
      call.request(2);
      return new ServerCall.Listener<ByteString>() {
        public void onMessage(ByteString request) {
          var trailers = new Metadata();
          try {
            ByteString reply;
            synchronized (BOOKS) {
              reply = work.answer(request, sent, trailers);
            }
            call.sendHeaders(new Metadata());
            call.sendMessage(reply);
            call.close(Status.OK, trailers);
          } catch (Refusal refusal) {
            refusal.tell(trailers);
            call.close(refusal.code.toStatus().withDescription(refusal.getMessage()), trailers);
          } catch (IOException error) {
            call.close(Status.INVALID_ARGUMENT.withDescription("the request cannot be read"), trailers);
          }
        }
      };
    });
  }

  static ServerServiceDefinition invoices() {
    String name = "acme.invoices.v1.InvoicesService";
    return ServerServiceDefinition.builder(name)
        .addMethod(method(name + "/Issue", (bytes, sent, trailers) -> {
          var request = IssueRequest.parseFrom(bytes);
          return operation("Issue", bytes, sent, trailers, "", original -> {
            if (request.getItem().startsWith("gift")) throw precondition("GIFT", "nobody pays for a gift");
            long total = totals.merge(request.getAccount(), 1L, Long::sum);
            return IssueResponse.newBuilder().setTotal(total).build();
          });
        }))
        .addMethod(method(name + "/Void", (bytes, sent, trailers) ->
          operation("Void", bytes, sent, trailers, VoidRequest.parseFrom(bytes).getIssueOpId(), original -> {
            if (original != null && original.isApplied())
              totals.merge(IssueRequest.parseFrom(original.request).getAccount(), -1L, Long::sum);
            return VoidResponse.getDefaultInstance();
          })))
        .addMethod(method(name + "/Total", (bytes, sent, trailers) -> {
          long total = totals.getOrDefault(TotalRequest.parseFrom(bytes).getAccount(), 0L);
          return TotalResponse.newBuilder().setTotal(total).build().toByteString();
        }))
        .build();
  }

  static ResolveResponse resolve(ResolveRequest request) throws Refusal {
    String opId = uuid(request.getOpId());
    if (request.getMode() == ResolveMode.RESOLVE_MODE_FENCE) rows.putIfAbsent(opId, Row.fenced(""));
    Row row = rows.get(opId);
    var told = ResolveResponse.newBuilder();
    if (row == null) return told.setAbsent(Absent.getDefaultInstance()).build();
    if (row.refusal != null) {
      var rejected = Rejected.newBuilder().setReason(row.refusal.reason).setMessage(row.refusal.getMessage());
      return told.setRejected(rejected).build();
    }
    if (!row.isApplied()) return told.setFenced(Fenced.getDefaultInstance()).build();
    if (undone.contains(opId)) return told.setReversed(Reversed.newBuilder().setReply(row.reply)).build();
    return told.setApplied(Applied.newBuilder().setReply(row.reply)).build();
  }

  static ListEffectsResponse listEffects(ListEffectsRequest request) {
    int size = request.getPageSize() == 0 ? 50 : Math.min(request.getPageSize(), 1000);
    int at = request.getPageToken().isEmpty() ? 0 : Integer.parseInt(request.getPageToken());
    var page = ListEffectsResponse.newBuilder();
    var all = new ArrayList<>(rows.entrySet());
    for (; at < all.size() && page.getEffectsCount() < size; at++) {
      Row row = all.get(at).getValue();
      if (!request.getSagaId().isEmpty() && !request.getSagaId().equals(row.sagaId)) continue;
      page.addEffectsBuilder().setOpId(all.get(at).getKey()).setSagaId(row.sagaId).setKind(row.kind)
          .setState(row.state).setReverses(row.reverses).getRecordedAtBuilder().setSeconds(row.at);
    }
    return page.setNextPageToken(at < all.size() ? "" + at : "").build();
  }

  static ServerServiceDefinition participant() {
    String name = "saga.participant.v1.ParticipantService";
    return ServerServiceDefinition.builder(name)
        .addMethod(method(name + "/Resolve",
            (bytes, sent, trailers) -> resolve(ResolveRequest.parseFrom(bytes)).toByteString()))
        .addMethod(method(name + "/ListEffects",
            (bytes, sent, trailers) -> listEffects(ListEffectsRequest.parseFrom(bytes)).toByteString()))
        .build();
  }

  public static void main(String[] arguments) throws Exception {
    var address = new java.net.InetSocketAddress("127.0.0.1", Integer.parseInt(arguments[0]));
    var builder = NettyServerBuilder.forAddress(address).addService(invoices()).addService(participant());
    if (arguments.length > 1) builder.maxConcurrentCallsPerConnection(Integer.parseInt(arguments[1]));
    builder.build().start().awaitTermination();
  }
}

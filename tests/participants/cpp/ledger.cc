// A ledger that takes part in sagas, with its log in memory. `ledger PORT`, or `ledger PORT gzip`
// for replies that are compressed, which nobody asked for.

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>

#include <functional>
#include <map>
#include <mutex>
#include <regex>
#include <set>

#include "ledger.grpc.pb.h"
#include "saga/participant/v1/participant.grpc.pb.h"

namespace kit = saga::participant::v1;
namespace ledger = acme::ledger::v1;
using grpc::ByteBuffer, grpc::CallbackServerContext, grpc::ServerContext, grpc::ServerUnaryReactor;
using grpc::Status, grpc::StatusCode;
using std::string;

// Nothing was done, and nothing will be done under this operation id.
struct Refusal {
  StatusCode code;
  string reason, message;
};

struct Row {
  kit::EffectState state;
  string saga_id, kind, request, reverses, reply;
  Refusal refusal;
  int64_t at = time(nullptr);
};

bool gzip = false;  // Of operations, whoever asks.

// The log and the totals: whoever holds the mutex sees and changes all of it, or nothing.
std::mutex books;
std::map<string, Row> rows;
std::vector<string> order;  // The ids, as they were recorded.
std::set<string> undone;
std::map<string, ledger::PostRequest> posts;  // By operation.
std::map<string, int64_t> totals;             // By account.

void Record(const string& op_id, const Row& row) {
  if (rows.emplace(op_id, row).second) order.push_back(op_id);
  if (!row.reverses.empty()) undone.insert(row.reverses);
}

bool IsUuid(const string& text) {
  static const std::regex uuid("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}");
  return std::regex_match(text, uuid);
}

// A status with a machine-readable reason: google.rpc.Status, which has an ErrorInfo in its
// details. Written by hand: a number and texts of less than 128 bytes.
Status Told(const Refusal& refusal) {
  auto field = [](int number, const string& bytes) {
    return string{char(number << 3 | 2), char(bytes.size())} + bytes;
  };
  string info = field(1, refusal.reason) + field(2, "ledger.acme.example");
  string any = field(1, "type.googleapis.com/google.rpc.ErrorInfo") + field(2, info);
  string status = string{8, char(refusal.code)} + field(2, refusal.message) + field(3, any);
  return Status(refusal.code, refusal.message, status);
}

// What an operation does; `stands`: what it undoes, if anything, took effect. Answers its reply.
using Effect = std::function<string(const string& op_id, bool stands)>;

// Has its effect at most once, whatever is repeated, late or lost. `request` is what came over
// the wire: encoding a message anew may give other bytes.
string Operation(CallbackServerContext* context, const string& kind, const string& request,
                 const string& undoes, const Effect& effect) {
  auto sent = [&](const char* key) {
    auto found = context->client_metadata().find(key);
    if (found == context->client_metadata().end()) return string();
    return string(found->second.data(), found->second.size());
  };
  string op_id = sent("saga-op-id");
  if (!IsUuid(op_id) || (!undoes.empty() && !IsUuid(undoes)))
    throw Refusal{StatusCode::INVALID_ARGUMENT, "OP_ID_INVALID", "an operation's id is a UUID"};
  std::lock_guard<std::mutex> lock(books);
  if (rows.count(op_id) == 0) {
    Row row{kit::EFFECT_STATE_APPLIED, sent("saga-id"), kind, request, undoes};
    try {
      if (undone.count(undoes))
        throw Refusal{StatusCode::FAILED_PRECONDITION, "ALREADY_REVERSED", "undone before"};
      // What never came may still come. From now on it is too late.
      if (!undoes.empty()) Record(undoes, Row{kit::EFFECT_STATE_FENCED, row.saga_id});
      row.reply = effect(op_id, rows.count(undoes) && rows[undoes].state == kit::EFFECT_STATE_APPLIED);
    } catch (const Refusal& refusal) {
      row = {kit::EFFECT_STATE_REJECTED, row.saga_id, kind, request, "", "", refusal};
    }
    Record(op_id, row);
  }
  const Row& row = rows[op_id];
  if (row.state == kit::EFFECT_STATE_FENCED)
    throw Refusal{StatusCode::FAILED_PRECONDITION, "OP_FENCED", "called off before it came"};
  if (row.kind != kind || row.request != request)
    throw Refusal{StatusCode::ALREADY_EXISTS, "OP_ID_REUSED", "this id came with another request"};
  if (row.state == kit::EFFECT_STATE_REJECTED) {
    context->AddTrailingMetadata("saga-refusal", "recorded");
    throw row.refusal;
  }
  if (undone.count(op_id))
    throw Refusal{StatusCode::FAILED_PRECONDITION, "OP_REVERSED", "done, and undone since"};
  if (!undoes.empty() && rows[undoes].state != kit::EFFECT_STATE_APPLIED)
    context->AddTrailingMetadata("saga-nothing-to-undo", "true");
  return row.reply;
}

// Bytes in, bytes out: `work` gets them with the message that they are.
template <typename Request, typename Work>
ServerUnaryReactor* Answer(CallbackServerContext* context, const ByteBuffer* raw, ByteBuffer* reply, Work work) {
  auto* reactor = context->DefaultReactor();
  if (gzip) context->set_compression_algorithm(GRPC_COMPRESS_GZIP);
  grpc::Slice bytes;
  Request request;
  try {
    bool is_whole = ByteBuffer(*raw).DumpToSingleSlice(&bytes).ok();
    string text(reinterpret_cast<const char*>(bytes.begin()), bytes.size());
    if (!is_whole || !request.ParseFromString(text))
      throw Refusal{StatusCode::INVALID_ARGUMENT, "UNDECODABLE", "the request cannot be read"};
    grpc::Slice slice(work(text, request));
    *reply = ByteBuffer(&slice, 1);
    reactor->Finish(Status::OK);
  } catch (const Refusal& refusal) {
    reactor->Finish(Told(refusal));
  }
  return reactor;
}

template <typename Base>
using RawPost = ledger::LedgerService::WithRawCallbackMethod_Post<Base>;
template <typename Base>
using RawReverse = ledger::LedgerService::WithRawCallbackMethod_Reverse<Base>;

class Ledger final : public RawPost<RawReverse<ledger::LedgerService::Service>> {
  ServerUnaryReactor* Post(CallbackServerContext* context, const ByteBuffer* raw, ByteBuffer* reply) override {
    return Answer<ledger::PostRequest>(context, raw, reply, [=](const string& bytes, auto& request) {
      return Operation(context, "Post", bytes, "", [&](const string& op_id, bool) {
        int64_t total = totals[request.account()] + request.amount();
        if (total > 500) throw Refusal{StatusCode::FAILED_PRECONDITION, "OVER_LIMIT", "more than 500"};
        totals[request.account()] = total;
        posts[op_id] = request;
        ledger::PostResponse posted;
        posted.set_total(total);
        posted.set_line(request.account() + string(72, '.') + std::to_string(total));
        return posted.SerializeAsString();
      });
    });
  }

  ServerUnaryReactor* Reverse(CallbackServerContext* context, const ByteBuffer* raw, ByteBuffer* reply) override {
    return Answer<ledger::ReverseRequest>(context, raw, reply, [=](const string& bytes, auto& request) {
      return Operation(context, "Reverse", bytes, request.post_op_id(), [&](const string&, bool stands) {
        const ledger::PostRequest& post = posts[request.post_op_id()];
        if (stands) totals[post.account()] -= post.amount();
        return ledger::ReverseResponse().SerializeAsString();
      });
    });
  }

  Status Total(ServerContext*, const ledger::TotalRequest* request, ledger::TotalResponse* reply) override {
    std::lock_guard<std::mutex> lock(books);
    reply->set_total(totals[request->account()]);
    return Status::OK;
  }
};

class Participant final : public kit::ParticipantService::Service {
  Status Resolve(ServerContext*, const kit::ResolveRequest* request, kit::ResolveResponse* reply) override {
    const string& op_id = request->op_id();
    if (!IsUuid(op_id)) return Told({StatusCode::INVALID_ARGUMENT, "OP_ID_INVALID", "op_id is not a UUID"});
    std::lock_guard<std::mutex> lock(books);
    if (request->mode() == kit::RESOLVE_MODE_FENCE) Record(op_id, Row{kit::EFFECT_STATE_FENCED});
    auto found = rows.find(op_id);
    if (found == rows.end()) {
      reply->mutable_absent();
    } else if (const Row& row = found->second; row.state == kit::EFFECT_STATE_FENCED) {
      reply->mutable_fenced();
    } else if (row.state == kit::EFFECT_STATE_REJECTED) {
      reply->mutable_rejected()->set_reason(row.refusal.reason);
      reply->mutable_rejected()->set_message(row.refusal.message);
    } else if (undone.count(op_id)) {
      reply->mutable_reversed()->set_reply(row.reply);
    } else {
      reply->mutable_applied()->set_reply(row.reply);
    }
    return Status::OK;
  }

  Status ListEffects(ServerContext*, const kit::ListEffectsRequest* request,
                     kit::ListEffectsResponse* reply) override {
    std::lock_guard<std::mutex> lock(books);
    int page = std::min(request->page_size() == 0 ? 50 : request->page_size(), 1000u);
    size_t at = request->page_token().empty() ? 0 : std::stoul(request->page_token());
    for (; at < order.size() && reply->effects_size() < page; at++) {
      const Row& row = rows[order[at]];
      if (!request->saga_id().empty() && row.saga_id != request->saga_id()) continue;
      auto* effect = reply->add_effects();
      effect->set_op_id(order[at]);
      effect->set_saga_id(row.saga_id);
      effect->set_kind(row.kind);
      effect->set_state(row.state);
      effect->set_reverses(row.reverses);
      effect->mutable_recorded_at()->set_seconds(row.at);
    }
    if (at < order.size()) reply->set_next_page_token(std::to_string(at));
    return Status::OK;
  }
};

int main(int count, char** arguments) {
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  Ledger service;
  Participant participant;
  grpc::ServerBuilder builder;
  gzip = count > 2;
  builder.AddListeningPort(string("127.0.0.1:") + arguments[1], grpc::InsecureServerCredentials());
  builder.RegisterService(&service);
  builder.RegisterService(&participant);
  std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  server->Wait();
}

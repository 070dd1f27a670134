# Points that take part in sagas, with their log in a file. `points.rb PORT FILE`

require 'google/protobuf/well_known_types'
require 'google/rpc/error_details_pb'
require 'google/rpc/status_pb'
require 'grpc'
require 'points_pb'
require 'pstore'
require 'saga/participant/v1/participant_pb'

Points = Acme::Points::V1
Kit = Saga::Participant::V1
CODES = GRPC::Core::StatusCodes
UUID = /\A\h{8}(-\h{4}){3}-\h{12}\z/

# The log and the points: a block sees and changes all of it, or nothing, and then it is in the file.
STORE = PStore.new(ARGV[1], true).tap { |store| store.ultra_safe = true }
Row = Struct.new(:state, :saga_id, :kind, :request, :reverses, :reply, :refusal, :at, keyword_init: true)

def in_books
  STORE.transaction do
    yield STORE[:rows] ||= {}, STORE[:undone] ||= {}, STORE[:totals] ||= Hash.new(0)
  end
end

# Nothing was done, and nothing will be done under this operation id.
class Refusal < StandardError
  attr_reader :told

  def initialize(code, reason, message)
    @told = [code, reason, message]
    super(message)
  end
end

# A status with a machine-readable reason: google.rpc.ErrorInfo in the details.
def status((code, reason, message), trailers = {})
  info = Google::Rpc::ErrorInfo.new(reason: reason, domain: 'points.acme.example')
  status = Google::Rpc::Status.new(code: code, message: message, details: [Google::Protobuf::Any.pack(info)])
  details = Google::Rpc::Status.encode(status)
  GRPC::BadStatus.new(code, message, trailers.merge('grpc-status-details-bin' => details))
end

def invalid(message)
  status([CODES::INVALID_ARGUMENT, 'OP_ID_INVALID', message])
end

# The answer to an operation that is on record, whoever asks and however often.
def repeat(row, kind, raw, is_undone)
  precondition = CODES::FAILED_PRECONDITION
  raise status([precondition, 'OP_FENCED', 'called off before it came']) if row.state == :FENCED
  if [row.kind, row.request] != [kind, raw]
    raise status([CODES::ALREADY_EXISTS, 'OP_ID_REUSED', 'this id came with another request'])
  end
  raise status(row.refusal, 'saga-refusal' => 'recorded') if row.state == :REJECTED
  raise status([precondition, 'OP_REVERSED', 'done, and undone since']) if is_undone
  row.reply
end

# Runs the block, which answers the reply, at most once, whatever is repeated, late or lost. `request`
# has what came over the wire: encoding a message anew may give other bytes.
def operation(kind, request, call, undoes = nil)
  raw = request.bytes
  op_id = call.metadata['saga-op-id'].to_s
  saga_id = call.metadata['saga-id'].to_s
  raise invalid('an operation is a UUID') unless [op_id, undoes || op_id].all?(UUID)
  row, original, is_undone = in_books do |rows, undone, totals|
    rows[op_id] ||= begin
      raise Refusal.new(CODES::FAILED_PRECONDITION, 'ALREADY_REVERSED', 'undone before') if undone[undoes]
      # What never came may still come. From now on it is too late.
      rows[undoes] ||= Row.new(state: :FENCED, saga_id: saga_id, at: Time.now.to_i) if undoes
      reply = yield totals, rows[undoes]
      undone[undoes] = true if undoes
      Row.new(state: :APPLIED, saga_id: saga_id, kind: kind, request: raw, reverses: undoes,
              reply: reply, at: Time.now.to_i)
    rescue Refusal => e
      Row.new(state: :REJECTED, saga_id: saga_id, kind: kind, request: raw, refusal: e.told,
              at: Time.now.to_i)
    end
    [rows[op_id], rows[undoes], undone[op_id]]
  end
  reply = repeat(row, kind, raw, is_undone)
  call.output_metadata['saga-nothing-to-undo'] = 'true' if undoes && original.state != :APPLIED
  Raw.new(reply)
end

# A message as the bytes that it is on the wire.
Raw = Struct.new(:bytes) do
  def self.encode(raw) = raw.bytes
  def self.decode(bytes) = new(bytes)
end

class PointsServer
  include GRPC::GenericService
  self.marshal_class_method = :encode
  self.unmarshal_class_method = :decode
  self.service_name = 'acme.points.v1.PointsService'
  rpc :Earn, Raw, Raw
  rpc :TakeBack, Raw, Raw
  rpc :Total, Points::TotalRequest, Points::TotalResponse

  def earn(raw, call)
    request = Points::EarnRequest.decode(raw.bytes)
    operation('Earn', raw, call) do |totals|
      raise Refusal.new(CODES::NOT_FOUND, 'NO_MEMBER', 'a guest') if request.account.start_with?('guest')
      Points::EarnResponse.encode(Points::EarnResponse.new(total: totals[request.account] += request.amount))
    end
  end

  def take_back(raw, call)
    operation('TakeBack', raw, call, Points::TakeBackRequest.decode(raw.bytes).earn_op_id) do |totals, original|
      if original.state == :APPLIED
        earned = Points::EarnRequest.decode(original.request)
        totals[earned.account] -= earned.amount
      end
      Points::TakeBackResponse.encode(Points::TakeBackResponse.new)
    end
  end

  def total(request, _call)
    in_books { |_rows, _undone, totals| Points::TotalResponse.new(total: totals[request.account]) }
  end
end

class ParticipantServer
  include GRPC::GenericService
  self.marshal_class_method = :encode
  self.unmarshal_class_method = :decode
  self.service_name = 'saga.participant.v1.ParticipantService'
  rpc :Resolve, Kit::ResolveRequest, Kit::ResolveResponse
  rpc :ListEffects, Kit::ListEffectsRequest, Kit::ListEffectsResponse

  def resolve(request, _call)
    raise invalid('op_id is not a UUID') unless request.op_id.match?(UUID)
    in_books do |rows, undone|
      is_fenced = request.mode == :RESOLVE_MODE_FENCE
      rows[request.op_id] ||= Row.new(state: :FENCED, at: Time.now.to_i) if is_fenced
      Kit::ResolveResponse.new(**became(rows[request.op_id], undone[request.op_id]))
    end
  end

  def became(row, is_undone)
    return { absent: Kit::Absent.new } unless row
    return { fenced: Kit::Fenced.new } if row.state == :FENCED
    return { rejected: Kit::Rejected.new(reason: row.refusal[1], message: row.refusal[2]) } if row.refusal
    return { reversed: Kit::Reversed.new(reply: row.reply) } if is_undone
    { applied: Kit::Applied.new(reply: row.reply) }
  end

  def list_effects(request, _call)
    from, size = request.page_token.to_i, [request.page_size.nonzero? || 50, 1000].min
    all = in_books { |rows| rows.to_a }
    page = all.each_with_index.drop(from).select { |(_, it), _| ['', it.saga_id].include?(request.saga_id) }
    effects = page.first(size).map do |(op_id, row), _|
      Kit::Effect.new(op_id: op_id, saga_id: row.saga_id.to_s, kind: row.kind.to_s,
                      state: :"EFFECT_STATE_#{row.state}", reverses: row.reverses.to_s,
                      recorded_at: Google::Protobuf::Timestamp.new(seconds: row.at))
    end
    more = page.size > size ? page[size].last.to_s : ''
    Kit::ListEffectsResponse.new(effects: effects, next_page_token: more)
  end
end

server = GRPC::RpcServer.new
server.add_http2_port("127.0.0.1:#{ARGV[0]}", :this_port_is_insecure)
server.handle(PointsServer)
server.handle(ParticipantServer)
server.run_till_terminated

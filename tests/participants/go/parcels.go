// Parcels that take part in sagas, with their log in memory. `parcels PORT`, or `parcels PORT CALLS`
// for no more than so many calls at the same time on a connection.
package main

import (
	"context"
	"log"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/golang/protobuf/proto"
	"github.com/golang/protobuf/ptypes/timestamp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"

	"acme.example/parcels"
	kit "saga/participant/v1"
)

// Nothing was done, and nothing will be done under this operation id.
type refusal struct {
	code            codes.Code
	reason, message string
}

func (it refusal) Error() string { return it.message }

// GRPCStatus has a machine-readable reason: google.rpc.ErrorInfo in the details.
func (it refusal) GRPCStatus() *status.Status {
	info := &errdetails.ErrorInfo{Reason: it.reason, Domain: "parcels.acme.example"}
	told, err := status.New(it.code, it.message).WithDetails(info)
	if err != nil {
		log.Fatal(err)
	}
	return told
}

type row struct {
	state                           kit.EffectState
	sagaID, kind, request, reverses string
	booked                          *parcels.BookRequest
	reply                           interface{}
	refusal                         refusal
	at                              int64
}

// The log and the parcels: whoever holds the mutex sees and changes all of it, or nothing.
var (
	books  sync.Mutex
	rows   = map[string]*row{}
	order  []string // The ids, as they were recorded.
	undone = map[string]bool{}
	totals = map[string]int64{} // By account.
)

func record(opID string, row *row) *row {
	row.at = time.Now().Unix()
	rows[opID] = row
	order = append(order, opID)
	return row
}

var uuid = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// What the request was on the wire: encoding a message anew may give other bytes.
type wire struct{}
type bytesKey struct{}
type originalKey struct{}

func (wire) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context {
	return context.WithValue(ctx, bytesKey{}, new([]byte))
}
func (wire) HandleRPC(ctx context.Context, seen stats.RPCStats) {
	if payload, ok := seen.(*stats.InPayload); ok {
		*ctx.Value(bytesKey{}).(*[]byte) = append([]byte(nil), payload.Data...)
	}
}
func (wire) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (wire) HandleConn(context.Context, stats.ConnStats)                       {}

// Operations have their effect at most once, whatever is repeated, late or lost.
func operation(ctx context.Context, request interface{}, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (interface{}, error) {
	books.Lock()
	defer books.Unlock()
	if !strings.HasSuffix(info.FullMethod, "/Book") && !strings.HasSuffix(info.FullMethod, "/CallOff") {
		return handle(ctx, request)
	}
	sent, _ := metadata.FromIncomingContext(ctx)
	opID, undoes := strings.Join(sent["saga-op-id"], ","), ""
	if undo, ok := request.(*parcels.CallOffRequest); ok {
		undoes = undo.BookOpId
	}
	if !uuid.MatchString(opID) || (undoes != "" && !uuid.MatchString(undoes)) {
		return nil, refusal{codes.InvalidArgument, "OP_ID_INVALID", "an operation's id is a UUID"}
	}
	bytes := string(*ctx.Value(bytesKey{}).(*[]byte))
	it := rows[opID]
	if it == nil {
		it = &row{sagaID: strings.Join(sent["saga-id"], ","), kind: info.FullMethod, request: bytes}
		err := error(nil)
		if undone[undoes] {
			err = refusal{codes.FailedPrecondition, "ALREADY_REVERSED", "undone before"}
		} else {
			if undoes != "" && rows[undoes] == nil { // It may still come. From now on it is too late.
				record(undoes, &row{state: kit.EffectState_EFFECT_STATE_FENCED, sagaID: it.sagaID})
			}
			it.reply, err = handle(context.WithValue(ctx, originalKey{}, rows[undoes]), request)
		}
		if refused, ok := err.(refusal); ok {
			it.state, it.refusal = kit.EffectState_EFFECT_STATE_REJECTED, refused
		} else if err != nil {
			return nil, err
		} else {
			it.state, it.reverses = kit.EffectState_EFFECT_STATE_APPLIED, undoes
			it.booked, _ = request.(*parcels.BookRequest)
			undone[undoes] = undoes != ""
		}
		record(opID, it)
	}
	switch {
	case it.state == kit.EffectState_EFFECT_STATE_FENCED:
		return nil, refusal{codes.FailedPrecondition, "OP_FENCED", "called off before it came"}
	case it.kind != info.FullMethod || it.request != bytes:
		return nil, refusal{codes.AlreadyExists, "OP_ID_REUSED", "this id came with another request"}
	case it.state == kit.EffectState_EFFECT_STATE_REJECTED:
		return nil, trailing(ctx, "saga-refusal", "recorded", it.refusal)
	case undone[opID]:
		return nil, refusal{codes.FailedPrecondition, "OP_REVERSED", "done, and undone since"}
	case undoes != "" && rows[undoes].state != kit.EffectState_EFFECT_STATE_APPLIED:
		return it.reply, trailing(ctx, "saga-nothing-to-undo", "true", nil)
	}
	return it.reply, nil
}

func trailing(ctx context.Context, key, value string, err error) error {
	if failed := grpc.SetTrailer(ctx, metadata.Pairs(key, value)); failed != nil {
		return failed
	}
	return err
}

type service struct{}

func (service) Book(_ context.Context, request *parcels.BookRequest) (*parcels.BookResponse, error) {
	if request.Qty > 50 {
		return nil, refusal{codes.FailedPrecondition, "TOO_HEAVY", "more than 50"}
	}
	totals[request.Account]++
	return &parcels.BookResponse{Total: totals[request.Account]}, nil
}

func (service) CallOff(ctx context.Context, _ *parcels.CallOffRequest) (*parcels.CallOffResponse, error) {
	if original := ctx.Value(originalKey{}).(*row); original.booked != nil {
		totals[original.booked.Account]--
	}
	return &parcels.CallOffResponse{}, nil
}

func (service) Total(_ context.Context, request *parcels.TotalRequest) (*parcels.TotalResponse, error) {
	return &parcels.TotalResponse{Total: totals[request.Account]}, nil
}

type participant struct {
	kit.UnimplementedParticipantServiceServer
}

func (participant) Resolve(_ context.Context, request *kit.ResolveRequest) (*kit.ResolveResponse, error) {
	if !uuid.MatchString(request.OpId) {
		return nil, refusal{codes.InvalidArgument, "OP_ID_INVALID", "op_id is not a UUID"}
	}
	it := rows[request.OpId]
	if it == nil && request.Mode == kit.ResolveMode_RESOLVE_MODE_FENCE {
		it = record(request.OpId, &row{state: kit.EffectState_EFFECT_STATE_FENCED})
	}
	switch {
	case it == nil:
		return &kit.ResolveResponse{Resolution: &kit.ResolveResponse_Absent{Absent: &kit.Absent{}}}, nil
	case it.state == kit.EffectState_EFFECT_STATE_FENCED:
		return &kit.ResolveResponse{Resolution: &kit.ResolveResponse_Fenced{Fenced: &kit.Fenced{}}}, nil
	case it.state == kit.EffectState_EFFECT_STATE_REJECTED:
		rejected := &kit.Rejected{Reason: it.refusal.reason, Message: it.refusal.message}
		return &kit.ResolveResponse{Resolution: &kit.ResolveResponse_Rejected{Rejected: rejected}}, nil
	}
	reply, err := proto.Marshal(it.reply.(proto.Message))
	if undone[request.OpId] {
		reversed := &kit.Reversed{Reply: reply}
		return &kit.ResolveResponse{Resolution: &kit.ResolveResponse_Reversed{Reversed: reversed}}, err
	}
	applied := &kit.Applied{Reply: reply}
	return &kit.ResolveResponse{Resolution: &kit.ResolveResponse_Applied{Applied: applied}}, err
}

func (participant) ListEffects(_ context.Context, request *kit.ListEffectsRequest) (*kit.ListEffectsResponse, error) {
	size, page := int(request.PageSize), &kit.ListEffectsResponse{}
	if size == 0 || size > 1000 {
		size = 50
	}
	at, _ := strconv.Atoi(request.PageToken)
	for ; at < len(order) && len(page.Effects) < size; at++ {
		it := rows[order[at]]
		if request.SagaId == "" || request.SagaId == it.sagaID {
			page.Effects = append(page.Effects, &kit.Effect{
				OpId: order[at], SagaId: it.sagaID, Kind: it.kind, State: it.state,
				Reverses: it.reverses, RecordedAt: &timestamp.Timestamp{Seconds: it.at}})
		}
	}
	if at < len(order) {
		page.NextPageToken = strconv.Itoa(at)
	}
	return page, nil
}

func main() {
	options := []grpc.ServerOption{grpc.StatsHandler(wire{}), grpc.UnaryInterceptor(operation)}
	if len(os.Args) > 2 {
		calls, _ := strconv.Atoi(os.Args[2])
		options = append(options, grpc.MaxConcurrentStreams(uint32(calls)))
	}
	listener, err := net.Listen("tcp", "127.0.0.1:"+os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer(options...)
	parcels.RegisterParcelsServiceServer(server, service{})
	kit.RegisterParticipantServiceServer(server, &participant{})
	reflection.Register(server)
	log.Fatal(server.Serve(listener))
}

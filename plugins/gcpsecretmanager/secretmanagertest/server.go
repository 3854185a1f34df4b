// Package secretmanagertest is Google Cloud Secret Manager in memory, to test
// against: a gRPC server of the real service definition that keeps versions
// with their states, checks checksums and permissions, and fails on request.
package secretmanagertest

import (
	"context"
	"fmt"
	"hash/crc32"
	"maps"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// Project and ProjectNumber are the one project that there is. Like the real
// service, the server names it by its number in what it answers.
const (
	Project       = "trading-bots"
	ProjectNumber = "225994000000"
)

// Server is the service. Set its fields before Start, or under [Server.With].
type Server struct {
	secretmanagerpb.UnimplementedSecretManagerServiceServer

	// Denied permissions, e.g. secretmanager.versions.access.
	Denied map[string]bool
	// Before and After, if set, are called around each call, with the name of
	// the method; an error is the answer. What Before refuses is not done;
	// what After refuses is.
	Before, After func(ctx context.Context, method string) error
	// StaleLatest makes the alias "latest" tell of the version before the
	// latest, as an eventually consistent service may.
	StaleLatest bool
	// DelayedDestroy disables versions where it should destroy them, as a
	// secret with version_destroy_ttl does.
	DelayedDestroy bool
	// Damage changes the payload of answers on their way.
	Damage bool
	// Now is the clock.
	Now func() time.Time

	mu      sync.Mutex
	secrets map[string][]*stored
	calls   map[string]int
}

type stored struct {
	payload   []byte
	state     secretmanagerpb.SecretVersion_State
	createdAt time.Time
}

// Version is one version as it is stored.
type Version struct {
	Number  int
	Payload string
	State   secretmanagerpb.SecretVersion_State
}

// New returns a server that nothing is wrong with.
func New() *Server {
	return &Server{Now: time.Now, Denied: map[string]bool{}, secrets: map[string][]*stored{}, calls: map[string]int{}}
}

// Serve serves on l until stop is called, which closes l and all connections.
func (s *Server) Serve(l net.Listener) (stop func()) {
	g := grpc.NewServer(grpc.UnaryInterceptor(s.intercept))
	secretmanagerpb.RegisterSecretManagerServiceServer(g, s)
	go func() { _ = g.Serve(l) }()
	return g.Stop
}

// With changes the server's fields while it serves.
func (s *Server) With(f func(*Server)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s)
}

// Calls is how often a method was called.
func (s *Server) Calls(method string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[method]
}

// AllCalls is how often anything was called.
func (s *Server) AllCalls() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for c := range maps.Values(s.calls) {
		n += c
	}
	return n
}

// Versions of a secret, oldest first.
func (s *Server) Versions(secret string) []Version {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Version
	for i, v := range s.secrets[secret] {
		all = append(all, Version{i + 1, string(v.payload), v.state})
	}
	return all
}

// Enabled are the numbers of a secret's enabled versions.
func (s *Server) Enabled(secret string) []int {
	var all []int
	for _, v := range s.Versions(secret) {
		if v.State == secretmanagerpb.SecretVersion_ENABLED {
			all = append(all, v.Number)
		}
	}
	return all
}

// Put adds a version as another program would, and the secret if need be.
func (s *Server) Put(secret string, payloads ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.secrets[secret] == nil {
		s.secrets[secret] = []*stored{}
	}
	for _, p := range payloads {
		s.add(secret, []byte(p))
	}
}

// Set changes the state of a version.
func (s *Server) Set(secret string, number int, state secretmanagerpb.SecretVersion_State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.secrets[secret][number-1].state = state
}

// Delete removes a secret with all its versions.
func (s *Server) Delete(secret string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.secrets, secret)
}

func (s *Server) add(secret string, payload []byte) *stored {
	v := &stored{slices.Clone(payload), secretmanagerpb.SecretVersion_ENABLED, s.Now()}
	s.secrets[secret] = append(s.secrets[secret], v)
	return v
}

// intercept counts the call and does what Before and After say.
func (s *Server) intercept(ctx context.Context, req any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	method := info.FullMethod[strings.LastIndex(info.FullMethod, "/")+1:]
	s.mu.Lock()
	s.calls[method]++
	before, after := s.Before, s.After
	s.mu.Unlock()
	if before != nil {
		if err := before(ctx, method); err != nil {
			return nil, err
		}
	}
	answer, err := handle(ctx, req)
	if err == nil && after != nil {
		if err := after(ctx, method); err != nil {
			return nil, err
		}
	}
	return answer, err
}

// allowed answers as the service does: an unknown project is one that the
// caller may do nothing in.
func (s *Server) allowed(name, permission string) error {
	parts := strings.Split(name, "/")
	if len(parts) < 2 || parts[0] != "projects" {
		return status.Errorf(codes.InvalidArgument, "The provided name [%s] does not match the expected format", name)
	}
	if p := parts[1]; p != Project && p != ProjectNumber || s.Denied[permission] {
		return status.Errorf(codes.PermissionDenied, "Permission '%s' denied for resource '%s' (or it may not exist).", permission, name)
	}
	return nil
}

func secretOf(name string) string {
	parts := strings.Split(name, "/")
	if len(parts) < 4 {
		return ""
	}
	return parts[3]
}

func canonical(secret string) string {
	return "projects/" + ProjectNumber + "/secrets/" + secret
}

func describe(secret string, number int, v *stored) *secretmanagerpb.SecretVersion {
	d := &secretmanagerpb.SecretVersion{
		Name:       canonical(secret) + "/versions/" + strconv.Itoa(number),
		CreateTime: timestamppb.New(v.createdAt), State: v.state,
		Etag: fmt.Sprintf("%q", strconv.Itoa(number)+v.state.String()),
	}
	return d
}

func checksum(b []byte) int64 {
	return int64(crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
}

var secretID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,255}$`)

package hearsay

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"

	provider "github.com/tokenkeeper/tokenkeeper/sdk/proto/provider/v1"
	sink "github.com/tokenkeeper/tokenkeeper/sdk/proto/sink/v1"
)

// Conn is a connection to a plugin over which nothing comes back that may not
// be repeated, but for tokens in the places that are theirs.
type Conn struct {
	To      grpc.ClientConnInterface
	Secrets *Secrets
}

var _ grpc.ClientConnInterface = Conn{}

// Invoke implements [grpc.ClientConnInterface].
func (c Conn) Invoke(ctx context.Context, method string, request, reply any, opts ...grpc.CallOption) error {
	asked, answered := message(request), message(reply)
	c.Secrets.hear(asked)
	if bringsSecrets(answered) {
		defer c.Secrets.delay.begin()()
	}
	if err := c.To.Invoke(ctx, method, request, reply, opts...); err != nil {
		return c.failure(err)
	}
	if asked == nil || answered == nil {
		return nil
	}
	c.Secrets.hearOf(ownerOf(asked.ProtoReflect()), answered)
	c.Secrets.declare(secretSettings(answered))
	c.Secrets.cleanMessage(answered.ProtoReflect()) // but for what a person logs in with
	switch a := answered.(type) {
	case *provider.AuthCodeURLResponse:
		return c.address(asked, a.GetUrl())
	case *provider.Login:
		return c.login(asked, a)
	}
	return nil
}

// NewStream implements [grpc.ClientConnInterface]. No call of a plugin is a
// stream.
func (c Conn) NewStream(context.Context, *grpc.StreamDesc, string, ...grpc.CallOption) (grpc.ClientStream, error) {
	return nil, status.Error(codes.Unimplemented, "the plugin is not listened to in streams")
}

func message(m any) proto.Message {
	switch m := m.(type) {
	case proto.Message:
		return m
	case protoadapt.MessageV1:
		return protoadapt.MessageV2Of(m)
	}
	return nil
}

// failure is err with texts that may be repeated. What it means stays.
func (c Conn) failure(err error) error {
	st, ok := status.FromError(err)
	if !ok {
		return status.Error(codes.Unavailable, c.Secrets.Clean(err.Error(), Sentence))
	}
	clean := status.New(st.Code(), c.Secrets.Clean(st.Message(), Sentence))
	for _, d := range st.Details() {
		switch f := d.(type) {
		case *provider.Failure:
			f.Kind = kindOf(f.GetKind())
			c.Secrets.cleanMessage(f.ProtoReflect())
			return with(clean, f)
		case *sink.Failure:
			f.Kind = kindOf(f.GetKind())
			c.Secrets.cleanMessage(f.ProtoReflect())
			return with(clean, f)
		}
	}
	return clean.Err()
}

func with(st *status.Status, f protoadapt.MessageV1) error {
	detailed, err := st.WithDetails(f)
	if err != nil {
		return st.Err()
	}
	return detailed.Err()
}

// login judges what a person shall log in with. His code is shown as it is.
func (c Conn) login(asked proto.Message, l *provider.Login) error {
	if l.UserCode = clip(oneLine(look(l.GetUserCode(), Name).text), Name); c.Secrets.Tells(l.GetUserCode()) {
		const why = "it holds a token or the client's secret"
		return with(status.New(codes.Unavailable, why), &provider.Failure{
			Message: "the plugin's code for the person who logs in is not shown: " + why + "; tell the author of the plugin",
		})
	}
	if l.GetAddress() == "" {
		return nil
	}
	return c.address(asked, l.GetAddress())
}

// longestAddress is what browsers and servers take.
const longestAddress = 8 << 10

// address judges the address at which a person shall log in. It goes to a
// browser as it is, and so to its history and to the broker's logs.
func (c Conn) address(asked proto.Message, address string) error {
	refuse := func(why string) error {
		return with(status.New(codes.Unavailable, why), &provider.Failure{
			Message: "the plugin's address for the login is not shown: " + why + "; tell the author of the plugin",
		})
	}
	u, err := url.Parse(address)
	switch {
	case len(address) > longestAddress:
		return refuse(fmt.Sprintf("it has %d bytes", len(address)))
	case !isPlain(address) || strings.ContainsAny(address, " \n"):
		return refuse("it holds characters that have no place in one")
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return refuse("it is not one of the web")
	case u.User != nil:
		return refuse("it holds a user's name or password")
	case c.Secrets.Tells(address):
		return refuse("it holds a token or the client's secret")
	}
	return nil
}

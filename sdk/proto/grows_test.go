// Package proto_test holds the wire contracts to what was released of them.
package proto_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	providerv1 "github.com/tokenkeeper/tokenkeeper/sdk/proto/provider/v1"
	sinkv1 "github.com/tokenkeeper/tokenkeeper/sdk/proto/sink/v1"
)

// A contract only grows: plugins of an older version send and read what they always
// did. The frozen descriptors are never written again.
func TestContractsOnlyGrow(t *testing.T) {
	for frozen, today := range map[string]protoreflect.FileDescriptor{
		"testdata/provider-1.protoset": providerv1.File_provider_v1_provider_proto,
		"testdata/sink-1.protoset":     sinkv1.File_sink_v1_sink_proto,
	} {
		for _, what := range broken(released(t, frozen, today.Path()), today) {
			t.Errorf("%s: %s", today.Path(), what)
		}
	}
}

// What would break a plugin is found.
func TestBrokenContracts(t *testing.T) {
	const frozen, path = "testdata/provider-1.protoset", "provider/v1/provider.proto"
	message := func(f *descriptorpb.FileDescriptorProto, name string) *descriptorpb.DescriptorProto {
		for _, m := range f.MessageType {
			if m.GetName() == name {
				return m
			}
		}
		t.Fatalf("no message %s", name)
		return nil
	}
	for name, tt := range map[string]struct {
		change func(*descriptorpb.FileDescriptorProto)
		want   string
	}{
		"nothing":       {func(*descriptorpb.FileDescriptorProto) {}, ""},
		"a field more":  {func(f *descriptorpb.FileDescriptorProto) { more(message(f, "Token")) }, ""},
		"renumbered":    {func(f *descriptorpb.FileDescriptorProto) { message(f, "Token").Field[4].Number = proto.Int32(99) }, "Token.id_token"},
		"removed":       {func(f *descriptorpb.FileDescriptorProto) { less(message(f, "Attempt")) }, "Attempt.spool"},
		"of other type": {func(f *descriptorpb.FileDescriptorProto) { bytes(message(f, "Failure").Field[1]) }, "Failure.message"},
		"now a list":    {func(f *descriptorpb.FileDescriptorProto) { list(message(f, "Failure").Field[1]) }, "Failure.message"},
		"renamed":       {func(f *descriptorpb.FileDescriptorProto) { message(f, "Failure").Field[1].Name = proto.String("text") }, "Failure.message"},
		"a call less":   {func(f *descriptorpb.FileDescriptorProto) { f.Service[0].Method = f.Service[0].Method[1:] }, "Provider.Describe"},
		"of other input": {func(f *descriptorpb.FileDescriptorProto) {
			f.Service[0].Method[0].InputType = proto.String(".tokenkeeper.provider.v1.PingRequest")
		}, "Provider.Describe"},
	} {
		old := released(t, frozen, path)
		changed := protodesc.ToFileDescriptorProto(old)
		tt.change(changed)
		today, err := protodesc.NewFile(changed, imports{old.Imports()})
		if err != nil {
			t.Fatal(name, err)
		}
		got := strings.Join(broken(old, today), "; ")
		if (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}

func more(m *descriptorpb.DescriptorProto) {
	f := proto.Clone(m.Field[0]).(*descriptorpb.FieldDescriptorProto)
	f.Name, f.JsonName, f.Number = proto.String("new"), proto.String("new"), proto.Int32(99)
	m.Field = append(m.Field, f)
}

func less(m *descriptorpb.DescriptorProto) { m.Field = m.Field[:len(m.Field)-1] }

func bytes(f *descriptorpb.FieldDescriptorProto) {
	f.Type = descriptorpb.FieldDescriptorProto_TYPE_BYTES.Enum()
}

func list(f *descriptorpb.FieldDescriptorProto) {
	f.Label = descriptorpb.FieldDescriptorProto_LABEL_REPEATED.Enum()
}

// released reads a frozen contract.
func released(t *testing.T, frozen, path string) protoreflect.FileDescriptor {
	t.Helper()
	b, err := os.ReadFile(frozen)
	if err != nil {
		t.Fatal(err)
	}
	var set descriptorpb.FileDescriptorSet
	if err := proto.Unmarshal(b, &set); err != nil {
		t.Fatal(err)
	}
	files, err := protodesc.NewFiles(&set)
	if err != nil {
		t.Fatal(err)
	}
	f, err := files.FindFileByPath(path)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// broken lists what of old is not in today as it was.
func broken(old, today protoreflect.FileDescriptor) (what []string) {
	for i := range old.Messages().Len() {
		m := old.Messages().Get(i)
		now := today.Messages().ByName(m.Name())
		for j := range m.Fields().Len() {
			f := m.Fields().Get(j)
			if now == nil || signature(f) != signature(now.Fields().ByNumber(f.Number())) {
				what = append(what, fmt.Sprintf("%s.%s is not what it was", m.Name(), f.Name()))
			}
		}
	}
	for i := range old.Services().Len() {
		s := old.Services().Get(i)
		now := today.Services().ByName(s.Name())
		for j := range s.Methods().Len() {
			m := s.Methods().Get(j)
			if now == nil || call(m) != call(now.Methods().ByName(m.Name())) {
				what = append(what, fmt.Sprintf("%s.%s is not what it was", s.Name(), m.Name()))
			}
		}
	}
	return what
}

// signature is all that the bytes and the meaning of a field depend on.
func signature(f protoreflect.FieldDescriptor) string {
	if f == nil {
		return ""
	}
	text := fmt.Sprint(f.Number(), f.Name(), f.Kind(), f.Cardinality(), f.IsMap())
	if m := f.Message(); f.IsMap() {
		text += signature(m.Fields().ByNumber(1)) + signature(m.Fields().ByNumber(2))
	} else if m != nil {
		text += string(m.FullName())
	}
	return text
}

func call(m protoreflect.MethodDescriptor) string {
	if m == nil {
		return ""
	}
	return fmt.Sprint(m.Input().FullName(), m.Output().FullName(), m.IsStreamingClient(), m.IsStreamingServer())
}

// imports resolves what a changed file imports.
type imports struct{ of protoreflect.FileImports }

func (i imports) FindFileByPath(path string) (protoreflect.FileDescriptor, error) {
	for n := range i.of.Len() {
		if f := i.of.Get(n); f.Path() == path {
			return f, nil
		}
	}
	return nil, fmt.Errorf("no import %s", path)
}

func (i imports) FindDescriptorByName(name protoreflect.FullName) (protoreflect.Descriptor, error) {
	for n := range i.of.Len() {
		if d := i.of.Get(n).Messages().ByName(name.Name()); d != nil && d.FullName() == name {
			return d, nil
		}
	}
	return nil, fmt.Errorf("no message %s", name)
}

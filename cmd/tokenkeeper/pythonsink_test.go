package main

import (
	"bytes"
	"flag"
	"os"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	sinkv1 "github.com/tokenkeeper/tokenkeeper/sdk/proto/sink/v1"
)

var updateProtoset = flag.Bool("update-protoset", false, "TestPythonSinkSpeaksTheContract: write the descriptors anew")

// TestPythonSinkSpeaksTheContract compares the descriptors that the Python sink
// builds its messages from with the wire contract.
func TestPythonSinkSpeaksTheContract(t *testing.T) {
	var set descriptorpb.FileDescriptorSet
	seen := map[string]bool{}
	var add func(protoreflect.FileDescriptor)
	add = func(f protoreflect.FileDescriptor) { // what a file imports comes first
		if seen[f.Path()] {
			return
		}
		seen[f.Path()] = true
		for i := range f.Imports().Len() {
			add(f.Imports().Get(i).FileDescriptor)
		}
		set.File = append(set.File, protodesc.ToFileDescriptorProto(f))
	}
	add(sinkv1.File_sink_v1_sink_proto)
	want, err := proto.MarshalOptions{Deterministic: true}.Marshal(&set)
	if err != nil {
		t.Fatal(err)
	}
	path := example("sink-python/sink_v1.protoset")
	if *updateProtoset {
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var have descriptorpb.FileDescriptorSet
	if err := proto.Unmarshal(got, &have); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) && !proto.Equal(&have, &set) {
		t.Error("sink_v1.protoset is not what sink.proto says; write it anew with: " +
			"go test ./cmd/tokenkeeper -run TestPythonSinkSpeaksTheContract -update-protoset")
	}
}

package main

import (
	"bytes"
	"flag"
	"os"
	"testing"

	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	providerv1 "github.com/tokenkeeper/tokenkeeper/sdk/proto/provider/v1"
	sinkv1 "github.com/tokenkeeper/tokenkeeper/sdk/proto/sink/v1"
)

var updateProtoset = flag.Bool("update-protoset", false, "TestPython…SpeaksTheContract: write the descriptors anew")

// TestPythonSinkSpeaksTheContract compares the descriptors that the Python sink
// builds its messages from with the wire contract.
func TestPythonSinkSpeaksTheContract(t *testing.T) {
	speaksTheContract(t, "sink-python/sink_v1.protoset", sinkv1.File_sink_v1_sink_proto)
}

// TestPythonProviderSpeaksTheContract is the same for the Python provider. The status
// in which a failure travels is in no .proto file of ours.
func TestPythonProviderSpeaksTheContract(t *testing.T) {
	speaksTheContract(t, "provider-python/provider_v1.protoset", providerv1.File_provider_v1_provider_proto, statuspb.File_google_rpc_status_proto)
}

// speaksTheContract compares a file of an example with the descriptors of files and of
// what they import.
func speaksTheContract(t *testing.T, name string, files ...protoreflect.FileDescriptor) {
	t.Helper()
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
	for _, f := range files {
		add(f)
	}
	want, err := proto.MarshalOptions{Deterministic: true}.Marshal(&set)
	if err != nil {
		t.Fatal(err)
	}
	path := example(name)
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
		t.Errorf("%s is not what the contract says; write it anew with: go test ./cmd/tokenkeeper -run %s -update-protoset", name, t.Name())
	}
}

// TestPythonPluginsShareTheirGround: what makes a process a plugin is one file, and
// stands in both examples, because each is copied as a whole.
func TestPythonPluginsShareTheirGround(t *testing.T) {
	const name = "tokenkeeper_plugin.py"
	if readText(t, example("sink-python/"+name)) != readText(t, example("provider-python/"+name)) {
		t.Errorf("%s differs between examples/sink-python and examples/provider-python: copy the right one over the other", name)
	}
}

package integration

import (
	"encoding/json"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/dnstap-pdns/dnstap-pdns/integration/nmsgcheck"
)

// dnsobsDescriptor describes base:dnsobs (nmsg's dnsobs.proto) for protobuf's own decoder,
// because no Go library has it.
var dnsobsDescriptor = sync.OnceValues(func() (protoreflect.MessageDescriptor, error) {
	const (
		required = descriptorpb.FieldDescriptorProto_LABEL_REQUIRED
		optional = descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL
		bytes    = descriptorpb.FieldDescriptorProto_TYPE_BYTES
		uint32   = descriptorpb.FieldDescriptorProto_TYPE_UINT32
		uint64   = descriptorpb.FieldDescriptorProto_TYPE_UINT64
		fixed32  = descriptorpb.FieldDescriptorProto_TYPE_FIXED32
	)
	m := &descriptorpb.DescriptorProto{Name: proto.String("DnsObs")}
	for i, f := range []struct {
		name  string
		kind  descriptorpb.FieldDescriptorProto_Type
		label descriptorpb.FieldDescriptorProto_Label
	}{
		{"time", uint64, required},
		{"response_ip", bytes, required},
		{"qname", bytes, required},
		{"qtype", uint32, required},
		{"qclass", uint32, required},
		{"rcode", uint32, required},
		{"response", bytes, optional},
		{"query_zone", bytes, optional},
		{"geoid", bytes, optional},
		{"sensor_id", fixed32, optional},
	} {
		m.Field = append(m.Field, &descriptorpb.FieldDescriptorProto{
			Name: proto.String(f.name), Number: proto.Int32(int32(i + 1)), Type: f.kind.Enum(), Label: f.label.Enum(),
		})
	}
	file, err := protodesc.NewFile(&descriptorpb.FileDescriptorProto{
		Name: proto.String("dnsobs.proto"), Syntax: proto.String("proto2"), MessageType: []*descriptorpb.DescriptorProto{m},
	}, nil)
	if err != nil {
		return nil, err
	}
	return file.Messages().Get(0), nil
})

// readDNSObs decodes a dnsobs payload with protobuf and returns it as JSON.
func readDNSObs(t *testing.T, payload []byte) json.RawMessage {
	t.Helper()
	d, err := dnsobsDescriptor()
	if err != nil {
		t.Fatal(err)
	}
	m := dynamicpb.NewMessage(d)
	if err := proto.Unmarshal(payload, m); err != nil {
		t.Fatalf("dnsobs: %v", err)
	}
	if unknown := m.GetUnknown(); len(unknown) > 0 {
		t.Errorf("dnsobs has unknown fields: %x", unknown)
	}
	text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func expectedDNSObs(t *testing.T, r nmsgcheck.Record) fields {
	m := fields{
		"time": decimal(r.Payload.Time.Unix()), "response_ip": r.Server.AsSlice(),
		"qname": wire(t, r.Name), "qtype": r.Type, "qclass": r.Class, "rcode": r.Rcode,
	}
	m.setUnless(r.Response == nil, "response", r.Wire)
	if r.Zone != "" {
		m["query_zone"] = wire(t, r.Zone)
	}
	return m
}

// TestReadersAgreeOnVectors checks that all readers agree on files written by nmsgtool, and
// for dnsobs also with the output of nmsgtool.
func TestReadersAgreeOnVectors(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"unbound-dnsqr", "unbound-dnsqr-zlib", "dnstap-layout", "dnsobs"} {
		data, err := os.ReadFile("nmsgcheck/testdata/" + name + ".nmsg")
		if err != nil {
			t.Fatal(err)
		}
		containers, records := decodeAll(t, data)
		checkIndependently(t, data, containers, records)
		if name == "dnsobs" {
			checkAsPrinted(t, "nmsgcheck/testdata/dnsobs.json", records)
		}
	}
}

func checkAsPrinted(t *testing.T, file string, records []nmsgcheck.Record) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if len(lines) != len(records) {
		t.Fatalf("%s has %d records, %d are read", file, len(lines), len(records))
	}
	for i, line := range lines {
		type printed struct {
			Time                 int64
			ResponseIP           string `json:"response_ip"`
			QName                string
			QType, QClass, RCode string
			Response             []byte
			QueryZone            string `json:"query_zone"`
		}
		var want struct{ Message printed }
		if err := json.Unmarshal([]byte(line), &want); err != nil {
			t.Fatal(err)
		}
		r := records[i]
		got := printed{
			r.Payload.Time.Unix(), r.Server.String(), r.Name,
			dns.TypeToString[r.Type], dns.ClassToString[r.Class], dns.RcodeToString[r.Rcode], r.Wire, r.Zone,
		}
		if d := cmp.Diff(want.Message, got); d != "" {
			t.Errorf("record %d (-nmsgtool +got):\n%s", i, d)
		}
	}
}

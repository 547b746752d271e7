package nmsg

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

// The oracle has descriptors of NMSG's messages for the protobuf library. Each line is a
// label (! required, ? optional, * repeated), a type and a name; the number of the line is
// that of the field; - is an unused number.
var oracleMessages = map[string]string{
	"Nmsg": `
		* NmsgPayload payloads
		* uint32 payload_crcs
		? uint32 sequence
		? uint64 sequence_id`,
	"NmsgPayload": `
		! uint32 vid
		! uint32 msgtype
		! int64 time_sec
		! fixed32 time_nsec
		? bytes payload
		-
		? uint32 source
		? uint32 operator
		? uint32 group`,
	"NmsgFragment": `
		! uint32 id
		! uint32 current
		! uint32 last
		! bytes fragment
		? uint32 crc`,
	"DnsQR": `
		! int32 type
		! bytes query_ip
		! bytes response_ip
		! uint32 proto
		! uint32 query_port
		! uint32 response_port
		! uint32 id
		? bytes qname
		? uint32 qtype
		? uint32 qclass
		? uint32 rcode
		* bytes query_packet
		* int64 query_time_sec
		* sfixed32 query_time_nsec
		* bytes response_packet
		* int64 response_time_sec
		* sfixed32 response_time_nsec
		? bytes tcp
		? bytes icmp
		? double timeout
		? int32 udp_checksum
		? bool resolver_address_zeroed`,
	"DnsObs": `
		! uint64 time
		! bytes response_ip
		! bytes qname
		! uint32 qtype
		! uint32 qclass
		! uint32 rcode
		? bytes response
		? bytes query_zone
		? bytes geoid
		? fixed32 sensor_id`,
	"DnsDedupe": `
		? bytes rrname
		? uint32 rrtype
		? uint32 rrclass
		? uint32 rrttl
		* bytes rdata
		-
		-
		-
		-
		? uint64 count
		? uint32 time_first
		? uint32 time_last
		? int32 type
		? bytes response_ip
		? bytes response
		? bytes bailiwick
		? uint32 zone_time_first
		? uint32 zone_time_last`,
}

// oracle returns an empty message of that name.
func oracle(t testing.TB, name protoreflect.Name) *dynamicpb.Message {
	t.Helper()
	file := &descriptorpb.FileDescriptorProto{
		Name: proto.String("nmsg.proto"), Package: proto.String("nmsg"), Syntax: proto.String("proto2"),
	}
	for name, fields := range oracleMessages {
		file.MessageType = append(file.MessageType, oracleMessage(name, fields))
	}
	fd, err := protodesc.NewFile(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	return dynamicpb.NewMessage(fd.Messages().ByName(name))
}

func oracleMessage(name, fields string) *descriptorpb.DescriptorProto {
	labels := map[string]descriptorpb.FieldDescriptorProto_Label{
		"!": descriptorpb.FieldDescriptorProto_LABEL_REQUIRED,
		"?": descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL,
		"*": descriptorpb.FieldDescriptorProto_LABEL_REPEATED,
	}
	msg := &descriptorpb.DescriptorProto{Name: &name}
	for i, line := range strings.Split(strings.TrimSpace(fields), "\n") {
		words := strings.Fields(line)
		if len(words) != 3 {
			continue
		}
		f := &descriptorpb.FieldDescriptorProto{
			Name: &words[2], Number: proto.Int32(int32(i + 1)), Label: labels[words[0]].Enum(),
		}
		if kind, ok := descriptorpb.FieldDescriptorProto_Type_value["TYPE_"+strings.ToUpper(words[1])]; ok {
			f.Type = descriptorpb.FieldDescriptorProto_Type(kind).Enum()
		} else {
			f.Type, f.TypeName = descriptorpb.FieldDescriptorProto_TYPE_MESSAGE.Enum(), proto.String(".nmsg."+words[1])
		}
		msg.Field = append(msg.Field, f)
	}
	return msg
}

// fields is a message that the oracle read: the values of present fields by name.
type fields map[string]any

// readByOracle decodes b, which must have every required field and no unknown one.
func readByOracle(t testing.TB, name protoreflect.Name, b []byte) fields {
	t.Helper()
	m := oracle(t, name)
	if err := proto.Unmarshal(b, m); err != nil {
		t.Fatalf("%s: %v in %x", name, err, b)
	}
	if unknown := m.GetUnknown(); len(unknown) > 0 {
		t.Fatalf("%s: unknown fields %x", name, unknown)
	}
	return oracleFields(m)
}

func oracleFields(m protoreflect.Message) fields {
	got := fields{}
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if !f.IsList() {
			got[string(f.Name())] = v.Interface()
			return true
		}
		var all []any
		for i := range v.List().Len() {
			one := v.List().Get(i)
			if f.Message() != nil {
				all = append(all, oracleFields(one.Message()))
			} else {
				all = append(all, one.Interface())
			}
		}
		got[string(f.Name())] = all
		return true
	})
	return got
}

package wss

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"
	"time"
	"unicode"

	"pgregory.net/rapid"

	"github.com/dnstap-pdns/dnstap-pdns/forward"
)

// octets decodes hexadecimal text with spaces.
func octets(tb testing.TB, text string) []byte {
	tb.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// data returns a whole Data message.
func data(channel uint32, container []byte, loss forward.Dropped) []byte {
	b := append(appendDataHead(nil, channel, len(container), loss), container...)
	return appendLinkLoss(b, loss)
}

// The octets were derived by hand from the schema: tag (field << 3 | wire type), then the value.
func TestMessagesHaveTheseOctets(t *testing.T) {
	container := []byte("NMSG\x00\x02\x00\x00\x00\x00")
	long := bytes.Repeat([]byte{7}, 300)
	tests := []struct {
		name string
		got  []byte
		want string
	}{
		{"topology", appendTopology(nil), "0801 1001 2200"},
		{"heartbeat", appendHeartbeat(nil, 30*time.Second), "0801 1003 28 b0ea01"},
		{"finished", appendMessage(nil, finishedMessage), "0801 1005"},
		{"alert", appendAlert(nil, fatal, "no"), "0801 1002 32 06 0803 1202 6e6f"},
		{"data", data(202, container, forward.Dropped{}), "0801 1000 1a 11 08ca01 1001 220a 4e4d5347000200000000"},
		{"data after a loss", data(202, container, forward.Dropped{Units: 2, Bytes: 300}),
			"0801 1000 1a 18 08ca01 1001 220a 4e4d5347000200000000 2a05 08ac02 1002"},
		{"long data", data(1, long, forward.Dropped{}), "0801 1000 1a b302 0801 1001 22 ac02" + strings.Repeat("07", 300)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if want := octets(t, tt.want); !bytes.Equal(tt.got, want) {
				t.Errorf("got %x, want %x", tt.got, want)
			}
		})
	}
}

func TestMessagesOfServers(t *testing.T) {
	tests := []struct {
		name, octets string
		want         message
		fails        bool
	}{
		{"topology", "0801 1001 2200", message{version: true, kind: topologyMessage}, false},
		{"packed version", "0a0101 1001", message{version: true, kind: topologyMessage}, false},
		{"several versions", "0802 0801 1001", message{version: true, kind: topologyMessage}, false},
		{"other version", "0802 1001", message{kind: topologyMessage}, false},
		{"no version", "1003", message{kind: heartbeatMessage}, false},
		{"heartbeat", "0801 1003 28e807", message{version: true, kind: heartbeatMessage, heartbeat: time.Second}, false},
		{"heartbeat in a topology", "0801 1001 28e807", message{version: true, kind: topologyMessage, heartbeat: time.Second}, false},
		{"longest heartbeat", "0801 1003 28 ffffffffffffffffff01", message{version: true, kind: heartbeatMessage, heartbeat: (1<<32 - 1) * time.Millisecond}, false},
		{"alert", "0801 1002 3208 0803 1202 6e6f 1807", message{version: true, kind: alertMessage, alert: alert{level: 3, text: []byte("no"), code: 7}}, false},
		{"unknown type", "0801 1063", message{version: true, kind: 99}, false},
		{"unknown fields", "0801 1003 7801 7a0161 79 0000000000000000 7d 00000000", message{version: true, kind: heartbeatMessage}, false},
		{"empty", "", message{}, false},
		{"cut off", "0801 10", message{}, true},
		{"alert cut off", "0801 1002 3208 0803", message{}, true},
		{"junk in an alert", "0801 1002 3201 08", message{}, true},
		{"text as a number", "1201 61", message{}, true},
		{"number as an alert", "3001", message{}, true},
		{"number as a text", "3202 1001", message{}, true},
		{"junk in versions", "0a01 80", message{}, true},
		{"field 0", "0001", message{}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseMessage(octets(t, tt.octets))
			if (err != nil) != tt.fails {
				t.Fatal(err)
			}
			if err == nil && (got.version != tt.want.version || got.kind != tt.want.kind || got.heartbeat != tt.want.heartbeat ||
				got.alert.level != tt.want.alert.level || got.alert.code != tt.want.alert.code || !bytes.Equal(got.alert.text, tt.want.alert.text)) {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

func FuzzParseMessage(f *testing.F) {
	for _, seed := range []string{"0801 1001 2200", "0a0101 1003 28e807", "0801 1002 3208 0803 1202 6e6f 1807", "0801 1000 1a 18 08ca01 1001 2200 2a05 08ac02 1002", "ffff"} {
		f.Add(octets(f, seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parseMessage(b)
		if err != nil {
			return
		}
		if m.heartbeat < 0 || len(m.alert.text) > len(b) {
			t.Errorf("%+v", m)
		}
		for _, r := range printable(m.alert.text, "") {
			if !unicode.IsPrint(r) {
				t.Errorf("%q is logged", r)
			}
		}
	})
}

// TestMessagesAreReadAsWritten also checks that the announced sizes of Data are right: otherwise
// the message is malformed.
func TestMessagesAreReadAsWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		loss := forward.Dropped{Units: rapid.Uint64().Draw(t, "units"), Bytes: rapid.Uint64().Draw(t, "bytes")}
		b := data(rapid.Uint32().Draw(t, "channel"), rapid.SliceOf(rapid.Byte()).Draw(t, "container"), loss)
		if m, err := parseMessage(b); err != nil || m.kind != dataMessage || !m.version {
			t.Errorf("%x: %+v, %v", b, m, err)
		}
		level, text := rapid.Uint64().Draw(t, "level"), rapid.String().Draw(t, "text")
		m, err := parseMessage(appendAlert(nil, level, text))
		if err != nil || m.alert.level != level || string(m.alert.text) != text {
			t.Errorf("%+v, %v", m, err)
		}
	})
}

func TestTextsOfServersAreCleaned(t *testing.T) {
	tests := []struct{ text, secret, want string }{
		{"rate exceeded", "", "rate exceeded"},
		{"a\nlevel=ERROR\x1b[31m\x00\u202e\xff", "", "a?level=ERROR?[31m???"},
		{"key 12345 is unknown", "12345", "key (secret) is unknown"},
		{strings.Repeat("ä", 201), "", strings.Repeat("ä", 200) + "..."},
	}
	for _, tt := range tests {
		if got := printable([]byte(tt.text), tt.secret); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}

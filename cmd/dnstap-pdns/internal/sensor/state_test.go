package sensor

import (
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/forward"
)

func TestStateContainsConnectionsAndQueryRoom(t *testing.T) {
	h := start(t, sourceBlock("a", "a.sock")+sourceBlock("b", "b.sock")+sinkBlock("x")+"pairing {\n max_queries = 1000\n}\n")
	if err := h.Ready(); err != nil {
		t.Errorf("a running sensor is not ready: %v", err)
	}
	r := h.connect(t, "a.sock")
	r.play(t)
	eventually(t, "all has been read", func() bool { return h.State().Ledger.Total.Read == captureFrames })
	s := h.State()
	checkLedger(t, s.Ledger, captureFrames)
	if len(s.Dnstap) != 2 || s.Dnstap[0].Name != "a" || s.Dnstap[1].Name != "b" || s.Dnstap[0].TLS {
		t.Fatalf("sources %+v, want a and b", s.Dnstap)
	}
	if a := s.Dnstap[0]; len(a.Connections) != 1 || a.Open != 1 || a.Accepted != 1 || a.Connections[0].Outward == 0 {
		t.Errorf("got %+v, want one connection with outward messages", a)
	}
	if s.QueryRoom < 17 || s.QueryRoomMax != 1000 {
		t.Errorf("room for queries: %d of %d in use, want at least 17 of 1000", s.QueryRoom, s.QueryRoomMax)
	}
	if last := s.Ledger.Sources[0].LastOutward; time.Since(last) > time.Minute {
		t.Errorf("the last outward message came at %v", last)
	}
	if s.ResolversConfigured {
		t.Error("resolvers configured, want none")
	}

	h.reload(t, sourceBlock("a", "a.sock")+sinkBlock("x")+"scrub {\n resolvers = [\"192.0.2.53\"]\n}\n")
	if s := h.State(); len(s.Dnstap) != 1 || !s.ResolversConfigured {
		t.Errorf("after a reload: %d sources, resolvers configured %v, want 1, true", len(s.Dnstap), s.ResolversConfigured)
	}
	h.stop()
	if err := h.Ready(); err == nil || err.Error() != "the sensor is starting or stopping" {
		t.Errorf("a stopped sensor: ready, or not because of %v", err)
	}
}

func TestSinksAreReadyIfOneWorks(t *testing.T) {
	works, fails := forward.SinkLedger{Name: "works"}, forward.SinkLedger{Name: "fails", FailingSince: time.Unix(1, 0)}
	also, removed := forward.SinkLedger{Name: "also", FailingSince: time.Unix(2, 0)}, forward.SinkLedger{Name: "removed", Removed: true}
	for name, tt := range map[string]struct {
		sinks []forward.SinkLedger
		want  string
	}{
		"it works":           {[]forward.SinkLedger{works}, ""},
		"it fails":           {[]forward.SinkLedger{fails}, `sink "fails" fails`},
		"one works":          {[]forward.SinkLedger{fails, works, also}, ""},
		"none works":         {[]forward.SinkLedger{fails, also}, "sink \"fails\" fails\nsink \"also\" fails"},
		"only a removed one": {[]forward.SinkLedger{fails, removed}, `sink "fails" fails`},
	} {
		err := sinksReady(tt.sinks)
		if err == nil && tt.want != "" || err != nil && err.Error() != tt.want {
			t.Errorf("%s: got %v, want %q", name, err, tt.want)
		}
	}
}

// TestNotReadyWhileTheOnlySinkFails: the folder of its file is missing.
func TestNotReadyWhileTheOnlySinkFails(t *testing.T) {
	h := start(t, sourceBlock("a", "a.sock")+"sink \"nmsg\" \"x\" {\n to = \"file://DIR/out/x.nmsg\"\n rotate = \"0s\"\n}\n")
	r := h.connect(t, "a.sock")
	r.play(t)
	eventually(t, "the sensor is not ready", func() bool {
		err := h.Ready()
		return err != nil && err.Error() == `sink "x" fails`
	})
	if err := os.Mkdir(filepath.Join(h.dir, "out"), 0o700); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the sensor is ready again", func() bool { return h.Ready() == nil })
}

// TestNotReadyWhileTheOnlySinkHangs: nothing reads its standard output.
func TestNotReadyWhileTheOnlySinkHangs(t *testing.T) {
	t.Parallel() // it takes the ten seconds after which a write counts as hanging
	reader, writer := io.Pipe()
	h := newTestSensor(t)
	h.run(t, sourceBlock("a", "a.sock")+"sink \"nmsg\" \"x\" {\n to = \"stdout:\"\n}\n", Options{Log: slog.New(slog.DiscardHandler), Stdout: writer})
	r := h.connect(t, "a.sock")
	r.play(t)
	eventually(t, "the sensor is not ready", func() bool {
		err := h.Ready()
		return err != nil && err.Error() == `sink "x" fails`
	})
	read := make(chan struct{})
	go func() {
		defer close(read)
		io.Copy(io.Discard, reader)
	}()
	eventually(t, "the sensor is ready again", func() bool { return h.Ready() == nil })
	r.close(t)
	h.stop()
	writer.Close()
	<-read
}

// TestNotReadyWhileResolversCannotConnect: the folder of the socket is missing.
func TestNotReadyWhileResolversCannotConnect(t *testing.T) {
	h := start(t, sourceBlock("a", "a.sock")+sinkBlock("x"))
	if err := os.Rename(h.dir, h.dir+".away"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the sensor is not ready", func() bool {
		err := h.Ready()
		return err != nil && err.Error() == `source "a": resolvers cannot connect`
	})
	if err := os.Rename(h.dir+".away", h.dir); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the sensor is ready again", func() bool { return h.Ready() == nil })
}

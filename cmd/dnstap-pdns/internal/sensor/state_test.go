package sensor

import (
	"testing"
	"time"
)

func TestStateContainsConnectionsAndQueryRoom(t *testing.T) {
	h := start(t, sourceBlock("a", "a.sock")+sourceBlock("b", "b.sock")+sinkBlock("x")+"pairing {\n max_queries = 1000\n}\n")
	if !h.Open() {
		t.Error("a running sensor is not open")
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
	if h.Open() {
		t.Error("a stopped sensor is open")
	}
}

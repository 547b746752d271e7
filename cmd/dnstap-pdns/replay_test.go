package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/dnstap-pdns/dnstap-pdns/conf"
	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap"
	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
)

// TestReplaySendsOnlyWithSend counts what a receiver gets.
func TestReplaySendsOnlyWithSend(t *testing.T) {
	receiver, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer receiver.Close()
	config := filepath.Join(t.TempDir(), "c.hcl")
	text := fmt.Sprintf("sink \"nmsg\" \"s\" {\n  to = \"udp://%s\"\n}\n", receiver.LocalAddr())
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	to := "udp://" + receiver.LocalAddr().String()
	for _, c := range []struct {
		args []string
		exit int
	}{
		{[]string{"replay", "-c", config, "demo.fstrm"}, exitUsage},
		{[]string{"replay", "demo.fstrm", "--to", to}, exitUsage},
		{[]string{"replay", "-c", config, "demo.fstrm", "missing.fstrm", "--send"}, exitFailed},
		{[]string{"replay", "demo.fstrm", "missing.fstrm", "--send", "--to", to}, exitFailed},
		{[]string{"replay", "-c", config, "demo.fstrm", "--send"}, exitDone}, // only this one sends
	} {
		var errs bytes.Buffer
		if code := realMain(c.args, stdio{in: nullInput(t), out: io.Discard, err: &errs}); code != c.exit {
			t.Errorf("%q: exit %d, want %d: %s", c.args, code, c.exit, &errs)
		}
	}
	if _, err := receiver.WriteToUDP([]byte("end"), receiver.LocalAddr().(*net.UDPAddr)); err != nil {
		t.Fatal(err)
	}
	var assembler nmsg.Assembler
	records := 0
	for buf := make([]byte, 1<<16); ; {
		n, from, err := receiver.ReadFromUDPAddrPort(buf)
		if err != nil {
			t.Fatal(err)
		}
		if string(buf[:n]) == "end" {
			break
		}
		assembler.Add(buf[:n], time.Now(), from)
		for {
			_, err := assembler.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			records++
		}
	}
	if records != 88 {
		t.Errorf("%d records, want the 88 of the last command", records)
	}
}

// TestReplayStopsWhileOnRotateRuns: a signal also kills the command of on_rotate.
func TestReplayStopsWhileOnRotateRuns(t *testing.T) {
	dir := t.TempDir()
	config, pid := filepath.Join(dir, "c.hcl"), filepath.Join(dir, "pid")
	hcl := fmt.Sprintf(`
sink "nmsg" "files" {
  to        = "file://%s/out.nmsg"
  rotate    = "0s"
  on_rotate = ["/bin/sh", "-c", "echo $$ >%s.new; mv %s.new %s; sleep 1000"]
}
`, dir, pid, pid, pid)
	if err := os.WriteFile(config, []byte(hcl), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, interrupt := context.WithCancel(t.Context())
	done := make(chan error, 1)
	var errs stopper // a sink that was not stopped in time may still log
	go func() {
		done <- replay(ctx, []string{"--send", "-c", config, "demo.fstrm"}, stdio{out: io.Discard, err: &errs})
	}()
	var number []byte
	await(t, "on_rotate runs", func() bool {
		var err error
		number, err = os.ReadFile(pid)
		return err == nil
	})
	interrupt()
	select {
	case err := <-done:
		if !strings.Contains(errs.String(), "delivered") {
			t.Errorf("got %v, and no ledger:\n%s", err, &errs)
		}
	case <-time.After(2 * patience):
		t.Fatal("it continues after the signal")
	}
	await(t, "the command is dead", func() bool {
		stat, err := os.ReadFile("/proc/" + strings.TrimSpace(string(number)) + "/stat")
		return err != nil || bytes.Contains(stat, []byte(") Z "))
	})
}

// tunnelled returns a packet source that decapsulates tunnels.
func tunnelled(from, to string) pcap.Config {
	c := pcap.Config{Resolvers: []netip.Prefix{netip.MustParsePrefix("192.0.2.53/32")}, Decapsulate: true}
	c.DecapsulateFrom = []netip.Prefix{netip.MustParsePrefix(from)}
	if to != "" {
		c.DecapsulateTo = []netip.Prefix{netip.MustParsePrefix(to)}
	}
	return c
}

// TestForgedTunnelsMakeNoRecord replays packets that a host on the Internet put into VXLAN from
// 198.51.100.66 to 203.0.113.200. They make a record only if decapsulate_from contains that
// host.
func TestForgedTunnelsMakeNoRecord(t *testing.T) {
	const forger, target, mirror, collector = "198.51.100.66/32", "203.0.113.200/32", "10.9.9.1/32", "10.9.9.2/32"
	plain := tunnelled(forger, target)
	plain.Decapsulate = false
	for name, c := range map[string]struct {
		sources []pcap.Config
		records uint64
	}{
		"no decapsulation":               {[]pcap.Config{plain}, 0},
		"another source":                 {[]pcap.Config{tunnelled(mirror, "")}, 0},
		"another destination":            {[]pcap.Config{tunnelled(forger, collector)}, 0},
		"this source":                    {[]pcap.Config{tunnelled(forger, "")}, 1},
		"two others":                     {[]pcap.Config{tunnelled(mirror, target), tunnelled("10.9.9.3/32", "")}, 0},
		"the second one's":               {[]pcap.Config{tunnelled(mirror, collector), tunnelled(forger, target)}, 1},
		"from one's, not decapsulating":  {[]pcap.Config{plain, tunnelled(mirror, "")}, 0},
		"one that takes any destination": {[]pcap.Config{tunnelled(mirror, ""), tunnelled(forger, collector)}, 1},
	} {
		file, diags := conf.Default()
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		config := &file.Config
		config.Packets = c.sources
		packets, err := replayPackets(config, "", false)
		if err != nil {
			t.Fatal(err)
		}
		stdout, err := conf.ParseTarget("stdout:")
		if err != nil {
			t.Fatal(err)
		}
		r := replayer{
			config: config,
			inputs: inputReader{config: config, packets: packets},
			sinks:  []forward.SinkConfig{conf.SinkFor("to", stdout)},
			log:    slog.New(slog.DiscardHandler),
			out:    io.Discard,
		}
		ledger, err := r.run(t.Context(), []string{"../../fallback/pcap/testdata/forged-through-vxlan.pcap"})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := ledger.Total.Records; got != c.records || r.inputs.stats.Packets != 2 {
			t.Errorf("%s: %d records, want %d, of %d packets", name, got, c.records, r.inputs.stats.Packets)
		}
	}
}

func TestPacketSourcesAreReplayedTogether(t *testing.T) {
	first, second, third := tunnelled("10.9.9.1/32", "10.9.9.2/32"), tunnelled("10.8.0.0/16", "fd00:9::2/128"), tunnelled("fd00:9::1/128", "")
	second.VerifyChecksum = true
	for name, c := range map[string]struct {
		sources []pcap.Config
		from    []string
		to      []string
	}{
		"every destination is named":  {[]pcap.Config{first, second}, []string{"10.9.9.1/32", "10.8.0.0/16"}, []string{"10.9.9.2/32", "fd00:9::2/128"}},
		"one has its interfaces' own": {[]pcap.Config{first, second, third}, []string{"10.9.9.1/32", "10.8.0.0/16", "fd00:9::1/128"}, nil},
	} {
		got, err := replayPackets(&conf.Config{Packets: c.sources}, "", false)
		if err != nil {
			t.Fatal(err)
		}
		want := pcap.Config{Name: "replay", Decapsulate: true, VerifyChecksum: true}
		for range c.sources {
			want.Resolvers = append(want.Resolvers, first.Resolvers...)
		}
		for _, p := range c.from {
			want.DecapsulateFrom = append(want.DecapsulateFrom, netip.MustParsePrefix(p))
		}
		for _, p := range c.to {
			want.DecapsulateTo = append(want.DecapsulateTo, netip.MustParsePrefix(p))
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

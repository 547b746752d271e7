package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"syscall"

	"github.com/dnstap-pdns/dnstap-pdns/integration/workload"
	"time"
)

const resolvers = "192.0.2.53,2001:db8:53::53"

// ring replays packets over a pair of virtual interfaces in a network namespace, at the target rate
// and as fast as possible.
func (b *run) ring(ctx context.Context, r *report) error {
	if err := require("tcpreplay"); err != nil {
		return err
	}
	file, _, err := b.load(simplePackets)
	if err != nil {
		return err
	}
	for _, rate := range []string{"--pps=200000", "--topspeed"} {
		if err := b.liveAt(ctx, r, file, rate, b.frames); err != nil {
			return err
		}
	}
	var packets int
	file = filepath.Join(b.dir, "hostile.pcap")
	err = workload.WritePackets(file, func(w *workload.Packets) {
		writeHostile(w, b.pairs, tableDefault*3/2)
		w.Simple(b.pairs, b.frames/2)
		packets = w.N
	})
	if err != nil {
		return err
	}
	r.printf("With every table full: queries without answer, fragments, incomplete connections.\n")
	return b.liveAt(ctx, r, file, "--pps=100000", packets)
}

func (b *run) liveAt(ctx context.Context, r *report, file, rate string, packets int) (err error) {
	config := filepath.Join(b.dir, "live.hcl")
	text := fmt.Sprintf(`
source "pcap" "bench" {
  interface   = "tap"
  resolvers   = ["192.0.2.53", "2001:db8:53::53"]
  promiscuous = true
}
admin {
  listen = ""
}
sink "nmsg" "discard" {
  to     = "file://%s/live.nmsg"
  rotate = "0s"
}
`, b.dir)
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		return err
	}
	defer os.Remove(filepath.Join(b.dir, "live.nmsg"))
	n, err := newNamespace(ctx, line)
	if err != nil {
		return err
	}
	defer n.end()
	var output lockedBuffer
	cmd := n.command(b.sensor, "run", "-c", config)
	cmd.Stderr = &output
	if err := cmd.Start(); err != nil {
		return err
	}
	defer cmd.Process.Kill()
	if err := output.await("msg=started"); err != nil {
		return err
	}
	replayed, err := n.command("tcpreplay", "--preload-pcap", "--intf1=span", rate, file).CombinedOutput()
	if err != nil {
		return fmt.Errorf("tcpreplay: %w\n%s", err, replayed)
	}
	time.Sleep(time.Second) // until the sensor has read the ring
	peak := peakRSS(cmd.Process.Pid)
	cmd.Process.Signal(syscall.SIGTERM)
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("sensor: %w\n%s", err, output.String())
	}
	used := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	r.printf("live, %-15s %s; CPU %d ns a packet, peak RSS %.1f MiB (aim: no drop at 200,000 a second, under 96 MiB)\n  %s\n", rate+":",
		submatch(`Rated:.*?([\d.]+ pps)`, string(replayed)), used.Nanoseconds()/int64(packets), mib(peak),
		submatch(`(kernel\.received=.*?kernel\.dropped=\d+)`, output.String()))
	return nil
}

// submatch returns the first submatch of a pattern in a text, or a note that there is no match.
func submatch(pattern, in string) string {
	if m := regexp.MustCompile(pattern).FindStringSubmatch(in); m != nil {
		return m[1]
	}
	return "(not found: " + pattern + ")"
}

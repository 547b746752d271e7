package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"syscall"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/integration/workload"
)

const resolvers = "192.0.2.53,2001:db8:53::53"

// ring replays packets over a pair of virtual interfaces in a network namespace, at the target rate
// and as fast as possible.
func (b *run) ring(ctx context.Context, r *report) error {
	if err := require("tcpreplay"); err != nil {
		return err
	}
	file, units, err := b.load(simplePackets)
	if err != nil {
		return err
	}
	hostile, packets := filepath.Join(b.dir, "hostile.pcap"), 0
	err = workload.WritePackets(hostile, func(w *workload.Packets) {
		writeHostile(w, b.pairs, tableDefault*3/2)
		w.Simple(b.pairs, b.frames/2)
		packets = w.N
	})
	if err != nil {
		return err
	}
	r.printf("tcpreplay sends packets into one end of a pair of virtual interfaces, and the sensor reads the other end, with a sink to a file. " +
		"In the last row, queries without a response, fragments and incomplete connections fill every table before the packets of the simple load. " +
		"Aim: no drop at 200,000 a second, and a peak RSS below 96 MiB.\n")
	rows := [][]string{{"packets", "asked for", "sent", "captured", "dropped by the kernel", "CPU of a packet", "peak RSS"}}
	for _, m := range []struct {
		packets, rate, option, file string
		n                           int
	}{
		{"simple load", "200,000 a second", "--pps=200000", file, units},
		{"simple load", "as fast as possible", "--topspeed", file, units},
		{"every table full", "100,000 a second", "--pps=100000", hostile, packets},
	} {
		row, err := b.liveAt(ctx, m.file, m.option, m.n)
		if err != nil {
			return err
		}
		rows = append(rows, append([]string{m.packets, m.rate}, row...))
	}
	r.table(rows...)
	return nil
}

// liveAt replays a file with an option of tcpreplay. It returns the cells of a row: packets sent a
// second, captured and dropped, CPU time, memory.
func (b *run) liveAt(ctx context.Context, file, option string, packets int) (row []string, err error) {
	config := filepath.Join(b.dir, "live.hcl")
	text := tapSource + fmt.Sprintf(`
sink "nmsg" "discard" {
  to     = "file://%s/live.nmsg"
  rotate = "0s"
}
`, b.dir)
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		return nil, err
	}
	defer os.Remove(filepath.Join(b.dir, "live.nmsg"))
	n, err := newNamespace(ctx, line)
	if err != nil {
		return nil, err
	}
	defer n.end()
	var output lockedBuffer
	cmd := n.command(b.sensor, "run", "-c", config)
	cmd.Stderr = &output
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	defer cmd.Process.Kill()
	if err := output.await("msg=started"); err != nil {
		return nil, err
	}
	replayed, err := n.command("tcpreplay", "--preload-pcap", "--intf1=span", option, file).CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("tcpreplay: %w\n%s", err, replayed)
	}
	time.Sleep(time.Second) // until the sensor has read the ring
	peak := peakRSS(cmd.Process.Pid)
	cmd.Process.Signal(syscall.SIGTERM)
	if err := cmd.Wait(); err != nil {
		return nil, fmt.Errorf("sensor: %w\n%s", err, output.String())
	}
	used := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	return []string{submatch(`Rated:.*?([\d.]+ pps)`, string(replayed)), submatch(`kernel\.received=(\d+)`, output.String()),
		submatch(`kernel\.dropped=(\d+)`, output.String()), each(used, int64(packets)), inMiB(peak)}, nil
}

// submatch returns the first submatch of a pattern in a text, or a note that there is no match.
func submatch(pattern, in string) string {
	if m := regexp.MustCompile(pattern).FindStringSubmatch(in); m != nil {
		return m[1]
	}
	return "(not found: " + pattern + ")"
}

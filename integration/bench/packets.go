package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"

	"github.com/dnstap-pdns/dnstap-pdns/integration/workload"
	"time"
)

const resolvers = "192.0.2.53,2001:db8:53::53"

// packets measures replay, from a capture file to containers, compared with fstrm_capture for as
// many frames.
func (b *run) packets(ctx context.Context, runs int) error {
	file := filepath.Join(b.dir, "packets.pcap")
	err := workload.WritePackets(file, func(w *workload.Packets) { w.Simple(b.pairs, b.frames) })
	if err != nil {
		return err
	}
	var base, replayed []measurement
	for range runs {
		m, err := b.feedCapture(ctx)
		if err != nil {
			return err
		}
		base = append(base, m)
		if m, err = b.replay(ctx, file); err != nil {
			return err
		}
		replayed = append(replayed, m)
	}
	fmt.Printf("\n%d packets of ordinary DNS over UDP, median of %d runs (aim: 500 ns a packet where fstrm_capture takes 220 ns a frame)\n\n", b.frames, runs)
	printHeading()
	median(base).print("fstrm_capture", median(base), b.frames)
	median(replayed).print("replay of packets", median(base), b.frames)
	return b.live(ctx, file)
}

// replay measures the replay command, whose records are discarded.
func (b *run) replay(ctx context.Context, file string) (m measurement, err error) {
	cmd := exec.CommandContext(ctx, b.sensor, "replay", "--resolvers", resolvers, "--to", "stdout:", file)
	var output bytes.Buffer
	cmd.Stderr = &output
	if err := cmd.Run(); err != nil {
		return m, fmt.Errorf("%s: %w\n%s", cmd, err, &output)
	}
	usage := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	return measurement{user: cmd.ProcessState.UserTime(), system: cmd.ProcessState.SystemTime(), rss: usage.Maxrss << 10, ledger: output.String()}, nil
}

// live replays the packets over a pair of virtual interfaces in a network namespace, at the
// target rate and as fast as possible.
func (b *run) live(ctx context.Context, file string) error {
	for _, tool := range []string{"tcpreplay", "unshare", "ip"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("%w: apt-get install tcpreplay util-linux iproute2", err)
		}
	}
	fmt.Println()
	for _, rate := range []string{"--pps=200000", "--topspeed"} {
		if err := b.liveAt(ctx, file, rate, b.frames); err != nil {
			return err
		}
	}
	var packets int
	err := workload.WritePackets(file, func(w *workload.Packets) {
		writeHostile(w, b.pairs, tableDefault*3/2)
		w.Simple(b.pairs, b.frames/2)
		packets = w.N
	})
	if err != nil {
		return err
	}
	fmt.Println("\nwith every table full: queries without answer, fragments, incomplete connections")
	return b.liveAt(ctx, file, "--pps=100000", packets)
}

const setup = `set -e
ip link set lo up
ip link add span type veth peer name tap
ip link set span mtu 9000 up
ip link set tap mtu 9000 up
exec sleep infinity
`

func (b *run) liveAt(ctx context.Context, file, rate string, packets int) (err error) {
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
	namespace := exec.CommandContext(ctx, "unshare", "--net", "sh", "-c", setup)
	namespace.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := namespace.Start(); err != nil {
		return err
	}
	defer func() { namespace.Process.Kill(); namespace.Wait() }()
	inside := func(args ...string) *exec.Cmd {
		enter := []string{"-t", fmt.Sprint(namespace.Process.Pid), "-n"}
		return exec.CommandContext(ctx, "nsenter", append(enter, args...)...)
	}
	if err := awaitInterface(inside); err != nil {
		return err
	}
	var output lockedBuffer
	cmd := inside(b.sensor, "run", "-c", config)
	cmd.Stderr = &output
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return err
	}
	defer cmd.Process.Kill()
	if err := output.await("msg=started"); err != nil {
		return err
	}
	replayed, err := inside("tcpreplay", "--preload-pcap", "--intf1=span", rate, file).CombinedOutput()
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
	fmt.Printf("live, %-15s %s; CPU %d ns a packet, peak RSS %.1f MiB (aim: no drop at 200,000 a second, under 96 MiB)\n  %s\n", rate+":",
		submatch(`Rated:.*?([\d.]+ pps)`, string(replayed)), used.Nanoseconds()/int64(packets), mib(peak),
		submatch(`(kernel\.received=.*?kernel\.dropped=\d+)`, output.String()))
	return nil
}

func awaitInterface(inside func(...string) *exec.Cmd) error {
	var err error
	for deadline := time.Now().Add(startTime); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if err = inside("ip", "link", "show", "up", "dev", "tap").Run(); err == nil {
			return nil
		}
	}
	return errors.Join(errors.New("no interfaces in the namespace"), err)
}

// submatch returns the first submatch of a pattern in a text, or a note that there is no match.
func submatch(pattern, in string) string {
	if m := regexp.MustCompile(pattern).FindStringSubmatch(in); m != nil {
		return m[1]
	}
	return "(not found: " + pattern + ")"
}

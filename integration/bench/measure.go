package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	framestream "github.com/farsightsec/golang-framestream"

	"github.com/dnstap-pdns/dnstap-pdns/integration/workload"
)

const (
	contentType = "protobuf:dnstap.Dnstap"
	startTime   = 60 * time.Second
	stopTime    = 10 * time.Second
	feedTime    = 5 * time.Minute
)

// measurement contains the resources that a receiver used for one file.
type measurement struct {
	user, system time.Duration // CPU time from start to end
	rss          int64         // peak, bytes
	read         int64         // frames, by the closing line of the sensor's log; 0 for other programs
	lost         int64         // records that the sensor's sinks lost, by its closing log line
	took         time.Duration // only of sinks, from the first frame until the last record was delivered, and of connections
}

func (m measurement) cpu() time.Duration { return m.user + m.system }

// median returns the measurement with the median CPU time.
func median(all []measurement) measurement {
	slices.SortFunc(all, func(a, b measurement) int { return cmp.Compare(a.cpu(), b.cpu()) })
	return all[len(all)/2]
}

func (b *run) feedCapture(ctx context.Context, file string) (measurement, error) {
	cmd, socket := b.captureCommand(ctx)
	return measure(cmd, socket, func() error { return feed(ctx, socket, file) })
}

// captureCommand returns the command of an fstrm_capture that discards frames, and its socket.
func (b *run) captureCommand(ctx context.Context) (cmd *exec.Cmd, socket string) {
	socket = filepath.Join(b.dir, "capture.sock")
	return exec.CommandContext(ctx, "fstrm_capture", "-t", contentType, "-u", socket, "-w", "/dev/null"), socket
}

// feedSensor measures the sensor with a UDP sink.
func (b *run) feedSensor(ctx context.Context, file string) (m measurement, err error) {
	err = b.withSensor(ctx, func(cmd *exec.Cmd, socket string) (err error) {
		m, err = measure(cmd, socket, func() error { return feed(ctx, socket, file) })
		return err
	})
	return m, err
}

// withSensor calls use with the command of a sensor that has a UDP sink, and with its socket. The
// datagrams of the sink are discarded until use returns.
func (b *run) withSensor(ctx context.Context, use func(cmd *exec.Cmd, socket string) error) error {
	sink, err := newDiscard()
	if err != nil {
		return err
	}
	defer sink.close()
	config, socket, err := b.configure(sink.addr())
	if err != nil {
		return err
	}
	return use(exec.CommandContext(ctx, b.sensor, "run", "-c", config), socket)
}

// configure writes the configuration of a sensor that sends to a UDP address, and returns its socket.
func (b *run) configure(to string) (config, socket string, err error) {
	socket = filepath.Join(b.dir, "sensor.sock")
	config = filepath.Join(b.dir, "sensor.hcl")
	text := fmt.Sprintf(`
source "dnstap" "bench" {
  listen = "unix://%s"
}
scrub {
  local_names = [%q]
}
admin {
  listen = ""
}
sink "nmsg" "discard" {
  to  = "udp://%s"
  mtu = 8192
}
`, socket, workload.LocalName, to)
	return config, socket, os.WriteFile(config, []byte(text), 0o644)
}

// measure starts a receiver, calls work, stops the receiver and returns its resource usage. An
// error contains its output.
func measure(cmd *exec.Cmd, socket string, work func() error) (m measurement, err error) {
	var output bytes.Buffer
	cmd.Stderr = &output
	if cmd.Stdout == nil {
		cmd.Stdout = &output
	}
	cmd.WaitDelay = stopTime
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	os.Remove(socket)
	if err := cmd.Start(); err != nil {
		return m, err
	}
	err = awaitSocket(socket)
	if err == nil {
		err = work()
	}
	m.rss = peakRSS(cmd.Process.Pid)
	timer := time.AfterFunc(stopTime, func() { cmd.Process.Kill() })
	cmd.Process.Signal(syscall.SIGTERM)
	err = errors.Join(err, cmd.Wait())
	timer.Stop()
	m.user, m.system = cmd.ProcessState.UserTime(), cmd.ProcessState.SystemTime()
	if err != nil {
		return m, fmt.Errorf("%s: %w\n%s", cmd, err, &output)
	}
	m.read, m.lost = framesRead(output.String()), lostRecords(output.String())
	return m, nil
}

// framesRead returns how many frames the sensor has read, by the closing line of its log; 0 if there
// is none.
func framesRead(log string) int64 {
	read, _ := strconv.ParseInt(submatch(`msg=ledger read=(\d+)`, log), 10, 64)
	return read
}

var lostOfSink = regexp.MustCompile(`sink\.\S+\.lost\.\w+=(\d+)`)

// lostRecords returns how many records the sinks have lost, by the closing line of the sensor's log.
func lostRecords(log string) (n int64) {
	for line := range strings.Lines(log) {
		if !strings.Contains(line, "msg=ledger ") {
			continue
		}
		for _, m := range lostOfSink.FindAllStringSubmatch(line, -1) {
			lost, _ := strconv.ParseInt(m[1], 10, 64) // digits
			n += lost
		}
	}
	return n
}

func awaitSocket(path string) error {
	for deadline := time.Now().Add(startTime); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if info, err := os.Stat(path); err == nil && info.Mode()&os.ModeSocket != 0 {
			return nil
		}
	}
	return fmt.Errorf("no socket at %s within %s", path, startTime)
}

// feed sends a file's frames as a resolver would, and returns when the receiver has confirmed
// them with FINISH.
func feed(ctx context.Context, socket, file string) error {
	c, err := connect(ctx, socket)
	if err != nil {
		return err
	}
	defer c.conn.Close()
	if err := c.send(file); err != nil {
		return err
	}
	return c.w.Close()
}

// connection is a Frame Streams connection after its handshake.
type connection struct {
	conn net.Conn
	w    *framestream.Writer
}

func connect(ctx context.Context, socket string) (*connection, error) {
	conn, err := dial(ctx, socket)
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(time.Now().Add(feedTime)); err != nil {
		return nil, err
	}
	w, err := framestream.NewWriter(conn, &framestream.WriterOptions{
		ContentTypes: [][]byte{[]byte(contentType)}, Bidirectional: true,
	})
	if err != nil {
		return nil, fmt.Errorf("handshake: %w", err)
	}
	return &connection{conn, w}, nil
}

// dial connects. It retries, because a new socket may not be listened on yet.
func dial(ctx context.Context, socket string) (net.Conn, error) {
	var d net.Dialer
	for deadline := time.Now().Add(startTime); ; time.Sleep(time.Millisecond) {
		conn, err := d.DialContext(ctx, "unix", socket)
		if !errors.Is(err, syscall.ECONNREFUSED) || time.Now().After(deadline) {
			return conn, err
		}
	}
}

// send writes a file of frames, each after its length, to the connection.
func (c *connection) send(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	// Hide ReadFrom and WriteTo to get plain writes, as resolvers use.
	_, err = io.CopyBuffer(struct{ io.Writer }{c.conn}, struct{ io.Reader }{f}, make([]byte, 64<<10))
	return err
}

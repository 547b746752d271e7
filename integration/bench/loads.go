package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	dnstap "github.com/dnstap/golang-dnstap"

	"github.com/dnstap-pdns/dnstap-pdns/integration/workload"
)

// A load is a file of frames or packets.
type load struct {
	name  string
	write func(b *run, file string) (units int, err error)
}

// The loads.
var (
	simple = load{"simple", func(b *run, file string) (int, error) {
		return b.frames, workload.WriteFrames(file, func(emit func(*dnstap.Dnstap) error) error {
			return workload.Simple(b.pairs, b.frames, emit)
		})
	}}
	busy = load{"busy", func(b *run, file string) (int, error) {
		l, err := workload.NewBusy(b.pairs, b.frames, workload.BusyRate)
		if err != nil {
			return 0, err
		}
		return b.frames, workload.WriteFrames(file, l.Frames)
	}}
	clients = load{"clients", func(b *run, file string) (int, error) {
		l, err := workload.NewBusy(b.pairs, b.frames, workload.BusyRate)
		if err != nil {
			return 0, err
		}
		return 3 * b.frames, workload.WriteFrames(file, l.FramesWithClients)
	}}
	onlyClients = load{"only CLIENT_*", func(b *run, file string) (int, error) {
		l, err := workload.NewBusy(b.pairs, b.frames, workload.BusyRate)
		if err != nil {
			return 0, err
		}
		return 2 * b.frames, workload.WriteFrames(file, l.Clients)
	}}
	simplePackets = load{"simple, packets", func(b *run, file string) (int, error) {
		return b.frames, workload.WritePackets(file, func(p *workload.Packets) { p.Simple(b.pairs, b.frames) })
	}}
	busyPackets = load{"busy, packets", func(b *run, file string) (int, error) {
		l, err := workload.NewBusy(b.pairs, b.frames, workload.BusyRate)
		if err != nil {
			return 0, err
		}
		return b.frames, workload.WritePackets(file, func(p *workload.Packets) { p.Busy(l) })
	}}
)

// paced is the load for the part live at a rate, with the queries that are pending.
func paced(rate int) load {
	return load{fmt.Sprintf("paced, %d", rate), func(b *run, file string) (int, error) {
		l, units, err := b.paced(rate)
		if err != nil {
			return 0, err
		}
		return units, workload.WriteFrames(file, l.Frames)
	}}
}

// pacedPackets is paced as packets.
func pacedPackets(rate int) load {
	return load{fmt.Sprintf("paced, %d, packets", rate), func(b *run, file string) (int, error) {
		l, units, err := b.paced(rate)
		if err != nil {
			return 0, err
		}
		return units, workload.WritePackets(file, func(p *workload.Packets) { p.Busy(l) })
	}}
}

func (b *run) paced(rate int) (l *workload.Busy, units int, err error) {
	const odd = 1000 // batches that are not complete
	units = workload.Pending(rate) + int((b.warmUp+b.window).Seconds()*float64(rate)) + odd
	l, err = workload.NewBusy(b.pairs, units, rate)
	return l, units, err
}

// load returns the file of a load, which it writes at first use, and the number of its frames or
// packets.
func (b *run) load(l load) (file string, units int, err error) {
	if w, ok := b.written[l.name]; ok {
		return w.file, w.units, nil
	}
	file = filepath.Join(b.dir, l.name)
	units, err = l.write(b, file)
	if err == nil {
		b.written[l.name] = written{file, units}
	}
	return file, units, err
}

// written is a load that was written to a file.
type written struct {
	file  string
	units int
}

// loadAims are what the sensor aims at, in times fstrm_capture: first, then the summit.
var loadAims = map[string]string{
	simple.name: "3.5, then 2.5", busy.name: "4.8, then 3.2", onlyClients.name: "0.6", simplePackets.name: "3.5, then 2.5", busyPackets.name: "3.5, then 2.5",
}

// frameLoad is the load of frames with the transactions of a load of packets. fstrm_capture gets
// it.
var frameLoad = map[string]string{simplePackets.name: simple.name, busyPackets.name: busy.name}

// loads measures the CPU time of a frame or packet, of fstrm_capture and of the sensor in turn, so
// that other load on the machine affects both.
func (b *run) loads(ctx context.Context, r *report) error {
	r.printf("CPU time of the whole process for a frame or packet: `fstrm_capture -w /dev/null` and the sensor (dnsqr over UDP to loopback, mtu 8192) in turn, %s. "+
		"Packets are read from a file, and compared with fstrm_capture's time for the frames of the same transactions.\n", b.medianText())
	rows := [][]string{{"load", "frames or packets", "octets each", "fstrm_capture", "sensor", "user", "system", "times fstrm_capture", "aim, then summit", "peak RSS"}}
	captures, sensors := map[string]measurement{}, map[string]measurement{} // by load
	for _, l := range []load{simple, busy, clients, onlyClients} {
		capture, sensor, err := b.compare(ctx, l)
		if err != nil {
			return err
		}
		captures[l.name], sensors[l.name] = capture, sensor
		row, err := b.row(l, capture, sensor)
		if err != nil {
			return err
		}
		rows = append(rows, row)
	}
	for _, l := range []load{simplePackets, busyPackets} {
		replayed, err := b.replays(ctx, l)
		if err != nil {
			return err
		}
		row, err := b.row(l, captures[frameLoad[l.name]], replayed)
		if err != nil {
			return err
		}
		rows = append(rows, row)
	}
	r.table(rows...)
	for _, l := range []load{simple, busy, clients} {
		r.loss(l.name, sensors[l.name])
	}
	return nil
}

// row returns the row of a load. The measurement of fstrm_capture is of as many frames.
func (b *run) row(l load, capture, sensor measurement) ([]string, error) {
	file, units, err := b.load(l)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	n, rss := int64(units), ""
	if sensor.rss > 0 {
		rss = inMiB(sensor.rss)
	}
	return []string{l.name, thousands(units), fmt.Sprint(info.Size() / n), each(capture.cpu(), n), each(sensor.cpu(), n), each(sensor.user, n), each(sensor.system, n),
		times(sensor.cpu(), capture.cpu()), loadAims[l.name], rss}, nil
}

// compare feeds a load to fstrm_capture and to the sensor.
func (b *run) compare(ctx context.Context, l load) (capture, sensor measurement, err error) {
	file, _, err := b.load(l)
	if err != nil {
		return capture, sensor, err
	}
	var captures, sensors []measurement
	for range b.runs {
		m, err := b.feedCapture(ctx, file)
		if err != nil {
			return capture, sensor, err
		}
		captures = append(captures, m)
		if m, err = b.feedSensor(ctx, file); err != nil {
			return capture, sensor, err
		}
		sensors = append(sensors, m)
	}
	return median(captures), median(sensors), nil
}

// replays measures the replay of a load of packets, which sends to a UDP receiver.
func (b *run) replays(ctx context.Context, l load) (measurement, error) {
	file, _, err := b.load(l)
	if err != nil {
		return measurement{}, err
	}
	var all []measurement
	for range b.runs {
		m, err := b.replay(ctx, file)
		if err != nil {
			return measurement{}, err
		}
		all = append(all, m)
	}
	return median(all), nil
}

// replay measures the replay command once, without its memory: what the kernel reports for a process that
// has ended includes that of the bench, from which it was started.
func (b *run) replay(ctx context.Context, file string) (m measurement, err error) {
	sink, err := newDiscard()
	if err != nil {
		return m, err
	}
	defer sink.close()
	config, _, err := b.configure(sink.addr())
	if err != nil {
		return m, err
	}
	cmd := exec.CommandContext(ctx, b.sensor, "replay", "-c", config, "--send", "--resolvers", resolvers, file)
	if output, err := cmd.CombinedOutput(); err != nil {
		return m, fmt.Errorf("%s: %w\n%s", cmd, err, output)
	}
	return measurement{user: cmd.ProcessState.UserTime(), system: cmd.ProcessState.SystemTime()}, nil
}

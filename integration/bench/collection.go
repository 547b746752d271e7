package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// collection measures a collection with a fake broker: the octets that records and RRsets have in
// Kafka, how many RRsets a second one member merges, and the memory of its table. A sensor first
// writes the simple load to two topics, as records and as RRsets of windows of 60 s.
func (b *run) collection(ctx context.Context, r *report) error {
	file, _, err := b.load(simple)
	if err != nil {
		return err
	}
	broker := filepath.Join(b.dir, "kafkabroker")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", broker, "./integration/kafkabroker").CombinedOutput(); err != nil {
		return fmt.Errorf("build the broker: %w\n%s", err, out)
	}
	address, err := freeAddress()
	if err != nil {
		return err
	}
	p := newReceiver(ctx, broker, "-listen", address, "-topics", "raw:8,sets:8")
	if err := p.cmd.Start(); err != nil {
		return err
	}
	defer p.stop()
	if err := awaitListener("tcp", address); err != nil {
		return err
	}
	c, err := b.fillTopics(ctx, address, file)
	if err != nil {
		return err
	}
	if err := b.mergeTopic(ctx, address, &c); err != nil {
		return err
	}
	c.write(r)
	return nil
}

// capacity is what was measured of a collection.
type capacity struct {
	records, sets       uint64
	perRecord, perSet   float64 // octets in Kafka
	merged              float64 // RRsets that one member merges a second
	entries, entryBytes int     // of its table
	rss                 int64
}

// write writes what was measured, and computes a large collection from it.
func (c *capacity) write(r *report) {
	const sensors, rate = 1000, 100 // records a second of each
	r.printf("%s records of the simple load, which seldom repeats a name, in two topics of a fake broker: as dnsqr, and as RRsets after 60 s of counting in the sensor. "+
		"One member of a group then merges the RRsets. The fake broker is not Kafka, and runs on the same cores.\n", thousands(int(c.records)))
	setsOfRecord := float64(c.sets) / float64(c.records)
	r.table(
		[]string{"measured", ""},
		[]string{"a record (dnsqr) in Kafka", fmt.Sprintf("%.0f octets", c.perRecord)},
		[]string{"an RRset (dnsdedupe) in Kafka", fmt.Sprintf("%.0f octets", c.perSet)},
		[]string{"RRsets for each record", fmt.Sprintf("%.2f", setsOfRecord)},
		[]string{"RRsets that one member merges", thousands(int(c.merged)) + " a second"},
		[]string{"an entry of its table", fmt.Sprintf("%d octets", c.entryBytes/max(c.entries, 1))},
		[]string{"peak RSS of the member, with " + thousands(c.entries) + " entries", inMiB(c.rss)})
	records := float64(sensors * rate)
	sets := records * setsOfRecord
	r.printf("Computed from that, for %s sensors with %d records a second each, without the cost of writing what leaves at the end of a window:\n", thousands(sensors), rate)
	r.table(
		[]string{"computed", "records (dnsqr)", "RRsets of 60 s, or less where names repeat"},
		[]string{"messages' octets into Kafka", intoKafka(records * c.perRecord), intoKafka(sets * c.perSet)},
		[]string{"load of one member", "not measured", fmt.Sprintf("%.0f %% of what it merged", 100*sets/c.merged)},
		[]string{"memory of the table for each million of different RRsets, over all members", "not measured", fmt.Sprintf("%d MB", c.entryBytes/max(c.entries, 1))})
}

// intoKafka returns octets a second and a day.
func intoKafka(octets float64) string {
	return fmt.Sprintf("%.1f MB/s, %.2f TB a day", octets/1e6, octets*86_400/1e12)
}

// fillTopics has a sensor write the load to the topics raw and sets.
func (b *run) fillTopics(ctx context.Context, broker, file string) (c capacity, err error) {
	cmd, socket, at, err := b.sensorWith(ctx, "aggregate \"minute\" {\nwindow = \"60s\"\n}\n"+
		toTopic(broker, "raw", "dnsqr")+toTopic(broker, "sets", "dnsdedupe"))
	if err != nil {
		return c, err
	}
	_, err = measure(cmd, socket, func() error {
		if err := feed(ctx, socket, file); err != nil {
			return err
		}
		l, err := awaitSinks(at, func(l map[string]collectionSink) bool {
			return l["minute"].RRsets.Entries == 0 && l["sets"].Offered > 0 && l["sets"].Delivered == l["sets"].Offered && l["raw"].Delivered == l["raw"].Offered
		})
		if err != nil {
			return err
		}
		raw, sets := l["raw"], l["sets"]
		c.records, c.perRecord = raw.Delivered, float64(raw.Bytes)/float64(raw.Delivered)
		c.sets, c.perSet = sets.Delivered, float64(sets.Bytes)/float64(sets.Delivered)
		return nil
	})
	return c, err
}

func toTopic(broker, topic, message string) string {
	return fmt.Sprintf("sink \"nmsg\" %q {\nto = \"kafka://%s/%[1]s\"\nmessage = %[3]q\nqueue = \"4GiB\"\n}\n", topic, broker, message)
}

// mergeTopic has one member of a group merge the topic sets.
func (b *run) mergeTopic(ctx context.Context, broker string, c *capacity) error {
	at, err := freeAddress()
	if err != nil {
		return err
	}
	config := filepath.Join(b.dir, "member.hcl")
	text := fmt.Sprintf("source \"kafka\" \"sets\" {\nbrokers = [%q]\ntopic = \"sets\"\ngroup = \"bench\"\ncommit = \"1h\"\n}\nadmin {\nlisten = %q\n}\n"+
		"aggregate \"all\" {\nwindow = \"1h\"\nmax_entries = 4000000\nmax_bytes = \"2GiB\"\n}\nsink \"json\" \"cof\" {\nto = \"file://%s/all.json\"\nformat = \"cof\"\nrotate = \"0s\"\n}\n",
		broker, at, b.dir)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, b.sensor, "run", "-c", config)
	var output lockedBuffer
	cmd.Stderr = &output
	if err := cmd.Start(); err != nil {
		return err
	}
	defer func() {
		cmd.Process.Kill()
		cmd.Wait() // its error is the kill
	}()
	if err := output.await("msg=started"); err != nil {
		return err
	}
	var began time.Time
	first := uint64(0)
	l, err := awaitSinks(at, func(l map[string]collectionSink) bool {
		received := l["all"].RRsets.Received
		if began.IsZero() && received > 0 {
			began, first = time.Now(), received
		}
		return received == c.sets
	})
	if err != nil {
		return err
	}
	table := l["all"].RRsets
	c.merged = float64(c.sets-first) / time.Since(began).Seconds()
	c.entries, c.entryBytes, c.rss = table.Entries, table.Bytes, peakRSS(cmd.Process.Pid)
	return nil
}

// collectionSink is a part of the account of a sink in /ledger.
type collectionSink struct {
	Name                      string
	Offered, Delivered, Bytes uint64
	RRsets                    struct {
		Received       uint64
		Entries, Bytes int
	}
}

// awaitSinks returns the accounts of all sinks, by name, when the condition holds.
func awaitSinks(at string, holds func(map[string]collectionSink) bool) (map[string]collectionSink, error) {
	for deadline := time.Now().Add(feedTime); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		response, err := http.Get("http://" + at + "/ledger")
		if err != nil {
			if strings.Contains(err.Error(), "refused") { // it has just started
				continue
			}
			return nil, err
		}
		var l struct{ Sinks []collectionSink }
		err = json.NewDecoder(response.Body).Decode(&l)
		response.Body.Close()
		if err != nil {
			return nil, fmt.Errorf("reading the ledger: %w", err)
		}
		all := map[string]collectionSink{}
		for _, s := range l.Sinks {
			all[s.Name] = s
		}
		if holds(all) {
			return all, nil
		}
	}
	return nil, fmt.Errorf("the sinks did not finish within %v", feedTime)
}

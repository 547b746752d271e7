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
// writes the workload to two topics, as records and as RRsets of windows of 60 s.
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
	sets, err := b.fillTopics(ctx, r, address, file)
	if err != nil {
		return err
	}
	return b.mergeTopic(ctx, r, address, sets)
}

// fillTopics has a sensor write the workload to the topics raw and sets. It returns the number of
// RRsets.
func (b *run) fillTopics(ctx context.Context, r *report, broker, file string) (sets uint64, err error) {
	cmd, socket, at, err := b.sensorWith(ctx, "aggregate \"minute\" {\nwindow = \"60s\"\n}\n"+
		toTopic(broker, "raw", "dnsqr")+toTopic(broker, "sets", "dnsdedupe"))
	if err != nil {
		return 0, err
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
		sets = l["sets"].Delivered
		r.printf("collection: %d records, %d octets each in Kafka; %d RRsets of 60 s, %d octets each\n",
			l["raw"].Delivered, l["raw"].Bytes/l["raw"].Delivered, sets, l["sets"].Bytes/sets)
		return nil
	})
	return sets, err
}

func toTopic(broker, topic, message string) string {
	return fmt.Sprintf("sink \"nmsg\" %q {\nto = \"kafka://%s/%[1]s\"\nmessage = %[3]q\nqueue = \"4GiB\"\n}\n", topic, broker, message)
}

// mergeTopic has one member of a group merge the topic sets.
func (b *run) mergeTopic(ctx context.Context, r *report, broker string, sets uint64) error {
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
		return received == sets
	})
	if err != nil {
		return err
	}
	took, merged := time.Since(began), l["all"].RRsets
	r.printf("            one member: %.0f RRsets/s, %d entries of %d octets, peak RSS %.1f MiB\n",
		float64(sets-first)/took.Seconds(), merged.Entries, merged.Bytes/max(merged.Entries, 1), mib(peakRSS(cmd.Process.Pid)))
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

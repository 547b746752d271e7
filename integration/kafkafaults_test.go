package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dnstap-pdns/dnstap-pdns/integration/lab"
)

const (
	brokerPassword = "password of the test"
	faultTopic     = "records"
)

func (f *faultTest) isKafka() bool { return strings.HasPrefix(f.row.sink, "kafka") }

// startKafka starts a fake broker with a password and a topic of one partition, whose messages have
// an order, and a relay with TLS to it. It returns the sink's configuration with these attributes.
func (f *faultTest) startKafka(t *testing.T, attributes string) string {
	t.Helper()
	f.kafka = &kafkaCluster{namespace: f.namespace, brokers: submissionName + ":8443"}
	f.startBroker(t, brokerPassword)
	f.relay = f.namespace.StartRelay(t, submissionAddr, brokerAddr)
	f.writePassword(t, brokerPassword)
	config := "sink \"nmsg\" \"second\" {\nto = \"kafka://" + f.kafka.brokers + "/" + faultTopic + "\"\n" + attributes +
		"sasl {\nmechanism = \"PLAIN\"\nuser = \"sensor\"\npassword = file(\"DIR/password\")\n}\n"
	if f.row.sink == "kafka" {
		config += "spool {\ndir = \"DIR/spool\"\nmax_bytes = \"64MiB\"\n}\n"
	}
	return config + "}\n"
}

// startBroker starts the broker, with the log of its former run.
func (f *faultTest) startBroker(t *testing.T, password string) {
	t.Helper()
	f.kafka.start(t, "-advertise", f.kafka.brokers, "-topics", faultTopic+":1", "-user", "PLAIN:sensor:"+password)
}

// writePassword writes the sensor's file with the password.
func (f *faultTest) writePassword(t *testing.T, password string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(f.dir, "password"), []byte(password), 0o600); err != nil {
		t.Fatal(err)
	}
}

// refuseRequests has the broker answer requests with an error.
func (f *faultTest) refuseRequests(t *testing.T, code string, requests ...string) {
	t.Helper()
	for _, r := range requests {
		f.kafka.command(t, "/refuse?request="+r+"&error="+code)
	}
}

// receivedByKafka returns the names of the records in the topic, without repeated containers. The
// broker is started again without users, because the fake lacks a version of SASL that kcat needs.
func (f *faultTest) receivedByKafka(t *testing.T) []string {
	t.Helper()
	f.kafka.Stop(t)
	f.kafka.brokers = brokerAddr
	f.kafka.start(t)
	once, repeated := withoutRepeats(t, oneEach(t, f.kafka.readTopic(t, faultTopic, 1)))
	t.Logf("%d containers came again", repeated)
	if f.row.lost == "" {
		readOutput(t, once) // checks the sequence
	}
	return namesOf(t, once)
}

// oneEach returns the octets of messages, each of which must be exactly one container.
func oneEach(t *testing.T, messages []kafkaMessage) (all []byte) {
	t.Helper()
	for _, m := range messages {
		if containers, rest := splitContainers(m.value); len(containers) != 1 || len(rest) > 0 {
			t.Errorf("message %d of partition %d has %d containers and %d more octets", m.offset, m.partition, len(containers), len(rest))
		}
		all = append(all, m.value...)
	}
	return all
}

// TestSinkFollowsTheLeadersOfAFakeCluster gives the partitions other leaders while a sink without
// spool sends. Nothing is lost or repeated, and the sink does not fail.
func TestSinkFollowsTheLeadersOfAFakeCluster(t *testing.T) {
	t.Parallel()
	const partitions, second = 3, "127.0.0.1:9093"
	n := lab.NewNamespace(t)
	k := startFakeKafka(t, n, "-listen", brokerAddr+","+second)
	topic := k.newTopic(t, partitions)
	d := &diskTest{sensor: newSensor(t, n), below: "first"}
	d.run(t, unixSource+exactTimes+fileSink("first", "dnsqr")+kafkaSink("second", "dnsqr", second, topic)+"admin {}\n")
	d.resolver = newBusyResolver(t, d.sensor)
	for range 4 {
		d.send(t, 300)
		k.command(t, "/move?topic="+topic)
	}
	d.send(t, 300)
	awaitFor(t, "every record to be delivered", recoveryTime, func() bool {
		s := d.readLedger(t).sink("second")
		return s.Delivered == uint64(d.resolver.sent)
	})
	closing := d.stop(t)
	if s := closing.sinks["second"]; total(s.Lost) > 0 || len(d.logged(t, sinkFails)) > 0 {
		t.Errorf("the sink failed %d times, and has %+v", len(d.logged(t, sinkFails)), s)
	}
	octets := oneEach(t, k.readTopic(t, topic, partitions))
	if _, repeated := withoutRepeats(t, octets); repeated > 0 {
		t.Errorf("%d containers came again", repeated)
	}
	files := d.written(t, "first")
	_, topicOutput := readGaps(t, octets)
	if diff := cmp.Diff(payloads(files.records), payloads(topicOutput.records)); diff != "" {
		t.Errorf("the topic has other records (-file +topic):\n%s", diff)
	}
}

// kafkaSink is a sink to a topic.
func kafkaSink(name, message, brokers, topic string) string {
	return fmt.Sprintf("sink \"nmsg\" %q {\n  to      = \"kafka://%s/%s\"\n  message = %q\n  flush   = \"20ms\"\n}\n", name, brokers, topic, message)
}

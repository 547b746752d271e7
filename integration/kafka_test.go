package integration

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/dnstap-pdns/dnstap-pdns/integration/lab"
)

const (
	// brokerVariable has the IP:PORT of a real broker of Kafka, which advertises that address. The
	// tests that need no fault of a broker use it instead of a fake one.
	brokerVariable = "DNSTAP_PDNS_TEST_BROKER"

	brokerAddr        = "127.0.0.1:9092" // of the first fake broker
	brokerControlAddr = "127.0.0.1:9099"

	// fakeSession is the session timeout of members of groups at a fake broker, longer than two
	// heartbeats of clients.
	fakeSession = 8 * time.Second
)

var kafkaBrokerBinary = builtOnce("kafkabroker", "./kafkabroker")

// A kafkaCluster is a cluster of Kafka in a namespace. A fake one may be started several times, and
// keeps its log.
type kafkaCluster struct {
	*lab.Process // nil: the cluster is a real one
	namespace    *lab.Namespace
	brokers      string // addresses, separated by commas
}

// startFakeKafka starts fake brokers, which keep their addresses and their log when they are
// started again.
func startFakeKafka(t *testing.T, n *lab.Namespace, options ...string) *kafkaCluster {
	t.Helper()
	k := &kafkaCluster{namespace: n, brokers: brokerAddr}
	k.start(t, options...)
	return k
}

// startKafka returns the real cluster of brokerVariable, or starts a fake broker.
func startKafka(t *testing.T, n *lab.Namespace) *kafkaCluster {
	t.Helper()
	if real := os.Getenv(brokerVariable); real != "" {
		at, err := netip.ParseAddrPort(real)
		if err != nil {
			t.Fatalf("%s: %v", brokerVariable, err)
		}
		n.StartPassage(t, at)
		return &kafkaCluster{namespace: n, brokers: real}
	}
	return startFakeKafka(t, n, "-session", fakeSession.String())
}

// start runs the fake brokers, and returns when they listen. The options come after the default ones.
func (k *kafkaCluster) start(t *testing.T, options ...string) {
	t.Helper()
	args := append([]string{"-listen", brokerAddr, "-control", brokerControlAddr, "-data", filepath.Join(k.namespace.Dir, "kafka")}, options...)
	k.Process = k.namespace.Start(t, "kafkabroker", exec.Command(kafkaBrokerBinary(t), args...))
	await(t, "the fake brokers", func() bool { return strings.Contains(k.Log(t), "listening ") || k.Ended() })
	if k.Ended() {
		t.Fatal("the fake brokers have ended")
	}
}

// command has the fake brokers run a command of their control address.
func (k *kafkaCluster) command(t *testing.T, path string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: k.dial}, Timeout: waitTime}
	answer, err := client.Post("http://"+brokerControlAddr+path, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", path, answer.Status)
	}
}

// dial connects from inside the namespace.
func (k *kafkaCluster) dial(_ context.Context, network, address string) (net.Conn, error) {
	return k.namespace.Dial(network, address)
}

// administer calls do with a client of the cluster.
func (k *kafkaCluster) administer(t *testing.T, do func(context.Context, *kadm.Client) error) {
	t.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(k.brokers, ",")...),
		kgo.Dialer(k.dial))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), waitTime)
	defer cancel()
	if err := do(ctx, kadm.NewClient(c)); err != nil {
		t.Fatal(err)
	}
}

// newTopic makes a topic whose name no other test uses.
func (k *kafkaCluster) newTopic(t *testing.T, partitions int32) string {
	t.Helper()
	topic := fmt.Sprintf("test-%d", time.Now().UnixNano())
	large := "4194304"
	k.administer(t, func(ctx context.Context, c *kadm.Client) error {
		_, err := c.CreateTopic(ctx, partitions, 1, map[string]*string{"max.message.bytes": &large}, topic)
		return err
	})
	return topic
}

// committed returns the offset up to which a group has committed each partition.
func (k *kafkaCluster) committed(t *testing.T, group string) map[int32]int64 {
	t.Helper()
	all := map[int32]int64{}
	k.administer(t, func(ctx context.Context, c *kadm.Client) error {
		offsets, err := c.FetchOffsets(ctx, group)
		offsets.Each(func(o kadm.OffsetResponse) { all[o.Partition] = o.At })
		if errors.Is(err, kerr.GroupIDNotFound) {
			return nil
		}
		return err
	})
	return all
}

// end returns the offset at which each partition of a topic ends.
func (k *kafkaCluster) end(t *testing.T, topic string) map[int32]int64 {
	t.Helper()
	all := map[int32]int64{}
	k.administer(t, func(ctx context.Context, c *kadm.Client) error {
		offsets, err := c.ListEndOffsets(ctx, topic)
		offsets.Each(func(o kadm.ListedOffset) { all[o.Partition] = o.Offset })
		return err
	})
	return all
}

// members returns the number of members of a group when it is stable, else 0.
func (k *kafkaCluster) members(t *testing.T, group string) (n int) {
	t.Helper()
	k.administer(t, func(ctx context.Context, c *kadm.Client) error {
		groups, err := c.DescribeGroups(ctx, group)
		if g := groups[group]; err == nil && g.State == "Stable" {
			n = len(g.Members)
		}
		return err
	})
	return n
}

// A kafkaMessage is a message as kcat prints it.
type kafkaMessage struct {
	partition int32
	offset    int64
	key       string
	keyed     bool
	value     []byte
}

// read returns the messages that kcat reads with these options until it has read all partitions.
func (k *kafkaCluster) read(t *testing.T, options ...string) (all []kafkaMessage) {
	t.Helper()
	const format = `%p %o %K %S\n%k%s\n`
	out := k.kcat(t, append([]string{"-e", "-q", "-f", format}, options...)...)
	for len(out) > 0 {
		var m kafkaMessage
		var keyLen, valueLen int
		line, rest, _ := bytes.Cut(out, []byte("\n"))
		if _, err := fmt.Sscan(string(line), &m.partition, &m.offset, &keyLen, &valueLen); err != nil {
			t.Fatalf("kcat printed %q: %v", line, err)
		}
		m.keyed, keyLen, valueLen = keyLen >= 0, max(keyLen, 0), max(valueLen, 0)
		if len(rest) < keyLen+valueLen+1 {
			t.Fatalf("kcat printed a part of a message: %d of %d octets", len(rest), keyLen+valueLen+1)
		}
		m.key, m.value = string(rest[:keyLen]), rest[keyLen:keyLen+valueLen]
		out = rest[keyLen+valueLen+1:]
		all = append(all, m)
	}
	return all
}

// readTopic returns all messages of a topic, in the order of partitions and offsets.
func (k *kafkaCluster) readTopic(t *testing.T, topic string, partitions int32) (all []kafkaMessage) {
	t.Helper()
	for p := range partitions {
		all = append(all, k.read(t, "-C", "-t", topic, "-p", fmt.Sprint(p), "-o", "beginning")...)
	}
	return all
}

// produce has kcat send messages to a partition; -1: where the key leads. An empty key is none.
func (k *kafkaCluster) produce(t *testing.T, topic string, partition int32, key string, values ...[]byte) {
	t.Helper()
	dir, err := os.MkdirTemp(k.namespace.Dir, "values")
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"-P", "-t", topic, "-p", fmt.Sprint(partition), "-X", "message.max.bytes=4000000", "-X", "topic.partitioner=murmur2_random"}
	if key != "" {
		args = append(args, "-k", key)
	}
	for i, v := range values { // kcat sends each file as a message
		file := filepath.Join(dir, fmt.Sprint(i))
		if err := os.WriteFile(file, v, 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, file)
	}
	k.kcat(t, args...)
}

// produceEmpty has kcat send an empty value, which it does not send from a file.
func (k *kafkaCluster) produceEmpty(t *testing.T, topic string, partition int32) {
	t.Helper()
	k.kcatWith(t, "empty:", "-P", "-t", topic, "-p", fmt.Sprint(partition), "-K", ":")
}

// kcat runs kcat in the namespace, and returns what it prints.
func (k *kafkaCluster) kcat(t *testing.T, options ...string) []byte {
	t.Helper()
	return k.kcatWith(t, "", options...)
}

// kcatWith is kcat with an input.
func (k *kafkaCluster) kcatWith(t *testing.T, input string, options ...string) []byte {
	t.Helper()
	lab.RequirePrograms(t, "kcat")
	ctx, cancel := context.WithTimeout(t.Context(), waitTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, "kcat", append([]string{"-b", k.brokers}, options...)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &stdout, &stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	k.namespace.Do(t, cmd.Start)
	if err := errors.Join(cmd.Wait(), ctx.Err()); err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, &stderr)
	}
	return stdout.Bytes()
}

// TestKcatAndFakeBroker checks the tools of these tests: what kcat writes to a fake or real broker,
// it reads by partition and as a member of a group.
func TestKcatAndFakeBroker(t *testing.T) {
	t.Parallel()
	k := startKafka(t, lab.NewNamespace(t))
	topic := k.newTopic(t, 4)
	large := bytes.Repeat([]byte("\nvalue "), 300_000)
	k.produce(t, topic, 1, "", []byte("first"), large)
	k.produceEmpty(t, topic, 1)
	k.produce(t, topic, -1, "07", []byte("keyed"), []byte("keyed"))
	byPartition := k.readTopic(t, topic, 4)
	group := topic + "-group"
	byGroup := k.read(t, "-X", "auto.offset.reset=earliest", "-G", group, topic)
	for what, all := range map[string][]kafkaMessage{"by partition": byPartition, "by group": byGroup} {
		var got []string
		keyed := map[int32]int{}
		for _, m := range all {
			if m.key == "07" {
				keyed[m.partition]++
			} else {
				got = append(got, fmt.Sprint(m.partition, " ", m.offset, " ", len(m.value)))
			}
		}
		want := []string{"1 0 5", fmt.Sprint("1 1 ", len(large)), "1 2 0"}
		if d := cmp.Diff(want, got); d != "" || len(keyed) != 1 || len(all) != 5 {
			t.Errorf("%s: %d messages, by partition with keys %v; without (-want +got):\n%s", what, len(all), keyed, d)
		}
	}
	total := int64(0)
	for _, offset := range k.committed(t, group) {
		total += max(offset, 0)
	}
	if total != 5 {
		t.Errorf("the group has committed %d messages, want 5", total)
	}
}

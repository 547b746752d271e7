package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start runs a cluster until stop is called or the test ends.
func start(t *testing.T, args ...string) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := run(ctx, args, w)
		w.CloseWithError(errors.Join(io.EOF, err))
		done <- err
	}()
	lines := bufio.NewScanner(r)
	if !lines.Scan() || !strings.HasPrefix(lines.Text(), "listening ") {
		t.Fatalf("the cluster does not listen: %q, %v", lines.Text(), <-done)
	}
	ended := false
	stop = func() {
		if ended {
			return
		}
		ended = true
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(stop)
	return stop
}

// free returns addresses on loopback at which nothing listens.
func free(t *testing.T, n int) (addresses []string) {
	t.Helper()
	for range n {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		addresses = append(addresses, l.Addr().String())
	}
	return addresses
}

func client(t *testing.T, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	c, err := kgo.NewClient(append(opts, kgo.RecordDeliveryTimeout(time.Minute))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func post(t *testing.T, url string) int {
	t.Helper()
	response, err := http.Post("http://"+url, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	return response.StatusCode
}

// TestFakeClusterKeepsItsLog starts a cluster twice, the second time with another password.
func TestFakeClusterKeepsItsLog(t *testing.T) {
	at := free(t, 1)[0]
	args := []string{"-listen", at, "-topics", "records:1", "-data", filepath.Join(t.TempDir(), "data")}
	user := func(password string) kgo.Opt {
		return kgo.SASL(plain.Auth{User: "sensor", Pass: password}.AsMechanism())
	}
	stop := start(t, append(args, "-user", "PLAIN:sensor:one")...)
	if err := client(t, kgo.SeedBrokers(at), user("one")).ProduceSync(t.Context(), &kgo.Record{Topic: "records", Value: []byte("kept")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	stop()
	start(t, append(args, "-user", "PLAIN:sensor:two")...)
	if err := client(t, kgo.SeedBrokers(at), user("one")).Ping(t.Context()); !errors.Is(err, kerr.SaslAuthenticationFailed) {
		t.Errorf("the former password: %v", err)
	}
	got := client(t, kgo.SeedBrokers(at), user("two"), kgo.ConsumeTopics("records")).PollFetches(t.Context())
	if r := got.Records(); got.Err() != nil || len(r) != 1 || string(r[0].Value) != "kept" {
		t.Errorf("read %d records, %v", len(r), got.Err())
	}
}

// TestFakeClusterObeysCommands moves leaders and refuses requests.
func TestFakeClusterObeysCommands(t *testing.T) {
	at := free(t, 3)
	control := at[2]
	start(t, "-listen", at[0]+","+at[1], "-topics", "records:2", "-control", control)
	c := client(t, kgo.SeedBrokers(at[0]), kgo.DefaultProduceTopic("records"))
	leaders := func() (all [2]int32) {
		r, err := kmsg.NewPtrMetadataRequest().RequestWith(t.Context(), c)
		if err != nil || len(r.Topics) != 1 || len(r.Topics[0].Partitions) != len(all) {
			t.Fatalf("metadata %+v, %v", r, err)
		}
		for _, p := range r.Topics[0].Partitions {
			all[p.Partition] = p.Leader
		}
		return all
	}
	before := leaders()
	if code := post(t, control+"/move?topic=records"); code != http.StatusOK {
		t.Errorf("move: %d", code)
	}
	if after := leaders(); after[0] == before[0] || after[1] == before[1] {
		t.Errorf("the leaders were %v, and are %v", before, after)
	}
	produce := func() error { return c.ProduceSync(t.Context(), kgo.StringRecord("value")).FirstErr() }
	post(t, control+"/refuse?request=Produce&error=TOPIC_AUTHORIZATION_FAILED")
	if err := produce(); !errors.Is(err, kerr.TopicAuthorizationFailed) {
		t.Errorf("a refused request: %v", err)
	}
	post(t, control+"/accept")
	if err := produce(); err != nil {
		t.Errorf("an accepted request: %v", err)
	}
	for _, wrong := range []string{"/move?topic=none", "/refuse?request=None&error=NOT_LEADER_FOR_PARTITION", "/refuse?request=Produce&error=NONE"} {
		if code := post(t, control+wrong); code != http.StatusBadRequest {
			t.Errorf("%s: %d", wrong, code)
		}
	}
}

// TestFakeClusterAdvertisesOtherAddresses checks that clients are given the address of a relay.
func TestFakeClusterAdvertisesOtherAddresses(t *testing.T) {
	at := free(t, 1)[0]
	start(t, "-listen", at, "-advertise", "broker.example:1234")
	r, err := kmsg.NewPtrMetadataRequest().RequestWith(t.Context(), client(t, kgo.SeedBrokers(at)))
	if err != nil || len(r.Brokers) != 1 || r.Brokers[0].Host != "broker.example" || r.Brokers[0].Port != 1234 {
		t.Errorf("got %+v, %v", r, err)
	}
}

// TestFakeClusterShortensSessions joins a group and vanishes. The group is empty long before the
// session timeout that the member has asked for.
func TestFakeClusterShortensSessions(t *testing.T) {
	at := free(t, 1)[0]
	start(t, "-listen", at, "-session", "500ms")
	c := client(t, kgo.SeedBrokers(at))
	join := kmsg.NewPtrJoinGroupRequest()
	join.Group, join.ProtocolType, join.SessionTimeoutMillis, join.RebalanceTimeoutMillis = "group", "consumer", 45_000, 1000
	join.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "range", Metadata: []byte{0}}}
	if r, err := join.RequestWith(t.Context(), c); err != nil || kerr.ErrorForCode(r.ErrorCode) != nil && r.ErrorCode != kerr.MemberIDRequired.Code {
		t.Fatalf("join: %+v, %v", r, err)
	}
	describe := kmsg.NewPtrDescribeGroupsRequest()
	describe.Groups = []string{"group"}
	for deadline := time.Now().Add(20 * time.Second); ; {
		r, err := describe.RequestWith(t.Context(), c)
		if err != nil || len(r.Groups) != 1 {
			t.Fatalf("describe: %+v, %v", r, err)
		}
		if len(r.Groups[0].Members) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the member is still in the group")
		}
	}
}

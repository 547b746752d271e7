package integration

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dnstap-pdns/dnstap-pdns/integration/lab"
)

const (
	collectionSensors    = 3
	collectionPartitions = 8
	collectionTime       = 2 * time.Minute // for what a group does after a member was killed, also with a real broker
)

// A collection is several sensors that send RRsets to a topic of a fake or real broker, and groups
// of members that merge them.
type collection struct {
	kafka   *kafkaCluster
	topic   string
	sensors []*diskTest // with a busy resolver each
	members []*sensor
}

// newCollection starts the sensors. Each writes the RRsets that it sends to files, too.
func newCollection(t *testing.T) *collection {
	t.Helper()
	n := lab.NewNamespace(t)
	c := &collection{kafka: startKafka(t, n)}
	c.topic = c.kafka.newTopic(t, collectionPartitions)
	for i := range collectionSensors {
		d := &diskTest{sensor: newSensor(t, n)}
		d.run(t, unixSource+site+fmt.Sprintf("sensor {\n  source = %d\n}\n", i+1)+"aggregate \"minute\" {\n  window = \"1s\"\n}\n"+
			fileSink("second", "dnsdedupe")+kafkaSink("kafka", "dnsdedupe", c.kafka.brokers, c.topic))
		d.resolver = newBusyResolver(t, d.sensor)
		c.sensors = append(c.sensors, d)
	}
	return c
}

// member starts a member of a group.
func (c *collection) member(t *testing.T, group string) *sensor {
	t.Helper()
	return c.memberWith(t, c.config(group, "1s", ""))
}

// memberWith starts a member with that configuration.
func (c *collection) memberWith(t *testing.T, config string) *sensor {
	t.Helper()
	s := newSensor(t, c.kafka.namespace)
	s.run(t, config)
	c.members = append(c.members, s)
	return s
}

// config is the configuration of a member. more is part of its aggregate.
func (c *collection) config(group, commit, more string) string {
	return jsonLog + fmt.Sprintf(`
source "kafka" "sensors" {
  brokers = [%q]
  topic   = %q
  group   = %q
  commit  = %q
}
aggregate "merged" {
%s}
sink "json" "cof" {
  to     = "file://DIR/third/%%Y%%m%%dT%%H%%M%%S.json"
  format = "cof"
}
`, c.kafka.brokers, c.topic, group, commit, more) + fileSink("second", "dnsdedupe")
}

// write has each sensor see n more responses. Half of the names are those of the last call, so that
// each RRset is in several messages.
func (c *collection) write(t *testing.T, n int) {
	t.Helper()
	for _, d := range c.sensors {
		d.resolver.sent -= min(d.resolver.sent, n/2)
		d.write(t, n)
	}
}

// awaitMembers returns when the group is stable with that many members.
func (c *collection) awaitMembers(t *testing.T, group string, members int) {
	t.Helper()
	awaitFor(t, fmt.Sprintf("%d members of the group", members), collectionTime, func() bool { return c.kafka.members(t, group) == members })
}

// awaitCommit returns when the group has committed more than these offsets.
func (c *collection) awaitCommit(t *testing.T, group string, more map[int32]int64) {
	t.Helper()
	awaitFor(t, "a commit", collectionTime, func() bool { return sum(c.kafka.committed(t, group)) > sum(more) })
}

// awaitAll returns when the group has committed everything in the topic.
func (c *collection) awaitAll(t *testing.T, group string) {
	t.Helper()
	awaitFor(t, "everything to be committed", collectionTime, func() bool {
		end, committed := c.kafka.end(t, c.topic), c.kafka.committed(t, group)
		for p, offset := range end {
			if at, ok := committed[p]; offset > 0 && (!ok || at < offset) {
				return false
			}
		}
		return true
	})
}

func sum(offsets map[int32]int64) (n int64) {
	for _, offset := range offsets {
		n += max(offset, 0)
	}
	return n
}

// stopSensors stops the sensors, and returns what they have sent, merged.
func (c *collection) stopSensors(t *testing.T) map[rrsetKey]sightings {
	t.Helper()
	all := map[rrsetKey]sightings{}
	for _, d := range c.sensors {
		closing := d.stop(t)
		if s := closing.sinks["kafka"]; s.Offered == 0 || s.Delivered != s.Offered {
			t.Errorf("a sensor has not sent everything: %+v", s)
		}
		merge(all, d.rrsets(t))
	}
	return all
}

// merge adds sightings.
func merge(all, more map[rrsetKey]sightings) {
	for key, s := range more {
		all[key] = all[key].and(s)
	}
}

// stopMembers stops the members, and returns what they wrote, merged.
func (c *collection) stopMembers(t *testing.T, members ...*sensor) map[rrsetKey]sightings {
	t.Helper()
	all := map[rrsetKey]sightings{}
	for _, m := range members {
		m.stop(t)
		merge(all, m.rrsets(t))
	}
	return all
}

// sightings counts the sightings in messages of the topic from one offset of each partition to
// before another.
func (c *collection) sightings(t *testing.T, from, to map[int32]int64) (n uint64) {
	t.Helper()
	for _, m := range c.kafka.readTopic(t, c.topic, collectionPartitions) {
		if m.offset < max(from[m.partition], 0) || m.offset >= to[m.partition] {
			continue
		}
		for _, e := range rrsetsIn(t, m.value) {
			n += e.Count
		}
	}
	return n
}

// TestOneMemberAndFourGiveTheSameAggregate has a group of one and a group of four members read the
// same topic. Merged by key, both wrote what the sensors wrote to files.
func TestOneMemberAndFourGiveTheSameAggregate(t *testing.T) {
	t.Parallel()
	c := newCollection(t)
	sizes := map[string]int{c.topic + "-one": 1, c.topic + "-four": 4}
	groups := map[string][]*sensor{}
	for group, members := range sizes {
		for range members {
			groups[group] = append(groups[group], c.member(t, group))
		}
		c.awaitMembers(t, group, members)
	}
	for range 4 {
		c.write(t, 200)
		c.awaitCommit(t, c.topic+"-four", c.kafka.committed(t, c.topic+"-four"))
	}
	want := c.stopSensors(t)
	for group, members := range groups {
		c.awaitAll(t, group)
		got := c.stopMembers(t, members...)
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(rrsetKey{})); diff != "" || len(want) == 0 {
			t.Errorf("%d members give another aggregate of %d RRsets (-sensors +members):\n%s", len(members), len(want), diff)
		}
	}
	t.Logf("%d RRsets in %d messages", len(want), sum(c.kafka.end(t, c.topic)))
}

// TestMembersThatEndPauseAndComeLoseNothing kills a member, pauses another for longer than its session,
// and adds a third one, while sensors send. Nothing is lost, and repeated is at most what those
// members may have read since the commits before.
func TestMembersThatEndPauseAndComeLoseNothing(t *testing.T) {
	t.Parallel()
	c := newCollection(t)
	group := c.topic + "-group"
	first, second := c.member(t, group), c.member(t, group)
	c.awaitMembers(t, group, 2)
	c.write(t, 200)
	c.awaitCommit(t, group, nil)
	c.write(t, 200)

	first.Kill()
	committed, end := c.kafka.committed(t, group), c.kafka.end(t, c.topic)
	bound := c.sightings(t, committed, end)
	c.member(t, group)
	c.write(t, 200)
	c.awaitMembers(t, group, 2) // the session of the first has ended
	c.awaitCommit(t, group, committed)

	second.Signal(t, syscall.SIGSTOP)
	committed = c.kafka.committed(t, group)
	c.write(t, 200)
	c.awaitMembers(t, group, 1) // the session of the second has ended
	c.awaitCommit(t, group, committed)
	second.Signal(t, syscall.SIGCONT)
	c.awaitMembers(t, group, 2)
	bound += c.sightings(t, committed, c.kafka.end(t, c.topic))

	first.run(t, c.config(group, "1s", ""))
	c.awaitMembers(t, group, 3)
	c.write(t, 200)
	want := c.stopSensors(t)
	c.awaitAll(t, group)
	c.checkNothingLost(t, want, c.stopMembers(t, c.members...), bound)
}

// checkNothingLost checks that what members wrote has each RRset at least as often as the sensors
// wrote it, and all together at most the bound more often.
func (c *collection) checkNothingLost(t *testing.T, want, got map[rrsetKey]sightings, bound uint64) {
	t.Helper()
	var sent, more uint64
	for key, w := range want {
		g := got[key]
		if g.Count < w.Count || g.First != w.First || g.Last != w.Last {
			t.Errorf("%+v: the members have %+v, the sensors %+v", key, g, w)
			continue
		}
		sent += w.Count
		more += g.Count - w.Count
	}
	if len(got) != len(want) || sent == 0 || more > bound {
		t.Errorf("%d RRsets with %d sightings sent, %d RRsets came; %d sightings repeated, at most %d may be", len(want), sent, len(got), more, bound)
	}
	t.Logf("%d RRsets with %d sightings; %d sightings repeated, at most %d may be", len(want), sent, more, bound)
}

// TestGroupThatRebalancesConstantlyMakesProgress has kcat join the group of two members and leave it,
// again and again. The group commits all the same. What kcat reads as a member, it commits. Nothing
// is lost, and members commit before partitions move, so that only what kcat read may be repeated.
func TestGroupThatRebalancesConstantlyMakesProgress(t *testing.T) {
	t.Parallel()
	c := newCollection(t)
	group := c.topic + "-group"
	c.member(t, group)
	c.member(t, group)
	c.awaitMembers(t, group, 2)
	stopping, joined, read := make(chan struct{}), 0, []kafkaMessage(nil)
	var joining sync.WaitGroup
	end := sync.OnceFunc(func() { close(stopping); joining.Wait() })
	t.Cleanup(end)
	joining.Go(func() {
		for {
			select {
			case <-stopping:
				return
			default:
				read = append(read, c.kafka.read(t, "-X", "auto.offset.reset=earliest",
					"-X", "partition.assignment.strategy=cooperative-sticky", "-G", group, c.topic)...)
				joined++
			}
		}
	})
	for range 4 {
		before := c.kafka.committed(t, group)
		c.write(t, 200)
		c.awaitCommit(t, group, before)
	}
	end()
	want := c.stopSensors(t)
	c.awaitAll(t, group)
	got, byKcat := c.stopMembers(t, c.members...), uint64(0)
	for _, m := range read {
		for _, e := range rrsetsIn(t, m.value) {
			merge(got, map[rrsetKey]sightings{keyOfRRset(e.Bailiwick, e.RRs): {e.First, e.Last, e.Count}})
			byKcat += e.Count
		}
	}
	c.checkNothingLost(t, want, got, byKcat)
	if t.Logf("kcat joined %d times and read %d messages", joined, len(read)); joined < 2 {
		t.Error("the group did not rebalance")
	}
}

// TestMessagesThatAreNotNMSGAreSkipped has kcat produce invalid messages between those of sensors.
// The group continues, and has everything of the sensors.
func TestMessagesThatAreNotNMSGAreSkipped(t *testing.T) {
	t.Parallel()
	c := newCollection(t)
	group := c.topic + "-group"
	member := c.member(t, group)
	c.write(t, 200)
	c.awaitCommit(t, group, nil)
	var container []byte
	for _, m := range c.kafka.readTopic(t, c.topic, collectionPartitions) {
		container = m.value
	}
	if len(container) == 0 {
		t.Fatal("the topic is empty")
	}
	for p := range int32(collectionPartitions) {
		c.kafka.produce(t, c.topic, p, "", []byte("garbage"), slices.Concat(container, container), make([]byte, 2<<20), container[:len(container)-1])
		c.kafka.produceEmpty(t, c.topic, p)
	}
	c.write(t, 200)
	want := c.stopSensors(t)
	c.awaitAll(t, group)
	c.checkNothingLost(t, want, c.stopMembers(t, member), 0)
	const skipped = "a message of Kafka is not one NMSG container"
	if n := len(member.logged(t, skipped)); n != 5*collectionPartitions {
		t.Errorf("%d messages were skipped, want %d", n, 5*collectionPartitions)
	}
	closing := member.logged(t, "kafka")
	if len(closing) != 1 {
		t.Fatalf("%d closing lines of the source, want 1", len(closing))
	}
	var counts struct {
		NotNMSG    int `json:"not_nmsg"`
		Containers int
		Commits    int
	}
	if err := json.Unmarshal([]byte(closing[0]), &counts); err != nil {
		t.Fatal(err)
	}
	if counts.NotNMSG != 5*collectionPartitions || counts.Containers == 0 || counts.Commits < 2 {
		t.Errorf("the closing line of the source has %+v", counts)
	}
}

// TestGateOfACollection lets sensors report the same names, and one of them more names. With
// `release { sources = 2 }` those of one sensor do not leave, and the others do.
func TestGateOfACollection(t *testing.T) {
	t.Parallel()
	const shared = 200
	c := newCollection(t)
	c.write(t, shared)
	c.sensors[0].write(t, shared/2)
	want := c.stopSensors(t)
	alone := len(want)
	maps.DeleteFunc(want, func(k rrsetKey, _ sightings) bool {
		var i int
		_, err := fmt.Sscanf(k.owner, "h%d.", &i)
		return err == nil && i >= shared
	})
	if alone -= len(want); alone == 0 || len(want) == 0 {
		t.Fatalf("%d RRsets of several sensors, and %d of one", len(want), alone)
	}

	group := c.topic + "-group"
	// A commit ends the window. It must not come before everything was read.
	member := c.memberWith(t, c.config(group, "10s", "  release {\n    sources = 2\n  }\n"))
	c.awaitAll(t, group)
	if diff := cmp.Diff(want, c.stopMembers(t, member), cmp.AllowUnexported(rrsetKey{})); diff != "" {
		t.Errorf("the gate let other RRsets pass (-reported by several +passed):\n%s", diff)
	}
}

package kafka

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/dnstap-pdns/dnstap-pdns/conf/brokers"
)

const (
	// sessionTimeout is how long brokers wait for a heartbeat of a member before its partitions are
	// given to others: that of Kafka's own clients.
	sessionTimeout = 45 * time.Second

	// rebalanceTimeout is how long the group waits for a member that has to confirm and commit before
	// partitions move. revokeTime is what the member has for this.
	rebalanceTimeout = 2 * time.Minute
	revokeTime       = 90 * time.Second

	// Fetches bound the memory: at most maxFetches responses are in flight or buffered. Batches of Kafka
	// have at most about 1 MB before compression unless a producer is configured otherwise. A hostile
	// producer can make many small batches, each of which takes batchBytes: so fetches are small, too.
	maxFetches     = 2
	fetchBytes     = 2 << 20   // of a response
	partitionBytes = 512 << 10 // of a response, of one partition
	batchBytes     = 2 << 20   // of a batch after decompression
	responseRead   = 16 << 20  // of a response, which has one batch of any size
	fetchWait      = 500 * time.Millisecond

	findTime = 5 * time.Second // that brokers have to state whether the topic exists

	metadataAge = time.Minute // how soon new partitions are found
)

// memberOptions returns the options of a member of the group.
//
// The balancer is cooperative-sticky: only partitions that move are revoked. With another one, every
// member would have to confirm everything in each rebalance, and aggregates would be emitted early.
func (s *Source) memberOptions() []kgo.Opt {
	return []kgo.Opt{
		kgo.ConsumerGroup(s.config.Group),
		kgo.ConsumeTopics(s.config.Topic),
		kgo.Balancers(kgo.CooperativeStickyBalancer()),
		kgo.SessionTimeout(sessionTimeout),
		kgo.RebalanceTimeout(rebalanceTimeout),
		kgo.BlockRebalanceOnPoll(),
		kgo.DisableAutoCommit(),
		kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()), // of a new group
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), // of an offset that does not exist any more
		kgo.MaxConcurrentFetches(maxFetches),
		kgo.FetchMaxBytes(fetchBytes),
		kgo.FetchMaxPartitionBytes(partitionBytes),
		kgo.FetchMaxWait(fetchWait),
		kgo.MaxDecompressBatchBytes(batchBytes),
		kgo.BrokerMaxReadBytes(responseRead),
		kgo.MetadataMaxAge(metadataAge),
		kgo.OnPartitionsAssigned(s.assigned),
		kgo.OnPartitionsRevoked(s.revoked),
		kgo.OnPartitionsLost(s.lost),
		kgo.OnOffsetsFetched(s.offsetsFetched),
		kgo.WithHooks(hooks{s}),
	}
}

// assigned is called at the end of every rebalance.
func (s *Source) assigned(_ context.Context, _ *kgo.Client, added map[string][]int32) {
	for _, n := range added[s.config.Topic] {
		s.owned[n] = true
	}
	s.account.joined(len(s.owned), len(added) > 0)
	s.succeeded(connecting)
}

// offsetsFetched notes from where the group continues.
func (s *Source) offsetsFetched(_ context.Context, _ *kgo.Client, r *kmsg.OffsetFetchResponse) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range r.Groups {
		for _, t := range g.Topics {
			for _, p := range t.Partitions {
				s.fetched[p.Partition] = p.Offset
			}
		}
	}
	for _, t := range r.Topics { // brokers before 3.0
		for _, p := range t.Partitions {
			s.fetched[p.Partition] = p.Offset
		}
	}
	return nil
}

// revoked commits what was read of partitions that move to another member. The others of this member
// are committed, too, because confirmations are not of single partitions.
func (s *Source) revoked(_ context.Context, _ *kgo.Client, gone map[string][]int32) {
	numbers := gone[s.config.Topic]
	if len(numbers) > 0 && !s.left {
		ctx, cancel := context.WithTimeout(s.work, revokeTime)
		defer cancel()
		if s.commit(ctx); s.again {
			s.interrupt()
		}
	}
	s.forget(numbers)
}

// lost forgets partitions that other members may read by now: nothing can be committed.
func (s *Source) lost(_ context.Context, _ *kgo.Client, gone map[string][]int32) {
	s.forget(gone[s.config.Topic])
}

func (s *Source) forget(numbers []int32) {
	for _, n := range numbers {
		delete(s.partitions, n)
		delete(s.owned, n)
	}
	s.mu.Lock()
	for _, n := range numbers {
		delete(s.fetched, n)
	}
	s.mu.Unlock()
	s.account.gave(len(s.owned), len(numbers) > 0)
	s.showLag()
}

// findTopic notes as a failure that the topic does not exist. A member of a group without partitions may
// also be one more than there are partitions: nothing else ends an earlier failure of it.
func (s *Source) findTopic(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, findTime)
	defer cancel()
	err := brokers.FindTopic(ctx, s.client, s.config.Topic)
	if err == nil && s.account.isMember() {
		s.succeeded(connecting)
	}
	if err != nil && ctx.Err() == nil {
		s.failed(connecting, fmt.Errorf("topic %q: %w", s.config.Topic, brokers.Reason(err)))
	}
}

// hooks are called by goroutines of the client.
type hooks struct{ s *Source }

// OnGroupManageError notes that the member is in the group no more. The client joins again.
func (h hooks) OnGroupManageError(err error) {
	h.s.account.left()
	h.s.failed(connecting, brokers.Reason(err))
}

// OnBrokerConnect notes errors of connections, of TLS and of SASL, unless the member is in the group:
// then one of several brokers is away, and the client uses the others.
func (h hooks) OnBrokerConnect(_ kgo.BrokerMetadata, _ time.Duration, _ net.Conn, err error) {
	if err != nil && !h.s.account.isMember() {
		h.s.failed(connecting, brokers.Reason(err))
	}
}

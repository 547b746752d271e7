package kafka

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/dnstap-pdns/dnstap-pdns/conf/brokers"
	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// A partition is what the member has read of a partition. Offsets are those of Kafka's messages.
type partition struct {
	number    int32
	committed int64 // where a member continues that reads again
	next      int64 // after the last one that was taken
	epoch     int32 // of the leader that sent it
	end       int64 // the high watermark
	writers   writers
}

// take passes what was fetched to the inlet. When ctx ends, it finishes the current container. If
// the member has to read again, it takes nothing.
func (s *Source) take(ctx context.Context, fetches kgo.Fetches) {
	records := false
	fetches.EachPartition(func(f kgo.FetchTopicPartition) {
		s.note(&f)
		if len(f.Records) == 0 {
			return
		}
		records = true
		p := s.partition(&f)
		for _, m := range f.Records {
			if s.again || ctx.Err() != nil {
				break
			}
			s.container(p, m)
			p.next, p.epoch = m.Offset+1, m.LeaderEpoch
			s.schedule()
		}
	})
	if records && s.pause == 0 {
		s.succeeded(connecting)
	}
	s.showLag()
}

// note handles the error of a fetch.
func (s *Source) note(f *kgo.FetchTopicPartition) {
	var lost *kgo.ErrDataLoss
	var tooLarge *kgo.ErrDecompressTooLarge
	var session *kgo.ErrGroupSession
	switch err := f.Err; {
	case err == nil, errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), errors.Is(err, kgo.ErrClientClosed),
		errors.As(err, &session): // OnGroupManageError has noted it
	case errors.As(err, &lost):
		s.moved(f.Partition, lost.ConsumedTo, lost.ResetTo)
		if p := s.partitions[f.Partition]; p != nil {
			p.next, p.committed = lost.ResetTo, min(p.committed, lost.ResetTo)
		}
	case errors.As(err, &tooLarge):
		s.account.notNMSG()
		s.skip(f.Partition, tooLarge)
	default:
		s.pause = s.failed(connecting, brokers.Reason(err))
	}
}

// skip continues after a batch that is too large when it is decompressed.
func (s *Source) skip(number int32, batch *kgo.ErrDecompressTooLarge) {
	p := s.partitions[number]
	if p == nil {
		p = &partition{number: number, committed: batch.Offset}
		s.partitions[number] = p
	}
	p.next, p.epoch = batch.NextOffset, batch.Epoch
	s.setOffsets(map[int32]kgo.EpochOffset{number: {Epoch: batch.Epoch, Offset: batch.NextOffset}})
	s.schedule()
}

// schedule sets when a commit is due, after the first message since the latest one.
func (s *Source) schedule() {
	if s.due.IsZero() {
		now := time.Now()
		s.due = now.Add(s.config.Commit)
		s.account.began(now)
	}
}

// partition returns the partition of messages that were fetched. If they do not begin where it was
// read last, nor after a part that was compacted, the offset did not exist any more.
func (s *Source) partition(f *kgo.FetchTopicPartition) *partition {
	first := f.Records[0].Offset
	p := s.partitions[f.Partition]
	if p == nil {
		p = &partition{number: f.Partition, committed: first, next: first}
		s.mu.Lock()
		if offset, ok := s.fetched[f.Partition]; ok && offset >= 0 {
			p.next = offset
		}
		s.mu.Unlock()
		s.partitions[f.Partition] = p
	}
	if first < p.next || f.LogStartOffset > p.next {
		s.moved(f.Partition, p.next, first)
		p.committed = min(p.committed, first)
	}
	p.next, p.end = first, f.HighWatermark
	return p
}

// moved notes that an offset did not exist any more, and that the member continues elsewhere.
func (s *Source) moved(number int32, from, to int64) {
	s.account.outOfRange()
	s.log.Warn("Kafka has no message at the offset where this source continues: it was deleted before it was read, or the topic was made anew",
		"topic", s.config.Topic, "partition", number, "offset", from, "continues_at", to)
}

// container passes the payloads of a message to the inlet. A message that is not exactly one
// container is counted, and so is a repeated container.
func (s *Source) container(p *partition, m *kgo.Record) {
	if err := s.reader.Open(m.Value); err != nil {
		s.account.message(len(m.Value), false, false)
		s.log.Debug("a message of Kafka is not one NMSG container", "partition", p.number, "offset", m.Offset, "error", err)
		return
	}
	id, number, ok := s.reader.Sequence()
	repeated := ok && p.writers.isRepeat(id, number, m.Offset)
	s.account.message(len(m.Value), true, repeated)
	if repeated {
		return
	}
	for {
		payload, err := s.reader.Next()
		if err == io.EOF {
			return
		}
		if err != nil {
			s.inlet.Drop(transform.Malformed)
			continue
		}
		s.payload(&payload)
	}
}

func (s *Source) payload(m *nmsg.Message) {
	if m.IsRRset() {
		a, err := s.decoder.RRset(m)
		if err != nil {
			s.inlet.Drop(transform.Malformed)
			return
		}
		s.inlet.RRset(s.work, a, m.IDs())
		return
	}
	r, err := s.decoder.Record(m)
	switch {
	case errors.Is(err, nmsg.ErrUnknownType):
		s.inlet.Drop(transform.NotOutward)
	case err != nil:
		s.inlet.Drop(transform.Malformed)
	default:
		s.inlet.Record(s.work, r, m.IDs())
	}
}

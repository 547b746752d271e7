package kafka

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/dnstap-pdns/dnstap-pdns/conf/brokers"
)

// commitTime is the time that brokers have for a commit.
const commitTime = 30 * time.Second

// commit has the inlet confirm everything that was read, and commits its offsets. After a failure
// nothing is committed, and the member must read again.
func (s *Source) commit(ctx context.Context) {
	if s.due.IsZero() || s.again {
		return
	}
	err := s.inlet.Confirm(ctx)
	if err != nil {
		err = fmt.Errorf("the sinks did not confirm what was read since the latest commit: %w", err)
	} else {
		err = s.commitOffsets(ctx)
	}
	if err != nil {
		s.account.commitFailed()
		s.pause = s.failed(committing, err)
		s.again = true
		return
	}
	s.due = time.Time{}
	s.account.committed(time.Now())
	s.succeeded(committing)
}

// commitOffsets commits the offsets of what was read.
func (s *Source) commitOffsets(ctx context.Context) error {
	offsets := map[int32]kgo.EpochOffset{}
	for n, p := range s.partitions {
		if p.next != p.committed {
			offsets[n] = kgo.EpochOffset{Epoch: p.epoch, Offset: p.next}
		}
	}
	if len(offsets) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, commitTime)
	defer cancel()
	var failed error
	s.client.CommitOffsetsSync(ctx, map[string]map[int32]kgo.EpochOffset{s.config.Topic: offsets},
		func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, r *kmsg.OffsetCommitResponse, err error) {
			failed = commitError(r, err)
		})
	if failed != nil {
		return fmt.Errorf("committing offsets: %w", brokers.Reason(failed))
	}
	for n, o := range offsets {
		s.partitions[n].committed = o.Offset
	}
	return nil
}

// commitError returns the first error of a response.
func commitError(r *kmsg.OffsetCommitResponse, err error) error {
	if err != nil {
		return err
	}
	for _, t := range r.Topics {
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return fmt.Errorf("partition %d: %w", p.Partition, err)
			}
		}
	}
	return nil
}

// readAgain continues at the offsets of the latest commit.
func (s *Source) readAgain() {
	offsets := map[int32]kgo.EpochOffset{}
	for n, p := range s.partitions {
		p.next = p.committed
		offsets[n] = kgo.EpochOffset{Epoch: -1, Offset: p.committed}
	}
	s.setOffsets(offsets)
	s.due, s.again = time.Time{}, false
}

// setOffsets makes the client continue at these offsets, and discards what it has fetched.
func (s *Source) setOffsets(offsets map[int32]kgo.EpochOffset) {
	s.client.SetOffsets(map[string]map[int32]kgo.EpochOffset{s.config.Topic: offsets})
}

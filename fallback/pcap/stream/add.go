package stream

// Add adds the counts of another table.
func (s *Stats) Add(o Stats) {
	s.Segments += o.Segments
	s.Retransmitted += o.Retransmitted
	s.OutOfOrder += o.OutOfOrder
	s.Gaps += o.Gaps
	s.LostBytes += o.LostBytes
	s.CopiedBytes += o.CopiedBytes
	s.DroppedBytes += o.DroppedBytes
	s.Strayed += o.Strayed
	s.Resynced += o.Resynced
	s.Doubted += o.Doubted
	s.Messages += o.Messages
	s.Broken += o.Broken
	s.Begun += o.Begun
	s.Ended += o.Ended
	s.Expired += o.Expired
	s.Evicted += o.Evicted
	s.EvictedEmbryonic += o.EvictedEmbryonic
	s.EvictedBuffers += o.EvictedBuffers
	s.Streams += o.Streams
	s.Embryonic += o.Embryonic
	s.Bytes += o.Bytes
}

package admin

import "time"

var ofSensor = []metric[Ledger]{
	{"start_time_seconds", "When the sensor started, since 1970.", gauge,
		func(l *Ledger) float64 { return seconds(l.Started) }},
	{"config_last_reload_successful", "Whether the latest reload succeeded; 1 where there was none.", gauge,
		func(l *Ledger) float64 { return truth(l.Reload.OK) }},
	{"config_last_reload_success_timestamp_seconds", "Since when the configuration is in force.", gauge,
		func(l *Ledger) float64 { return seconds(l.Reload.InForceSince) }},
	{"config_resolvers_set", "Whether the configuration names addresses of the resolver's.", gauge,
		func(l *Ledger) float64 { return truth(l.ResolversConfigured) }},
	{"resolver_addresses_known", "Addresses of the resolver that messages contained.", gauge,
		func(l *Ledger) float64 { return float64(l.Resolver.Known) }},
	{"resolver_addresses_full", "Whether no more of these are remembered, so that the oldest are forgotten.", gauge,
		func(l *Ledger) float64 { return truth(l.Resolver.Full) }},
	{"resolver_public_address_known", "Whether a public address of the resolver is known, from messages or by the configuration.", gauge,
		func(l *Ledger) float64 { return truth(l.Resolver.Public) }},
	{"pairing_table_used", "Room for waiting queries that is in use; one with a long name takes that of several.", gauge,
		func(l *Ledger) float64 { return float64(l.Pairing.Used) }},
	{"pairing_table_limit", "Room for waiting queries that there is.", gauge,
		func(l *Ledger) float64 { return float64(l.Pairing.Max) }},
	{"sinks_leaving", "Names of sinks of which one that a reload removed or replaced still drains.", gauge,
		func(l *Ledger) float64 { return float64(l.leaving()) }},
}

var ofSource = []metric[Source]{
	{"messages_read_total", "DNS messages, and frames or packets that should have been one: records + queries paired + queries held + messages dropped.", counter,
		func(s *Source) float64 { return float64(s.Read) }},
	{"records_total", "Messages that became a record.", counter,
		func(s *Source) float64 { return float64(s.Records) }},
	{"queries_paired_total", "Queries that found their response.", counter,
		func(s *Source) float64 { return float64(s.Paired) }},
	{"queries_held", "Queries that wait for their response.", gauge,
		func(s *Source) float64 { return float64(s.Held) }},
	{"last_outward_message_timestamp_seconds", "When the latest message came that may be outward; 0: none has.", gauge,
		func(s *Source) float64 { return seconds(s.LastOutward) }},
	{"message_clock_offset_seconds", "How far the messages' own time was ahead of the clock then.", gauge,
		func(s *Source) float64 {
			if s.MessageClock.IsZero() {
				return 0
			}
			return s.offset().Seconds()
		}},
	{"resolver_address_known", "Whether messages have told an address of the resolver's.", gauge,
		func(s *Source) float64 { return truth(s.ResolverKnown) }},
}

var ofDnstap = []metric[Dnstap]{
	{"connections", "Resolvers' connections, after their handshake.", gauge,
		func(d *Dnstap) float64 { return float64(len(d.Connections)) }},
	{"connections_without_outward", "Of those, such as have brought nothing outward in their first minute.", gauge,
		func(d *Dnstap) float64 { return float64(d.remedied()) }},
	{"connections_accepted_total", "Connections that there were.", counter,
		func(d *Dnstap) float64 { return float64(d.Accepted) }},
	{"connections_refused_total", "Connections closed at once, because max_connections were open.", counter,
		func(d *Dnstap) float64 { return float64(d.Refused) }},
	{"connections_displaced_total", "Connections closed for a newcomer's sake, because max_connections were open.", counter,
		func(d *Dnstap) float64 { return float64(d.Displaced) }},
	{"connections_broken_total", "Connections closed because of broken framing.", counter,
		func(d *Dnstap) float64 { return float64(d.Broken) }},
	{"handshakes_failed_total", "Connections that never said how they speak.", counter,
		func(d *Dnstap) float64 { return float64(d.HandshakesFailed) }},
	{"accept_errors_total", "Failures to accept a connection.", counter,
		func(d *Dnstap) float64 { return float64(d.AcceptErrors) }},
}

var ofCertificate = []metric[Certificate]{
	{"certificate_expiry_timestamp_seconds", "When the source's TLS certificate expires.", gauge,
		func(c *Certificate) float64 { return seconds(c.Expires) }},
}

var ofPackets = []metric[Packets]{
	{"capturing", "Whether packets are captured.", gauge,
		func(p *Packets) float64 { return truth(p.Capturing) }},
	{"captures_total", "Times that a capture began.", counter,
		func(p *Packets) float64 { return float64(p.Captures) }},
	{"captures_broken_total", "Captures that failed.", counter,
		func(p *Packets) float64 { return float64(p.Broken) }},
	{"captures_failed_total", "Times that a capture could not begin.", counter,
		func(p *Packets) float64 { return float64(p.Failed) }},
	{"capture_damaged_packets_total", "Packets in blocks of the ring that contradict themselves.", counter,
		func(p *Packets) float64 { return float64(p.Damaged) }},
}

var ofInterface = []metric[Interface]{
	{"capture_received_packets_total", "Packets that came into the ring.", counter,
		func(i *Interface) float64 { return float64(i.Received) }},
	{"capture_dropped_packets_total", "Packets that found the ring full.", counter,
		func(i *Interface) float64 { return float64(i.Dropped) }},
}

var ofSink = []metric[Sink]{
	{"sink_records_offered_total", "Records for this sink: delivered + queued + filtered + lost.", counter,
		func(s *Sink) float64 { return float64(s.Offered) }},
	{"sink_records_delivered_total", "Records that were delivered.", counter,
		func(s *Sink) float64 { return float64(s.Delivered) }},
	{"sink_records_filtered_total", "Records that the message type has no form for.", counter,
		func(s *Sink) float64 { return float64(s.Filtered) }},
	{"sink_records_queued", "Records that wait.", gauge,
		func(s *Sink) float64 { return float64(s.Queued) }},
	{"sink_queue_bytes", "What waits in the queue.", gauge,
		func(s *Sink) float64 { return float64(s.QueueBytes) }},
	{"sink_queue_limit_bytes", "What may wait there, before the oldest is given up.", gauge,
		func(s *Sink) float64 { return float64(s.QueueMax) }},
	{"sink_sent_containers_total", "NMSG containers that were delivered.", counter,
		func(s *Sink) float64 { return float64(s.Containers) }},
	{"sink_sent_datagrams_total", "UDP: datagrams that were delivered, fragments included.", counter,
		func(s *Sink) float64 { return float64(s.Datagrams) }},
	{"sink_sent_bytes_total", "Bytes that were delivered.", counter,
		func(s *Sink) float64 { return float64(s.Bytes) }},
	{"sink_failing", "Whether the sink failed the last time.", gauge,
		func(s *Sink) float64 { return truth(s.Failing != nil) }},
	{"sink_on_rotate_done_total", "Files whose on_rotate command ended well.", counter,
		func(s *Sink) float64 { return float64(s.OnRotate.Done) }},
	{"sink_on_rotate_failed_total", "Files whose on_rotate command did not.", counter,
		func(s *Sink) float64 { return float64(s.OnRotate.Failed) }},
	{"sink_on_rotate_skipped_total", "Files whose on_rotate command was not run.", counter,
		func(s *Sink) float64 { return float64(s.OnRotate.Skipped) }},
}

// seconds is a time as Prometheus has it; 0 where there is none.
func seconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixNano()) / 1e9
}

func (l *Ledger) leaving() (n int) {
	for i := range l.Sinks {
		if l.Sinks[i].Leaving {
			n++
		}
	}
	return n
}

func (d *Dnstap) remedied() (n int) {
	for i := range d.Connections {
		if d.Connections[i].Remedy != nil {
			n++
		}
	}
	return n
}

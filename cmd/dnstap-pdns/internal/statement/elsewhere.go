package statement

// scrubbedElsewhere reports whether the sensor reads from Kafka what other sensors have recorded: then
// its policy removes and drops nothing.
func (s *Subject) scrubbedElsewhere() bool { return len(s.File.Kafka) > 0 }

// sourcesProof proves what follows from the type of the sources.
func (p *page) sourcesProof() proof {
	return p.ours("check", "", "prints every source, of type `kafka`, and no other")
}

// addressesElsewhere is addresses for a sensor that reads from Kafka.
func (s *Subject) addressesElsewhere(p *page) {
	p.fillIn("that IP addresses are treated as personal data, or why they are not")
	p.claim("The sensor reads no messages of a resolver. It reads from Kafka what other sensors recorded and scrubbed, by policies that this configuration does not contain. "+
		"It removes no address itself.", p.sourcesProof())
	p.fillIn("the statements about the sensors that write to the topics, and how it is ensured that only these sensors can write to them")
}

// collectionElsewhere describes what is removed and dropped if the sensor reads from Kafka.
func (s *Subject) collectionElsewhere(p *page) {
	p.heading(4, "What is removed from records")
	p.claim("Nothing: the blocks `outward` and `scrub` of the configuration apply to messages of a resolver, and the sensor reads none.", p.sourcesProof())
	p.heading(4, "What is dropped")
	p.claim("What is not NMSG with records or RRsets of passive DNS. No rule of scrubbing drops a record.",
		p.ours("status", "", "prints how many messages of each source were dropped, by reason"))
}

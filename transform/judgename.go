package transform

// JudgeName returns what the policy makes of a query name by itself, in uncompressed
// wire form and whatever case, as of the name of a query that nobody answered:
// LocalName, ResolverAddress, SpecialName, or Kept if nothing about the name forbids a
// record. What is no name is Malformed.
func (p *Policy) JudgeName(name []byte) Reason {
	if !validName(name) {
		return Malformed
	}
	var lowered [maxName]byte
	lower(lowered[:copy(lowered[:], name)])
	var s searcher
	s.begin(p, new(addrSet)) // of which lanes' messages have told none
	return s.judge(lowered[:len(name)], nil, nil)
}

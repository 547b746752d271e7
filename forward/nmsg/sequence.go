package nmsg

// Gap says that containers of a writer did not arrive: those from Expected up to,
// not including, Got. Sequence numbers wrap, so Got may be the smaller.
type Gap struct {
	SequenceID    uint64
	Expected, Got uint32
}

// Missing is how many containers the gap stands for.
func (g Gap) Missing() uint32 { return g.Got - g.Expected }

const (
	// maxSequences bounds how many writers are followed. The one that was met first
	// is forgotten first; met again, it starts anew, without a gap.
	maxSequences = 4096

	// reorderWindow is how far back a number may lie and still be one that came late
	// or twice. Further back the writer is taken to have started over.
	reorderWindow = 1024
)

// sequences follows the sequence numbers of each writer, told apart by sequence
// id. A number ahead of the expected one is a gap, once; a number that fills the
// gap later takes nothing back and is no second gap. The first number of an id,
// whatever it is, is where that writer begins.
type sequences struct {
	report func(Gap) // nil: nobody wants to know
	next   map[uint64]uint32
	order  []uint64 // ids as they were met
}

func (s *sequences) saw(id uint64, seq uint32) {
	expected, known := s.next[id]
	if !known {
		s.meet(id)
		s.next[id] = seq + 1
		return
	}
	ahead := int32(seq - expected)
	if ahead < 0 && ahead >= -reorderWindow {
		return
	}
	s.next[id] = seq + 1
	if ahead > 0 && s.report != nil {
		s.report(Gap{SequenceID: id, Expected: expected, Got: seq})
	}
}

func (s *sequences) meet(id uint64) {
	if s.next == nil {
		s.next = make(map[uint64]uint32)
	}
	if len(s.order) == maxSequences {
		delete(s.next, s.order[0])
		s.order = s.order[1:]
	}
	s.order = append(s.order, id)
}

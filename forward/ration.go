package forward

// ration sees that no lane is left without room for queries by others that hold
// more than an equal share: a connection that fills the budget and falls silent
// would keep it for ever, since a lane's clock runs on its own messages. Lanes are
// held to equal shares for as long as one of them is refused room and less than a
// share is free.
func (f *Forwarder) ration() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.lanes) == 0 {
		return
	}
	share := f.budget.Max() / len(f.lanes)
	refused, poor := false, false
	for _, l := range f.lanes {
		holds, was := l.pressed()
		refused = refused || was
		poor = poor || was && holds < share
	}
	switch {
	case poor:
		f.rationed = true
		f.budget.Ration(share)
		for _, l := range f.lanes {
			l.shrink(share)
		}
	case f.rationed && refused && f.budget.Max()-int(f.budget.Held()) < share:
		f.budget.Ration(share) // lanes may have come or gone
	case f.rationed:
		f.rationed = false
		f.budget.Relax()
	}
}

func (l *Lane) pressed() (holds int, refused bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.pairer.Pressed()
}

func (l *Lane) shrink(share int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pairer.Shrink(share)
}

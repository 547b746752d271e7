package main

import "testing"

// TestLostRecordsAreFoundInTheClosingLine reads the log of a sensor.
func TestLostRecordsAreFoundInTheClosingLine(t *testing.T) {
	const log = `time=2026-11-30T13:03:37Z level=WARN msg="records were lost at the stop" sink=discard records=9 lost.stopped=9
time=2026-11-30T13:03:37Z level=INFO msg=ledger read=40 records=20 lost.malformed=5 sink.discard.offered=20 sink.discard.lost.queue_full=3 sink.discard.lost.stopped=9 sink.other.offered=20 sink.other.lost.too_big=1
`
	if n := lostRecords(log); n != 13 {
		t.Errorf("%d records lost, want 13", n)
	}
	if n := lostRecords("level=INFO msg=ledger read=40 sink.discard.delivered=20\n"); n != 0 {
		t.Errorf("%d records lost, want 0", n)
	}
}

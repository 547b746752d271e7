package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/present"
	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// showDemo prints what left, what did not, and why.
func showDemo(w io.Writer, file string, frames int, seen *witness, l forward.Ledger) error {
	fmt.Fprintf(w, "An Unbound said %d things over dnstap while clients asked it 60 questions.\n\n", frames)
	fmt.Fprintf(w, "WHAT LEFT (the sensor's NMSG file, as dnstap-pdns cat prints it: %d records whole, of the others the first line)\n\n", wholeRecords)
	if err := showFile(w, file); err != nil {
		return err
	}
	fmt.Fprintf(w, "\nWHAT DID NOT LEAVE, AND WHY\n\n")
	for _, r := range transform.Reasons() {
		if n := l.Total.Dropped[r]; n > 0 {
			fmt.Fprintf(w, "%s %d (%s)\n", r, n, r.Meaning())
			for _, example := range seen.examples[r] {
				fmt.Fprintf(w, "    such as %s\n", example)
			}
		}
	}
	fmt.Fprint(w, ownNames)
	fmt.Fprintf(w, "\nTHE LEDGER (every message, every record)\n\n")
	printLedger(w, l)
	if l.Total.Read != uint64(frames) || l.Total.Read != l.Total.Sum() {
		return errors.New("the ledger does not add up")
	}
	return nil
}

// ownNames is what the built-in configuration cannot know.
const ownNames = `
corp.example is this site's own zone, and some records above name it. Nothing but its operator can know that:
with scrub { local_names = ["corp.example"] } those stay as well. dnstap-pdns replay tries such things out on a capture.
`

// wholeRecords is how many records are shown whole; of the others the first line.
const wholeRecords = 4

func showFile(w io.Writer, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	p := present.Printer{Format: present.Text}
	r := nmsg.NewReader(f)
	for n := 0; ; n++ {
		m, err := r.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading what the sensor wrote: %w", err)
		}
		var out strings.Builder
		if err := p.Print(&out, m); err != nil {
			return err
		}
		text := out.String()
		if n >= wholeRecords {
			text, _, _ = strings.Cut(text, "\n")
			text += "\n"
		}
		if _, err := io.WriteString(w, text); err != nil {
			return err
		}
	}
}

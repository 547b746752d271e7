package startcheck

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/forward/file"
	"github.com/dnstap-pdns/dnstap-pdns/forward/spool"
)

// write is the permission bits to create files in a folder.
const write fs.FileMode = 2

// files checks the folder of a file sink or of a spool: that files can be created in it, and
// that there is room.
func (c *check) files(s *forward.SinkConfig) {
	name := fmt.Sprintf("sink %q", s.Name)
	switch t := s.Transport.(type) {
	case file.Config:
		if dir := c.folder(name, s.Target.Address); dir != "" && t.RotateSize > 0 {
			c.room(dir, t.RotateSize, name+": only %d MiB are free in its folder, less than one file of rotate_size",
				"Free some space, or set a smaller rotate_size and remove files that were collected.")
		}
	case spool.Config:
		if dir := c.folder(name, c.spoolPattern(t.Dir)); dir != "" {
			c.room(dir, t.MaxBytes, name+": only %d MiB are free in the folder of its spool, less than max_bytes",
				"Free some space, or set a smaller max_bytes: when the disk is full, records wait in memory.")
		}
	}
}

// spoolPattern returns a pattern for a file in the folder of a spool, or in its first parent that
// exists or that the units make: the sensor makes the others.
func (c *check) spoolPattern(dir string) string {
	for dir != "/" && !c.isMadeBySystemd(dir) {
		if _, err := os.Stat(dir); err == nil {
			break
		}
		dir = filepath.Dir(dir)
	}
	return strings.ReplaceAll(filepath.Join(dir, "spool"), "%", "%%")
}

// orphans warns of records in the folders of spools that no sink sends.
func (c *check) orphans(sinks []forward.SinkConfig) {
	all, err := spool.Orphans(sinks, c.o.InForce)
	if err != nil {
		c.warn(fmt.Sprintf("the folders of spools cannot be read: %v", err), "Without them check does not know whether they contain records of sinks that are no longer configured.")
	}
	for _, o := range all {
		records := "records"
		if o.Records > 0 {
			records = fmt.Sprintf("at least %d records", o.Records)
		}
		c.warn(fmt.Sprintf("the spool %s contains %s that no sink sends", o.Dir, records),
			"Configure its sink again, with the same name, message and channel, or remove the folder.")
	}
}

// folder checks that files of a pattern can be created, and returns their folder; "" if that was
// not checked.
func (c *check) folder(name, pattern string) string {
	now := time.Now()
	folder, err := file.Folder(pattern, now)
	if err == nil && c.isMadeBySystemd(folder) {
		return ""
	}
	if err == nil {
		err = file.Probe(pattern, now)
	}
	if err != nil {
		c.fail(fmt.Errorf("%s: %w", name, err))
		return ""
	}
	if c.isReadOnly(folder) {
		c.warn(fmt.Sprintf("%s: the service may not write to %s: its unit has ProtectSystem=strict", name, folder),
			fmt.Sprintf("Set ReadWritePaths=%s in a drop-in, or choose a folder in %s.", folder, strings.Join(c.o.Later.Units.Folders, ", ")))
	}
	c.permitted(name, folder, write, "write to", wouldNotStart)
	return folder
}

// room warns if less than want bytes are free in a folder. The format of the problem takes the
// free MiB.
func (c *check) room(dir string, want int64, problem, advice string) {
	if free, err := file.Free(dir); err == nil && free < uint64(want) {
		c.warn(fmt.Sprintf(problem, free>>20), advice)
	}
}

// isMadeBySystemd reports whether the units make the folder, so that this process need not
// have it.
func (c *check) isMadeBySystemd(folder string) bool {
	l := c.o.Later
	return l != nil && !l.Inside && slices.Contains(l.Units.Folders, folder)
}

// isReadOnly reports whether the units make the folder read-only for the sensor.
func (c *check) isReadOnly(folder string) bool {
	l := c.o.Later
	if l == nil || l.Inside || !l.Units.ReadOnly {
		return false
	}
	return !slices.ContainsFunc(slices.Concat(l.Units.Folders, l.Units.Writable), func(writable string) bool {
		rel, err := filepath.Rel(strings.TrimLeft(writable, "-+"), folder)
		return err == nil && rel != ".." && !strings.HasPrefix(rel, "../")
	})
}

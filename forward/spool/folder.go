package spool

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/forward/ondisk"
)

// A Streamed is the configuration of a transport whose target takes several streams, of which
// a sink sends one: a folder is only for one. Stream returns its name.
type Streamed interface{ Stream() string }

// folder returns the path of a sink's folder below c.Dir: the sink's name, its message type
// and its stream.
func (c *Config) folder(s *forward.SinkConfig) (string, error) {
	format, ok := s.Format.(interface{ MessageName() string })
	if !ok {
		return "", errors.New("a spool contains NMSG only: remove the block spool")
	}
	parts := []string{s.Name, format.MessageName()}
	if t, ok := c.Transport.(Streamed); ok {
		parts = append(parts, t.Stream())
	}
	for i := range parts {
		parts[i] = escape(parts[i])
	}
	return filepath.Join(c.Dir, strings.Join(parts, separator)), nil
}

// separator separates the parts of a folder's name. Escaped parts do not contain it.
const separator = ","

// escape makes a part of a file name from any text: different ones from different texts.
func escape(text string) string {
	var b strings.Builder
	for i := range len(text) {
		c := text[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '.' && i > 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02x", c)
		}
	}
	return b.String()
}

const lockName = "lock"

// openFolder makes the folder if there is none, and locks it until the returned file is
// closed.
func openFolder(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, dirPerm); err != nil {
		return nil, fmt.Errorf("making the folder of the spool: %w", err)
	}
	return ondisk.Lock(filepath.Join(dir, lockName), errors.New("another process uses it: each needs a folder of its own"))
}

// An Orphan is a folder with records that no sink sends.
type Orphan struct {
	Dir     string
	Records uint64 // according to its index, which may not have the latest; 0: unknown
}

// Orphans returns the folders that contain records and belong to none of these sinks. It looks
// below the folders of their spools, and of those of the sinks before a reload. It does not lock
// them.
func Orphans(sinks, before []forward.SinkConfig) (all []Orphan, err error) {
	roots, used, err := folders(sinks)
	if err != nil {
		return nil, err
	}
	earlier, _, err := folders(before)
	if err != nil {
		return nil, err
	}
	roots = append(roots, earlier...)
	slices.Sort(roots)
	var errs []error
	for _, root := range slices.Compact(roots) {
		found, err := orphansBelow(root, used)
		all, errs = append(all, found...), append(errs, err)
	}
	return all, errors.Join(errs...)
}

// folders returns Config.Dir of each sink with a spool, and the folder of that sink below it.
func folders(sinks []forward.SinkConfig) (roots, dirs []string, err error) {
	for i := range sinks {
		c, ok := sinks[i].Transport.(Config)
		if !ok {
			continue
		}
		dir, err := c.folder(&sinks[i])
		if err != nil {
			return nil, nil, err
		}
		roots, dirs = append(roots, filepath.Clean(c.Dir)), append(dirs, dir)
	}
	return roots, dirs, nil
}

func orphansBelow(root string, used []string) (all []Orphan, err error) {
	entries, err := os.ReadDir(root)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil // no sink had a spool yet
	}
	for _, e := range entries {
		dir := filepath.Join(root, e.Name())
		if !e.IsDir() || slices.Contains(used, dir) {
			continue
		}
		o, found := orphanIn(dir)
		if found {
			all = append(all, o)
		}
	}
	return all, err
}

// orphanIn returns the orphan in a folder; false: it contains no segment.
func orphanIn(dir string) (o Orphan, found bool) {
	entries, _ := os.ReadDir(dir) // what cannot be read is not the sensor's
	for _, e := range entries {
		if _, ok := segmentNumber(e.Name()); ok {
			o.Dir = dir
			break
		}
	}
	b, err := os.ReadFile(filepath.Join(dir, indexName))
	if err != nil {
		return o, o.Dir != ""
	}
	if x, err := decodeIndex(b); err == nil {
		o.Records = x.total().Records
	}
	return o, o.Dir != ""
}

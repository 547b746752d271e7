package conf

import (
	"bytes"
	"maps"
	"slices"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// longestNamesFile is the size, in bytes, of a list of some hundred thousand
// names.
const longestNamesFile = 16 * mib

// badNames is how many lines of such a file are shown where they are wrong: it may be
// no list of names at all.
const badNames = 20

// checkLocalName returns a name as it is written: the policy looks for U-labels
// in text as well as for A-labels.
func checkLocalName(name string) (string, error) {
	_, err := transform.ParseLocalName(name)
	return name, err
}

// localNames returns the names in both attributes, and keeps what Renewed needs.
func (s *section) localNames() []string {
	s.file.written = readList(s, "local_names", checkLocalName)
	s.file.naming = s
	if path := readText(s, "local_names_file", parsePath); path != "" {
		s.file.LocalNamesFile = inFolder(s.dir, path)
	}
	return append(slices.Clone(s.file.written), s.localNamesFile()...)
}

// Renewed returns f with the names that local_names_file holds now; all else is as f
// was read, whatever has become of that file. With errors, it is good for
// WriteDiagnostics only. f itself does not change.
func (f *File) Renewed() (*File, hcl.Diagnostics) {
	next := *f
	next.sources = maps.Clone(f.sources)
	d := &decoder{file: &next, dir: f.naming.dir}
	naming := *f.naming
	naming.decoder = d
	next.naming = &naming
	next.Policy.LocalNames = append(slices.Clone(f.written), naming.localNamesFile()...)
	return &next, d.diags
}

// localNamesFile returns the names in local_names_file. What is wrong in there
// is reported at its line of that file. A file without names is an error as a missing
// one is: what writes it may have failed, and then every local name would leave.
func (s *section) localNamesFile() []string {
	path := s.file.LocalNamesFile
	if path == "" {
		return nil
	}
	src, err := readFile(path, longestNamesFile)
	if err != nil {
		set := s.settings["local_names_file"]
		s.refuse(set, set.at, err.Error())
		return nil
	}
	s.file.sources[path] = src
	before := len(s.diags)
	names, lines := s.namesIn(path, src)
	s.file.lines = lines
	if len(names) == 0 && len(s.diags) == before {
		set := s.settings["local_names_file"]
		s.fail(set.at, "local_names_file: the file holds no name",
			"Write names there, one a line, or leave the attribute out if there are none.")
	}
	return names
}

// namesIn returns the names in a file, and the line of each.
func (s *section) namesIn(path string, src []byte) (names []string, lines []int) {
	const detail = "The file takes one domain name a line, like corp.example, and # before comments."
	line, start, bad := 0, 0, 0
	for raw := range bytes.Lines(src) {
		line++
		text, _, _ := bytes.Cut(raw, []byte("#"))
		if name := bytes.TrimSpace(text); len(name) > 0 {
			if _, err := checkLocalName(string(name)); err == nil {
				names, lines = append(names, string(name)), append(lines, line)
			} else {
				at := rangeOf(path, line, raw, start, bytes.Index(raw, name), len(name))
				if bad++; bad > badNames {
					s.fail(at, "more of the lines hold no domain name: the file is not read beyond this one", detail)
					return nil, nil
				}
				s.fail(at, err.Error(), detail)
			}
		}
		start += len(raw)
	}
	return names, lines
}

// rangeOf returns the place of n bytes at offset from in a line that begins at
// byte start of its file.
func rangeOf(path string, line int, raw []byte, start, from, n int) hcl.Range {
	column := 1 + utf8.RuneCount(raw[:from])
	return hcl.Range{
		Filename: path,
		Start:    hcl.Pos{Line: line, Column: column, Byte: start + from},
		End:      hcl.Pos{Line: line, Column: column + utf8.RuneCount(raw[from:from+n]), Byte: start + from + n},
	}
}

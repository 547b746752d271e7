package conf

import (
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"

	"github.com/dnstap-pdns/dnstap-pdns/conf/secret"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// longestNamesFile is the limit of local_names_file in bytes: room for some hundred
// thousand names.
const longestNamesFile = 16 * mib

// maxBadNames is the number of invalid lines that are reported: the file may not be a
// list of names at all.
const maxBadNames = 20

// checkLocalName returns a valid name as it is written, because the policy searches
// for its U-labels as well as for its A-labels.
func checkLocalName(name string) (string, error) {
	_, err := transform.ParseLocalName(name)
	return name, err
}

// localNames returns the names of both attributes, and sets the fields that Renewed
// uses.
func (s *section) localNames() []string {
	s.file.ownNames = readList(s, "local_names", checkLocalName)
	s.file.scrub = s
	if path := readText(s, "local_names_file", parsePath); path != "" {
		s.file.LocalNamesFile = inFolder(s.dir, path)
	}
	return append(slices.Clone(s.file.ownNames), s.localNamesFile()...)
}

// WithCurrentNames returns a copy of f with the names that local_names_file contains now.
// Nothing else is read again. With errors, the copy may be used for WriteDiagnostics
// only. f itself does not change.
func (f *File) WithCurrentNames() (*File, hcl.Diagnostics) {
	next := *f
	next.sources = maps.Clone(f.sources)
	d := &decoder{file: &next, dir: f.scrub.dir}
	scrub := *f.scrub
	scrub.decoder = d
	next.scrub = &scrub
	next.Policy.LocalNames = append(slices.Clone(f.ownNames), scrub.localNamesFile()...)
	return &next, d.diags
}

// localNamesFile returns the names in local_names_file. It reports each invalid line
// at its position in that file. A file without names is an error, as a missing file
// is: its generator may have failed, and then every local name would leave.
func (s *section) localNamesFile() []string {
	path := s.file.LocalNamesFile
	if path == "" {
		return nil
	}
	src, err := secret.ReadRegular(path, longestNamesFile)
	if err != nil {
		set := s.settings["local_names_file"]
		s.refuse(set, set.at, err.Error())
		return nil
	}
	s.file.sources[path] = src
	before := len(s.diags)
	names, lines := s.namesIn(path, src)
	s.file.fileLines = lines
	if len(names) == 0 && len(s.diags) == before {
		set := s.settings["local_names_file"]
		s.fail(set.at, "local_names_file: the file contains no name",
			"Write one name on each line, or remove the attribute if you have no names.")
	}
	return names
}

// namesIn returns the names in a file, and the line of each.
func (s *section) namesIn(path string, src []byte) (names []string, lines []int) {
	const detail = "Each line takes one domain name, like corp.example; comments begin with #."
	line, start, bad := 0, 0, 0
	for raw := range strings.Lines(string(src)) { // one string, which all names share
		line++
		text, _, _ := strings.Cut(raw, "#")
		if name := strings.TrimSpace(text); name != "" {
			if _, err := checkLocalName(name); err == nil {
				names, lines = append(names, name), append(lines, line)
			} else {
				at := rangeOf(path, line, raw, start, strings.Index(raw, name), len(name))
				if bad++; bad > maxBadNames {
					s.fail(at, "too many lines are not domain names: the rest of the file is not read", detail)
					return nil, nil
				}
				s.fail(at, err.Error(), detail)
			}
		}
		start += len(raw)
	}
	return names, lines
}

// rangeOf returns the range of n bytes at offset from in a line that begins at byte
// start of its file.
func rangeOf(path string, line int, raw string, start, from, n int) hcl.Range {
	column := 1 + utf8.RuneCountInString(raw[:from])
	return hcl.Range{
		Filename: path,
		Start:    hcl.Pos{Line: line, Column: column, Byte: start + from},
		End:      hcl.Pos{Line: line, Column: column + utf8.RuneCountInString(raw[from:from+n]), Byte: start + from + n},
	}
}

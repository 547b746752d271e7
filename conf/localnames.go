package conf

import (
	"bytes"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// longestNamesFile is the size, in bytes, of a list of some hundred thousand
// names.
const longestNamesFile = 16 * mib

// checkLocalName returns a name as it is written: the policy looks for U-labels
// in text as well as for A-labels.
func checkLocalName(name string) (string, error) {
	_, err := transform.ParseLocalName(name)
	return name, err
}

// localNamesFile returns the names in local_names_file. What is wrong in there
// is reported at its line of that file.
func (s *section) localNamesFile() []string {
	path := readText(s, "local_names_file", parsePath)
	if path == "" {
		return nil
	}
	path = inFolder(s.dir, path)
	src, err := readFile(path, longestNamesFile)
	if err != nil {
		set := s.settings["local_names_file"]
		s.refuse(set, set.at, err.Error())
		return nil
	}
	s.file.sources[path] = src
	return s.namesIn(path, src)
}

func (s *section) namesIn(path string, src []byte) []string {
	var names []string
	line, start := 0, 0
	for raw := range bytes.Lines(src) {
		line++
		text, _, _ := bytes.Cut(raw, []byte("#"))
		if name := bytes.TrimSpace(text); len(name) > 0 {
			indent := bytes.Index(raw, name)
			if _, err := checkLocalName(string(name)); err != nil {
				s.fail(rangeOf(path, line, raw, start, indent, len(name)), err.Error(),
					"The file takes one domain name a line, like corp.example, and # before comments.")
			} else {
				names = append(names, string(name))
			}
		}
		start += len(raw)
	}
	return names
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

package setup

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/dnstap-pdns/dnstap-pdns/conf"
)

// maxIncludes limits the files of one configuration of Unbound.
const maxIncludes = 1000

// unboundMain is the configuration that Debian's Unbound reads.
const unboundMain = "/etc/unbound/unbound.conf"

// An unboundOption is an option of Unbound with its values, in a clause.
type unboundOption struct {
	clause, key string
	values      []string
	file        string
}

// unboundOptions returns the options of a file and of the files that it includes.
func unboundOptions(m Machine, main string) (all []unboundOption) {
	files := []string{main}
	for i := 0; i < len(files) && i < maxIncludes; i++ {
		clause := ""
		for _, o := range optionsIn(m.Read(files[i]), files[i]) {
			switch {
			case len(o.values) == 0:
				clause = o.key
			case o.key == "include" || o.key == "include-toplevel":
				pattern := o.values[0]
				if !filepath.IsAbs(pattern) {
					pattern = filepath.Join(filepath.Dir(main), pattern)
				}
				files = append(files, m.Glob(pattern)...)
			default:
				o.clause = clause
				all = append(all, o)
			}
		}
	}
	return all
}

// optionsIn splits the text of a configuration of Unbound: a word that ends with a colon is a
// key or begins a clause, and the other words are values.
func optionsIn(text, file string) (all []unboundOption) {
	for line := range strings.Lines(text) {
		for _, word := range unboundWords(line) {
			if key, ok := strings.CutSuffix(word, ":"); ok && strings.Trim(key, "abcdefghijklmnopqrstuvwxyz0123456789-") == "" && key != "" {
				all = append(all, unboundOption{key: key, file: file})
			} else if len(all) > 0 {
				last := &all[len(all)-1]
				last.values = append(last.values, strings.Trim(word, `"'`))
			}
		}
	}
	return all
}

// unboundWords returns the words of a line. A word in quotation marks keeps them.
func unboundWords(line string) (words []string) {
	for line = strings.TrimSpace(line); line != "" && line[0] != '#'; line = strings.TrimSpace(line) {
		end := strings.IndexAny(line, " \t")
		if line[0] == '"' || line[0] == '\'' {
			if end = strings.IndexByte(line[1:], line[0]); end >= 0 {
				end += 2
			}
		}
		if end < 0 {
			end = len(line)
		}
		words = append(words, line[:end])
		line = line[end:]
	}
	return words
}

// answering are the types of local-zone for own data. Zones of other types, and zones without
// data, block the names of others.
var answering = []string{"static", "transparent", "typetransparent", "inform"}

// unboundZones returns the local zones with data, and the stub, forward and auth zones.
func unboundZones(m Machine) (all []conf.Proposal) {
	options := unboundOptions(m, unboundMain)
	var owners []string // of local data
	for _, o := range options {
		if o.key == "local-data" {
			owner, _, _ := strings.Cut(o.values[0], " ")
			owners = append(owners, canonical(owner))
		}
	}
	for _, o := range options {
		isZone := o.key == "name" && slices.Contains([]string{"stub-zone", "forward-zone", "auth-zone"}, o.clause)
		from := o.clause
		if o.key == "local-zone" && len(o.values) == 2 && slices.Contains(answering, o.values[1]) {
			zone := canonical(o.values[0])
			isZone = slices.ContainsFunc(owners, func(owner string) bool { return owner == zone || strings.HasSuffix(owner, "."+zone) })
			from = o.key
		}
		if isZone {
			all = append(all, conf.Proposal{Value: o.values[0], From: from + " in " + o.file})
		}
	}
	return all
}

func canonical(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

// own are the types of BIND's zones with data of the organisation, or of servers that it chose.
var own = []string{"primary", "master", "secondary", "slave", "stub", "static-stub", "forward"}

// bindZones returns the zones of a configuration that named-checkconf printed, in all views,
// without response policy zones.
func bindZones(text string) (all []conf.Proposal) {
	tokens := bindTokens(text)
	at := func(i int) string {
		if i < len(tokens) {
			return tokens[i].text
		}
		return ""
	}
	var policies []string
	for i := range tokens {
		if at(i) != "response-policy" {
			continue
		}
		for i++; i < len(tokens) && at(i) != "}"; i++ {
			if at(i) == "zone" {
				policies = append(policies, canonical(at(i+1)))
			}
		}
	}
	for i := range tokens {
		if at(i) != "zone" || at(i+2) != "{" && at(i+3) != "{" {
			continue
		}
		name, depth := at(i+1), 0
		for j := i + 2; j < len(tokens); j++ {
			switch at(j) {
			case "{":
				depth++
			case "}":
				depth--
			}
			if depth == 0 && at(j) == "}" {
				break
			}
			if depth == 1 && at(j) == "type" && slices.Contains(own, at(j+1)) && !slices.Contains(policies, canonical(name)) {
				all = append(all, conf.Proposal{Value: name, From: "zone of type " + at(j+1) + " in BIND"})
			}
		}
	}
	return all
}

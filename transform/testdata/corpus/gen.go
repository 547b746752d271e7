// Command gen makes the corpus of real names from folders of public lists; README.md
// has the folders. Run it in transform/testdata/corpus.
//
//	go run gen.go NAME=FOLDER ...
package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io/fs"
	"log"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/miekg/dns"
	"golang.org/x/net/publicsuffix"
)

const host = `((?:[a-zA-Z0-9_][a-zA-Z0-9_-]*\.)+[a-zA-Z][a-zA-Z0-9-]+)`

// patterns find host names: in URLs, except for the sources below.
var patterns = map[string]*regexp.Regexp{
	"publicsuffix": regexp.MustCompile(`(?m)^\t"[*!]?\.?([a-z0-9.-]+)",$`),
	"spamassassin": regexp.MustCompile(`(?:^|[^a-zA-Z0-9_.\\@-])` + host),
}

var inURL = regexp.MustCompile(`//` + host + `(?:[/:?#"'<>,;\\&\s)\]]|$)`)

func main() {
	log.SetFlags(0)
	taken := map[string]bool{}
	for _, arg := range os.Args[1:] {
		source, folder, _ := strings.Cut(arg, "=")
		names, err := namesIn(source, folder)
		if err != nil {
			log.Fatal(err)
		}
		names = slices.DeleteFunc(names, func(n string) bool { return taken[n] })
		for _, n := range names {
			taken[n] = true
		}
		if err := write(source+".txt.gz", names); err != nil {
			log.Fatal(err)
		}
		fmt.Println(source, len(names))
	}
}

// namesIn returns the names in the files of a folder, in order.
func namesIn(source, folder string) (names []string, err error) {
	pattern := patterns[source]
	if pattern == nil {
		pattern = inURL
	}
	err = filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || source == "publicsuffix" && d.Name() != "table_test.go" {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if source == "publicsuffix" {
			text = text[:bytes.Index(text, []byte("\n}\n"))] // the rules; other tables follow
		}
		text = bytes.ReplaceAll(text, []byte(`\/`), []byte(`/`)) // URLs in JSON
		for _, m := range pattern.FindAllSubmatch(text, -1) {
			if name := strings.ToLower(string(m[1])); source == "publicsuffix" || isPublic(name) {
				names = append(names, name)
			}
		}
		return nil
	})
	slices.Sort(names)
	return slices.Compact(names), err
}

// isPublic reports whether a name can exist in the public DNS: it is below a public
// suffix and not special-use.
func isPublic(name string) bool {
	_, ok := dns.IsDomainName(name)
	suffix, icann := publicsuffix.PublicSuffix(name)
	listed := icann || strings.Contains(suffix, ".")
	top := name[strings.LastIndexByte(name, '.')+1:]
	isFile := top == "cf" || top == "pm" // of SpamAssassin
	return ok && listed && suffix != name && top != "onion" && !isFile && !isExample(name)
}

// isExample reports whether a name is reserved for documentation (RFC 2606).
func isExample(name string) bool {
	domain, _ := publicsuffix.EffectiveTLDPlusOne(name)
	first, _, _ := strings.Cut(domain, ".")
	return first == "example"
}

func write(path string, names []string) error {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return err
	}
	for _, n := range names {
		fmt.Fprintln(z, n)
	}
	if err := z.Close(); err != nil {
		return err
	}
	return os.WriteFile(path, b.Bytes(), 0o644)
}

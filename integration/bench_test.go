package integration

import (
	"encoding/xml"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// benchProgram measures the sensor for docs/performance.md.
var benchProgram = builtOnce("benchprogram", "./bench")

// TestBenchWritesItsSections runs the parts of the bench that need no network namespace, with few
// frames, and checks the shape of what they write. It cannot check the figures.
func TestBenchWritesItsSections(t *testing.T) {
	t.Parallel()
	page := filepath.Join(t.TempDir(), "page.md")
	empty := "# A page\n"
	for _, part := range []string{"loads", "live", "connections", "memory"} {
		empty += "\n<!-- bench " + part + " -->\n<!-- /bench " + part + " -->\nafter " + part + "\n"
	}
	if err := os.WriteFile(page, []byte(empty), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), benchProgram(t), "-sensor", plainSensor(t), "-write", page,
		"-parts", "loads,live,connections", "-frames", "20000", "-runs", "1", "-window", "100ms", "-warm-up", "0s")
	cmd.Dir = ".." // of the captures
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
	raw, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	text := string(raw)
	for part, want := range map[string]struct {
		rows  int
		cells string // a pattern of a row
	}{
		"loads":       {6, `^\| busy \| 20,000 \| \d+ \| [\d,]+ ns \| [\d,]+ ns \| [\d,]+ ns \| [\d,]+ ns \| [\d.]+ \| 4.8, then 3.2 \| [\d.]+ MiB \|$`},
		"live":        {7, `^\| 1,000 \| BIND \| [\d.]+ % \| [\d.]+ % \| 0.5 % \| [\d,]+ \| [\d,]+ \|$`},
		"connections": {2, `^\| 4 \| [\d,]+ \| [\d,]+ \| [\d.]+ \| [\d.]+ MiB \|$`},
	} {
		section := between(text, "<!-- bench "+part+" -->\nMeasured on ", "\n<!-- /bench "+part+" -->\nafter "+part)
		if rows := strings.Count(section, "\n|") - 2; rows != want.rows {
			t.Errorf("%s: %d rows, want %d:\n%s", part, rows, want.rows, section)
		}
		if !regexp.MustCompile("(?m)" + want.cells).MatchString(section) {
			t.Errorf("%s: no row is like %s:\n%s", part, want.cells, section)
		}
	}
	if !strings.HasSuffix(text, "<!-- bench memory -->\n<!-- /bench memory -->\nafter memory\n") {
		t.Errorf("the section of a part that did not run was changed:\n%s", text)
	}
	checkPicture(t, page, between(text, "![share of one core and wake-ups at a rate](", ")"))
}

// between returns the text between two texts, or nothing.
func between(text, begin, end string) string {
	_, rest, _ := strings.Cut(text, begin)
	inside, _, found := strings.Cut(rest, end)
	if !found {
		return ""
	}
	return inside
}

// checkPicture checks that a picture next to a page is XML.
func checkPicture(t *testing.T, page, name string) {
	t.Helper()
	picture, err := os.ReadFile(filepath.Join(filepath.Dir(page), name))
	if err != nil {
		t.Fatal(err)
	}
	var svg struct {
		XMLName xml.Name `xml:"http://www.w3.org/2000/svg svg"`
	}
	if err := xml.Unmarshal(picture, &svg); err != nil {
		t.Errorf("%s: %v", name, err)
	}
}

package secret

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAFileIsReadAtEachCall(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	s := InFile(path)
	if _, err := s.Read(); err == nil {
		t.Error("no error of a missing file")
	}
	for content, want := range map[string]string{"one": "one", "two\n": "two", "three\r\n": "three", "": "", "\n": ""} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := s.Read()
		if got != want || (err != nil) != (want == "") {
			t.Errorf("%q: got %q, %v", content, got, err)
		}
	}
	if _, err := InFile(filepath.Dir(path)).Read(); err == nil {
		t.Error("no error of a folder")
	}
}

func TestSecretsAreNotShown(t *testing.T) {
	var log strings.Builder
	s := Text("hunter2")
	slog.New(slog.NewTextHandler(&log, nil)).Info("m", "s", s, "in", struct{ S Secret }{s})
	all := log.String() + fmt.Sprintf("%v %+v %#v %s %q %v", s, s, s, s, s, struct{ S Secret }{s})
	if strings.Contains(all, "hunter2") {
		t.Errorf("shown: %s", all)
	}
	if got, err := s.Read(); got != "hunter2" || err != nil {
		t.Errorf("read %q, %v", got, err)
	}
}

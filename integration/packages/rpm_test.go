package packages

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestRPM unpacks the .rpm, compares its files with those of the .deb, and runs its scripts with a
// systemctl that only prints how it is called.
func TestRPM(t *testing.T) {
	built := buildPackages(t, copySource(t, root))
	deb, rpm := t.TempDir(), t.TempDir()
	run(t, exec.Command("dpkg-deb", "-x", filepath.Join(built, "dnstap-pdns_"+version+"_amd64.deb"), deb))
	path := filepath.Join(built, "dnstap-pdns-"+version+"-1.x86_64.rpm")
	// The names in the archive are absolute.
	run(t, exec.Command("sh", "-e", "-c", `rpm2cpio "$1" | cpio --quiet --extract --make-directories --no-absolute-filenames --directory="$2"`, "sh", path, rpm))
	list := func(dir string) string {
		find := exec.Command("sh", "-e", "-c", `find . -type f -printf '%m %p ' -exec sha256sum {} ';' | sort`)
		find.Dir = dir
		return run(t, find)
	}
	if d := cmp.Diff(list(deb), list(rpm)); d != "" || !strings.Contains(list(rpm), " ./usr/bin/dnstap-pdns ") {
		t.Errorf("the files of the packages differ (-deb +rpm):\n%s", d)
	}
	for _, c := range []struct {
		tag, argument, want string
	}{
		{"POSTIN", "1", "systemctl daemon-reload\nsystemd-tmpfiles --create dnstap-pdns.conf\n"},
		{"POSTIN", "2", "systemctl daemon-reload\nsystemd-tmpfiles --create dnstap-pdns.conf\n"},
		{"PREUN", "1", ""},
		{"PREUN", "0", "systemctl stop dnstap-pdns.socket dnstap-pdns.service\nsystemctl --quiet disable dnstap-pdns.service dnstap-pdns.socket\n"},
		{"POSTUN", "1", "systemctl daemon-reload\nsystemctl try-restart dnstap-pdns.service\n"},
		{"POSTUN", "0", "systemctl daemon-reload\n"},
	} {
		script := run(t, exec.Command("rpm", "-qp", "--queryformat", "%{"+c.tag+"}", path))
		if got := runScript(t, script, c.argument); got != c.want {
			t.Errorf("%s %s runs:\n%swant\n%s", c.tag, c.argument, got, c.want)
		}
	}
}

// runScript runs a script as on a machine that systemd has booted, with programs that print their
// command line.
func runScript(t *testing.T, script, argument string) string {
	t.Helper()
	bin := t.TempDir()
	for _, program := range []string{"systemctl", "systemd-tmpfiles"} {
		text := fmt.Sprintf("#!/bin/sh\necho %s \"$@\"\n", program)
		if err := os.WriteFile(filepath.Join(bin, program), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("unshare", "--mount", "--propagation=private", "sh", "-e", "-c",
		`mount -t tmpfs tmpfs /run; mkdir -p /run/systemd/system; exec sh -e -s "$1"`, "sh", argument)
	cmd.Env = environ("PATH=" + bin + ":" + os.Getenv("PATH"))
	cmd.Stdin = strings.NewReader(script)
	return run(t, cmd)
}

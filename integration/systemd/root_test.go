package systemd

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/dnstap-pdns/dnstap-pdns/integration/lab"
)

const (
	cacheDir = "/var/cache/dnstap-pdns-test"
	suite    = "bookworm"
	packages = "systemd,systemd-sysv,dbus,unbound,bind9,pdns-recursor"
)

// need fails the test unless the program is installed.
func need(t *testing.T, programs ...string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("a machine of systemd-nspawn needs root: run make test-systemd")
	}
	for _, program := range programs {
		if _, err := exec.LookPath(program); err != nil {
			t.Fatalf("%s is not installed: make test-systemd installs it", program)
		}
	}
}

// lockCache waits until no other test uses the cache.
func lockCache(t *testing.T) {
	t.Helper()
	if err := os.MkdirAll(cacheDir, 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(filepath.Join(cacheDir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
}

// installedRoot returns a folder with an installed Debian. It is made once.
func installedRoot(t *testing.T) string {
	t.Helper()
	root := filepath.Join(cacheDir, suite+"-"+strings.ReplaceAll(packages, ",", "-"))
	if _, err := os.Stat(root); err == nil {
		return root
	} else if !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	older, err := filepath.Glob(filepath.Join(cacheDir, suite+"-*"))
	if err != nil {
		t.Fatal(err)
	}
	unfinished := filepath.Join(cacheDir, "unfinished")
	for _, dir := range append(older, unfinished) {
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
	// In memory, because dpkg syncs each file. The mount ends with the shell.
	cmd := exec.Command("unshare", "--mount", "--propagation=private", "sh", "-e", "-c",
		`mount -t tmpfs tmpfs "$1"; debootstrap --variant=minbase --include="$2" "$3" "$1/root" $4 || { cat "$1/root/debootstrap/debootstrap.log"; false; }
		cp -a "$1/root" "$5"`, "sh", t.TempDir(), packages, suite, debianMirror(), unfinished)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("debootstrap: %v\n%s", err, out)
	}
	if err := os.Rename(unfinished, root); err != nil {
		t.Fatal(err)
	}
	return root
}

// debianMirror returns the mirror that apt uses on this machine, or "" if it is not known.
func debianMirror() string {
	out, err := exec.Command("apt-get", "indextargets", "--format", "$(REPO_URI)",
		"Created-By: Packages", "Codename: "+suite, "Component: main").Output()
	if err != nil {
		return ""
	}
	mirror, _, _ := strings.Cut(string(out), "\n")
	return mirror
}

// adapt returns the files of a machine that differ from Debian's: its resolvers ask the world's
// root servers, and do not validate, because the world has no signatures.
func adapt(t *testing.T) map[string]string {
	t.Helper()
	return map[string]string{
		"/usr/share/dns/root.hints":                                    string(lab.RootHints(t)),
		"/etc/unbound/unbound.conf.d/root-auto-trust-anchor-file.conf": "",
		"/etc/unbound/unbound.conf.d/test.conf": "server:\n  module-config: \"iterator\"\n  root-hints: /usr/share/dns/root.hints\n" +
			"  local-zone: \"intranet.corp.example\" transparent\n  local-data: \"www.intranet.corp.example. A 10.1.2.3\"\n" +
			"stub-zone:\n  name: \"campus.example\"\n  stub-addr: 10.0.0.53\n",
		"/etc/bind/named.conf.options":              "options {\n\tdirectory \"/var/cache/bind\";\n\tdnssec-validation no;\n\tlisten-on-v6 { any; };\n};\n",
		"/etc/hostname":                             "resolver1\n",
		"/etc/hosts":                                "127.0.0.1 localhost\n127.0.1.1 resolver1.hosts.example resolver1\n",
		"/etc/resolv.conf":                          "nameserver 127.0.0.1\nsearch lab.example\n",
		"/etc/powerdns/recursor.d/test.conf":        "dnssec=off\ndont-query=\nquery-local-address=" + addresses + "\nsecurity-poll-suffix=\n",
		"/etc/systemd/system/named.service":         "masked",
		"/etc/systemd/system/pdns-recursor.service": "masked",
	}
}

// overlay makes the folders of an overlay file system over root, with the adapted files.
func overlay(t *testing.T, dir, root string) (options, merged string) {
	t.Helper()
	upper, work, merged := filepath.Join(dir, "upper"), filepath.Join(dir, "work"), filepath.Join(dir, "merged")
	for _, folder := range []string{upper, work, merged} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range adapt(t) {
		path := filepath.Join(upper, name)
		err := os.MkdirAll(filepath.Dir(path), 0o755)
		if text == "masked" {
			err = errors.Join(err, os.Symlink("/dev/null", path))
		} else {
			err = errors.Join(err, os.WriteFile(path, []byte(text), 0o644))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", root, upper, work), merged
}

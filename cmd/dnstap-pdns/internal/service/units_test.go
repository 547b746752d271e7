package service

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// put writes files below a new root.
func put(t *testing.T, files map[string]string) (root string) {
	t.Helper()
	root = t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func shipped(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("../../../../conf/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestInstalledUnits(t *testing.T) {
	const etc, lib = "etc/systemd/system/", "usr/lib/systemd/system/"
	service, socket := shipped(t, "systemd/dnstap-pdns.service"), shipped(t, "systemd/dnstap-pdns.socket")
	plain := Units{User: "dnstap-pdns", Sockets: []string{"/run/dnstap-pdns/dnstap.sock"}, Folders: []string{"/var/lib/dnstap-pdns"}, ReadOnly: true}
	with := func(change func(*Units)) Units {
		u := plain
		change(&u)
		return u
	}
	for name, tt := range map[string]struct {
		files map[string]string
		want  Units
	}{
		"none":            {nil, Units{}},
		"only the socket": {map[string]string{etc + "dnstap-pdns.socket": socket}, Units{}},
		"the shipped ones": {map[string]string{etc + "dnstap-pdns.service": service, etc + "dnstap-pdns.socket": socket},
			plain},
		"no socket": {map[string]string{lib + "dnstap-pdns.service": service}, with(func(u *Units) { u.Sockets = nil })},
		"a masked socket": {map[string]string{lib + "dnstap-pdns.service": service, etc + "dnstap-pdns.socket": "", lib + "dnstap-pdns.socket": socket},
			with(func(u *Units) { u.Sockets = nil })},
		"a drop-in of the resolver": {map[string]string{etc + "dnstap-pdns.service": service, lib + "dnstap-pdns.socket": socket,
			etc + "dnstap-pdns.socket.d/listen.conf": "[Socket]\nListenStream=\nListenStream=/var/lib/unbound/dnstap.sock\nSocketUser=unbound\nSocketMode=0660\n"},
			with(func(u *Units) { u.Sockets = []string{"/var/lib/unbound/dnstap.sock"} })},
		"the drop-in for packets": {map[string]string{etc + "dnstap-pdns.service": service, etc + "dnstap-pdns.socket": socket,
			etc + "dnstap-pdns.service.d/pcap.conf": shipped(t, "systemd/pcap.conf")},
			with(func(u *Units) { u.Captures = true })},
		"drop-ins of the service": {map[string]string{etc + "dnstap-pdns.service": service, etc + "dnstap-pdns.socket": socket,
			etc + "dnstap-pdns.service.d/b.conf": "[Service]\nUser=sensor\nReadWritePaths=/srv/a\n",
			lib + "dnstap-pdns.service.d/a.conf": "[Service]\nUser=other\nProtectSystem=full\nSupplementaryGroups=ssl-cert tls\nStateDirectory=a b\n"},
			with(func(u *Units) {
				u.User, u.ReadOnly, u.Groups, u.Writable = "sensor", false, []string{"ssl-cert", "tls"}, []string{"/srv/a"}
				u.Folders = []string{"/var/lib/a", "/var/lib/b", "/var/lib/dnstap-pdns"}
			})},
	} {
		got, err := Installed(put(t, tt.files))
		if diff := cmp.Diff(tt.want, got); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
	}
}

func TestAUnitThatCannotBeReadIsAnError(t *testing.T) {
	root := put(t, map[string]string{"etc/systemd/system/dnstap-pdns.service": "[Service"})
	if u, err := Installed(root); err == nil {
		t.Errorf("got %+v and no error", u)
	}
}

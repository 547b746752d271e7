package collector

import (
	"crypto/tls"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// shows returns the name in the certificate that a new client is shown.
func (r *running) shows(t *testing.T, c *tls.Config) string {
	t.Helper()
	nc := r.dialTLS(t, c)
	defer nc.Close()
	if err := nc.Handshake(); err != nil {
		t.Fatal(err)
	}
	return nc.ConnectionState().PeerCertificates[0].Subject.CommonName
}

func TestCertificatesAreReadAgainWhenTheyChange(t *testing.T) {
	ca := newAuthority(t, "CA")
	rename := func(t *testing.T, path string, b []byte) {
		t.Helper()
		write(t, path+".new", b)
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	ways := map[string]func(t *testing.T, f tlsFolder, p pair){
		"written in place": func(t *testing.T, f tlsFolder, p pair) { f.put(t, p) },
		"renamed": func(t *testing.T, f tlsFolder, p pair) {
			rename(t, f.Cert, p.cert)
			rename(t, f.Key, p.key)
		},
		"renamed with an old time": func(t *testing.T, f tlsFolder, p pair) {
			for path, b := range map[string][]byte{f.Cert: p.cert, f.Key: p.key} {
				info, err := os.Stat(path)
				if err != nil {
					t.Fatal(err)
				}
				write(t, path+".new", b)
				if err := errors.Join(os.Chtimes(path+".new", info.ModTime(), info.ModTime()), os.Rename(path+".new", path)); err != nil {
					t.Fatal(err)
				}
			}
		},
		"each a link, as certbot does": func(t *testing.T, f tlsFolder, p pair) {
			for path, b := range map[string][]byte{f.Cert: p.cert, f.Key: p.key} {
				write(t, path+"2", b)
				if err := errors.Join(os.Symlink(path+"2", path+".link"), os.Rename(path+".link", path)); err != nil {
					t.Fatal(err)
				}
			}
		},
		"the folder a link, as Kubernetes does": func(t *testing.T, f tlsFolder, p pair) {
			fresh := tlsFolder{dir: t.TempDir()}
			fresh.Cert, fresh.Key = filepath.Join(fresh.dir, "cert.pem"), filepath.Join(fresh.dir, "key.pem")
			fresh.put(t, p)
			data := filepath.Dir(f.Cert)
			if err := errors.Join(os.Symlink(fresh.dir, data+".new"), os.Rename(data+".new", data)); err != nil {
				t.Fatal(err)
			}
		},
	}
	for name, replace := range ways {
		t.Run(name, func(t *testing.T) {
			cfg, f := tlsConfig(t, ca, nil)
			data := filepath.Join(t.TempDir(), "..data")
			if err := os.Symlink(f.dir, data); err != nil {
				t.Fatal(err)
			}
			f.Cert, f.Key = filepath.Join(data, "cert.pem"), filepath.Join(data, "key.pem")
			cfg.TLS = f.TLS
			r := startSource(t, cfg)
			old := r.dialTLS(t, clientConfig(t, ca))
			send(t, old, join(start, sampleFrame()))
			eventually(t, "the old connection is served", func() bool { m, _ := r.received(); return m == 1 })
			if got := r.shows(t, clientConfig(t, ca)); got != "sensor.example" {
				t.Errorf("shows %q before the change", got)
			}
			replace(t, f, ca.issue(t, "new.example", nil))
			for range 2 {
				if got := r.shows(t, clientConfig(t, ca)); got != "new.example" {
					t.Errorf("shows %q after the change", got)
				}
			}
			if n := r.log.count("TLS files were read again"); n != 1 {
				t.Errorf("it is %d times in the log:\n%s", n, r.log.String())
			}
			send(t, old, sampleFrame())
			eventually(t, "the old connection is served still", func() bool { m, _ := r.received(); return m == 2 })
		})
	}
}

func TestFilesThatCannotBeUsedLeaveTheOldInForce(t *testing.T) {
	ca := newAuthority(t, "CA")
	client := ca.issue(t, "resolver.example", nil)
	next := ca.issue(t, "new.example", nil)
	for name, tt := range map[string]struct {
		harm   func(t *testing.T, f tlsFolder)
		logged string
	}{
		"half written": {func(t *testing.T, f tlsFolder) { write(t, f.Cert, next.cert[:len(next.cert)/2]) }, "is cut off"},
		"mismatched":   {func(t *testing.T, f tlsFolder) { write(t, f.Cert, next.cert) }, "private key does not match public key"},
		"gone":         {func(t *testing.T, f tlsFolder) { os.Remove(f.Key) }, "no such file or directory"},
		"empty":        {func(t *testing.T, f tlsFolder) { write(t, f.ClientCA, nil) }, "holds no certificate"},
		"a folder": {func(t *testing.T, f tlsFolder) {
			if err := errors.Join(os.Remove(f.Cert), os.Mkdir(f.Cert, 0o700)); err != nil {
				t.Fatal(err)
			}
		}, "no regular file"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, f := tlsConfig(t, ca, ca)
			r := startSource(t, cfg)
			tt.harm(t, f)
			for range 3 {
				if got := r.shows(t, clientConfig(t, ca, client)); got != "sensor.example" {
					t.Errorf("shows %q meanwhile", got)
				}
			}
			if c, ok := r.Certificate(); !ok || c.Expires.Year() != 2100 || !strings.Contains(c.Problem, tt.logged) {
				t.Errorf("tells of %+v, want expiry in 2100 and %q", c, tt.logged)
			}
			if got := r.log.count("level=WARN"); got != 1 || r.log.count(tt.logged) != 1 {
				t.Errorf("%d warnings, one with %q is due:\n%s", got, tt.logged, r.log.String())
			}
			os.Remove(f.Cert)
			f.put(t, next)
			write(t, f.ClientCA, ca.pem)
			for range 2 {
				if got := r.shows(t, clientConfig(t, ca, client)); got != "new.example" {
					t.Errorf("shows %q afterwards", got)
				}
			}
			if c, _ := r.Certificate(); c.Problem != "" {
				t.Errorf("tells afterwards of %q", c.Problem)
			}
			if r.log.count("read again") != 1 || r.log.count("level=WARN") != 1 {
				t.Errorf("one line is due for the recovery:\n%s", r.log.String())
			}
		})
	}
}

// A second problem is said too; to say the first again would tell nothing.
func TestEachProblemWithTheFilesIsSaidOnce(t *testing.T) {
	ca := newAuthority(t, "CA")
	cfg, f := tlsConfig(t, ca, nil)
	r := startSource(t, cfg)
	for _, b := range [][]byte{nil, ca.issue(t, "new.example", nil).cert} {
		write(t, f.Cert, b)
		r.shows(t, clientConfig(t, ca))
		r.shows(t, clientConfig(t, ca))
	}
	if r.log.count("level=WARN") != 2 || r.log.count("holds no certificate") != 1 || r.log.count("does not match") != 1 {
		t.Errorf("one line for each problem is due:\n%s", r.log.String())
	}
}

// Whoever was let in by a CA that is trusted no more is not let in by what is
// left of that, such as a session ticket.
func TestRemovedCALetsNobodyIn(t *testing.T) {
	before, after := newAuthority(t, "CA before"), newAuthority(t, "CA after")
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			cfg, f := tlsConfig(t, before, before)
			r := startSource(t, cfg)
			client := clientConfig(t, before, before.issue(t, "resolver.example", nil))
			client.MaxVersion = version
			client.ClientSessionCache = tls.NewLRUClientSessionCache(1)
			for range 2 {
				nc := r.dialTLS(t, client)
				send(t, nc, join(start, stop))
				if _, err := io.ReadAll(nc); err != nil || nc.ConnectionState().DidResume {
					t.Errorf("resumed %v, %v", nc.ConnectionState().DidResume, err)
				}
			}
			eventually(t, "both are over", func() bool { return r.Stats() == Stats{Accepted: 2} })
			write(t, f.ClientCA, after.pem)
			nc := r.dialTLS(t, client)
			nc.Write(join(start, sampleFrame()))
			if _, err := io.ReadAll(nc); err == nil {
				t.Error("got in")
			}
			eventually(t, "it is counted", func() bool { return r.Stats() == Stats{Accepted: 3, HandshakesFailed: 1} })
			r.shows(t, clientConfig(t, before, after.issue(t, "resolver.example", nil)))
		})
	}
}

func TestReconfigureChangesTLSForNewConnections(t *testing.T) {
	ca, other := newAuthority(t, "CA"), newAuthority(t, "Other CA")
	cfg, f := tlsConfig(t, ca, nil)
	files := cfg.TLS
	cfg.TLS = TLS{}
	r := startSource(t, cfg)
	reconfigure := func(to TLS) func() error {
		t.Helper()
		cfg.TLS = to
		undo, err := r.Reconfigure(cfg)
		if err != nil {
			t.Fatal(err)
		}
		return undo
	}
	plain := r.dial(t)
	send(t, plain, join(start, sampleFrame()))
	eventually(t, "the plain connection begins", func() bool { m, _ := r.received(); return m == 1 })

	reconfigure(files)
	if got := r.shows(t, clientConfig(t, ca)); got != "sensor.example" {
		t.Errorf("shows %q", got)
	}
	second := newTLSFolder(t, other, other)
	undo := reconfigure(second.TLS)
	secret := r.dialTLS(t, clientConfig(t, other, other.issue(t, "resolver.example", nil)))
	send(t, secret, join(start, sampleFrame()))
	eventually(t, "the TLS connection begins", func() bool { m, _ := r.received(); return m == 2 })

	// The files of the configuration before are not needed to go back to it.
	if err := errors.Join(os.Remove(f.Cert), undo()); err != nil {
		t.Fatal(err)
	}
	if got := r.shows(t, clientConfig(t, ca)); got != "sensor.example" {
		t.Errorf("shows %q", got)
	}

	// Files that cannot be used change nothing, when they are new to the source.
	os.Remove(second.Key)
	cfg.TLS = second.TLS
	if _, err := r.Reconfigure(cfg); err == nil || !strings.Contains(err.Error(), "TLS key: open") {
		t.Errorf("files that are not there: %v", err)
	}
	r.shows(t, clientConfig(t, ca))

	reconfigure(TLS{})
	last := r.dial(t)
	send(t, last, join(start, sampleFrame()))
	send(t, plain, sampleFrame())
	send(t, secret, sampleFrame())
	eventually(t, "all three are served", func() bool { m, _ := r.received(); return m == 5 })
	if got := r.log.count("TLS files cannot be used"); got != 1 {
		t.Errorf("%d lines about the files that were removed:\n%s", got, r.log.String())
	}
}

// A reload is when operators look: it need not wait for a connection.
func TestReconfigureLooksAtTheFiles(t *testing.T) {
	ca := newAuthority(t, "CA")
	cfg, f := tlsConfig(t, ca, nil)
	r := startSource(t, cfg)
	look := func(says string) {
		t.Helper()
		if _, err := r.Reconfigure(cfg); err != nil || r.log.count(says) != 1 {
			t.Errorf("%v; the log should say %q:\n%s", err, says, r.log.String())
		}
	}
	write(t, f.Cert, nil)
	look("cannot be used")
	f.put(t, ca.issue(t, "new.example", nil))
	look("read again")
}

// However many connections come, what is wrong with the files is no news of theirs.
func TestFilesThatCannotBeUsedAreToldAmongManyConnections(t *testing.T) {
	ca := newAuthority(t, "CA")
	cfg, f := tlsConfig(t, ca, nil)
	r := startSource(t, cfg)
	for range toldPerMinute {
		r.dial(t).Close()
	}
	eventually(t, "the log is quiet", func() bool { return r.Stats().Accepted == toldPerMinute })
	write(t, f.Cert, []byte("no certificate"))
	if got := r.shows(t, clientConfig(t, ca)); got != "sensor.example" {
		t.Errorf("shows %q", got)
	}
	for line := range strings.Lines(r.log.String()) {
		if strings.Contains(line, "TLS files cannot be used") && strings.Contains(line, "level=WARN") && !strings.Contains(line, "connection=") {
			return
		}
	}
	t.Errorf("the log has no warning:\n%s", r.log.String())
}

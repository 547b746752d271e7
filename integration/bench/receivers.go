package main

import (
	"bufio"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// A receiver is a process that a sink sends to.
type receiver struct{ cmd *exec.Cmd }

// newReceiver returns a receiver, which is not started yet. The kernel kills it when this process ends.
func newReceiver(ctx context.Context, name string, args ...string) *receiver {
	p := &receiver{exec.CommandContext(ctx, name, args...)}
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return p
}

func (p *receiver) stop() {
	p.cmd.Process.Kill()
	p.cmd.Wait() // its error is the kill
}

// capture starts fstrm_capture, which writes to /dev/null, at a Unix socket or at a port.
func (b *run) capture(ctx context.Context, network, address string) (*receiver, error) {
	args := []string{"-t", contentType, "-w", os.DevNull}
	if network == "unix" {
		os.Remove(address)
		args = append(args, "-u", address)
	} else {
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		args = append(args, "-a", host, "-p", port)
	}
	p := newReceiver(ctx, "fstrm_capture", args...)
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	return p, awaitListener(network, address)
}

// submissionServer starts a server of SIE submission, which discards containers.
func (b *run) submissionServer(ctx context.Context, address string) (*receiver, error) {
	if err := b.buildServer(ctx); err != nil {
		return nil, err
	}
	p := newReceiver(ctx, b.server, "-listen", address, "-cert", b.certificate(), "-key", b.certificate())
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(stdout)
	if !lines.Scan() || !strings.HasPrefix(lines.Text(), "listening ") {
		p.stop()
		return nil, fmt.Errorf("the submission server does not listen: %q", lines.Text())
	}
	go func() { // until the process ends
		for lines.Scan() {
		}
	}()
	return p, nil
}

// buildServer builds the submission server once, and writes its certificate and a key for it.
func (b *run) buildServer(ctx context.Context) error {
	if b.server != "" {
		return nil
	}
	server := filepath.Join(b.dir, "sieserver")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", server, "./integration/sieserver").CombinedOutput(); err != nil {
		return fmt.Errorf("build the submission server: %w\n%s", err, out)
	}
	b.server = server
	if err := os.WriteFile(b.apiKey(), []byte("bench"), 0o600); err != nil {
		return err
	}
	return b.writeCertificate()
}

// apiKey is the path of the key of the submission server.
func (b *run) apiKey() string { return filepath.Join(b.dir, "api.key") }

// certificate is the path of the server's certificate and key.
func (b *run) certificate() string { return filepath.Join(b.dir, "server.pem") }

// writeCertificate writes the certificate of package httptest, which is for 127.0.0.1, and its key.
func (b *run) writeCertificate() error {
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	key, err := x509.MarshalPKCS8PrivateKey(s.TLS.Certificates[0].PrivateKey)
	if err != nil {
		return err
	}
	text := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})...)
	return os.WriteFile(b.certificate(), text, 0o600)
}

// freeAddress returns an address on loopback that nothing listens at.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

func awaitListener(network, address string) error {
	var err error
	for deadline := time.Now().Add(startTime); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		var conn net.Conn
		if conn, err = net.Dial(network, address); err == nil {
			return conn.Close()
		}
	}
	return errors.Join(fmt.Errorf("nothing listens at %s", address), err)
}

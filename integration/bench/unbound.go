package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// Configurations of the resolver and of the authoritative server, whose only zone has a wildcard. Its
// TTL is 0, so that each query of a client makes one query to the server.
const (
	unboundConf = `
server:
  interface: 127.0.0.1
  outgoing-interface: 127.0.0.3
  access-control: 127.0.0.0/8 allow
  module-config: "iterator"
  username: ""
  chroot: ""
  directory: "%[1]s"
  pidfile: ""
  use-syslog: no
  verbosity: 1
  do-daemonize: no
  num-threads: 2
  outgoing-range: 4096
  num-queries-per-thread: 2048
  do-not-query-localhost: no
remote-control:
  control-enable: no
stub-zone:
  name: "bench.example"
  stub-addr: 127.0.0.2
`
	unboundDnstap = `
dnstap:
  dnstap-enable: yes
  dnstap-socket-path: "%s"
  dnstap-log-resolver-query-messages: yes
  dnstap-log-resolver-response-messages: yes
`
	nsdConf = `
server:
  ip-address: 127.0.0.2
  zonesdir: "%[1]s"
  pidfile: "%[1]s/nsd.pid"
  xfrdfile: "%[1]s/xfrd"
  xfrdir: "%[1]s"
  zonelistfile: "%[1]s/zonelist"
  database: ""
  username: ""
  server-count: 1
  rrl-ratelimit: 0
remote-control:
  control-enable: no
zone:
  name: bench.example
  zonefile: bench.zone
`
	nsdZone = `
bench.example. 0 IN SOA ns.bench.example. host.bench.example. 1 3600 600 86400 0
bench.example. 0 IN NS ns.bench.example.
ns.bench.example. 0 IN A 127.0.0.2
*.bench.example. 0 IN A 192.0.2.1
`
)

// startUnbound starts the resolver. It sends dnstap to a Unix socket, unless that is empty.
func (b *run) startUnbound(n *namespace, socket string) (stop func(), err error) {
	conf, text := filepath.Join(b.dir, "unbound.conf"), fmt.Sprintf(unboundConf, b.dir)
	if socket != "" {
		text += fmt.Sprintf(unboundDnstap, socket)
	}
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		return nil, err
	}
	return startDaemon(n.command("unbound", "-d", "-c", conf), "start of service")
}

// startServer starts the authoritative server.
func (b *run) startServer(n *namespace) (stop func(), err error) {
	dir := filepath.Join(b.dir, "nsd")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, "bench.zone"), []byte(nsdZone), 0o644); err != nil {
		return nil, err
	}
	conf := filepath.Join(dir, "nsd.conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, nsdConf, dir), 0o644); err != nil {
		return nil, err
	}
	return startDaemon(n.command("nsd", "-d", "-c", conf), "nsd started")
}

// startDaemon starts a daemon and returns when its output contains a text. stop ends it, with SIGTERM
// because its children would survive it otherwise.
func startDaemon(cmd *exec.Cmd, ready string) (stop func(), err error) {
	var output lockedBuffer
	cmd.Stderr = &output
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stopTime
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	stop = func() {
		timer := time.AfterFunc(stopTime, func() { cmd.Process.Kill() })
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait() // its status does not matter
		timer.Stop()
	}
	if err := output.await(ready); err != nil {
		stop()
		return nil, fmt.Errorf("%s: %w", cmd, err)
	}
	return stop, nil
}

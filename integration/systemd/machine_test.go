package systemd

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/integration/lab"
)

const (
	waitTime  = 60 * time.Second
	address4  = "192.0.2.60"
	address6  = "2001:db8:53::60"
	addresses = address4 + "," + address6
)

// A machine is a Debian that systemd has booted.
type machine struct {
	world   *lab.World
	root    string // its file system
	process int    // process ID of unshare
	leader  string // process ID of its systemd
	exited  chan struct{}
	output  *os.File
}

// boot boots a machine that is connected to the world. conf and bin are folders of the module
// and of the sensor's binary, which it sees in /src.
func boot(t *testing.T, bin, conf string) *machine {
	t.Helper()
	m := &machine{world: lab.NewWorld(t), exited: make(chan struct{})}
	network := lab.NewNamespace(t)
	inside := network.Start(t, "network", exec.Command("sleep", "infinity"))
	outside := m.world.Start(t, "world", exec.Command("sleep", "infinity"))
	network.IP(t, fmt.Sprintf("link add host0 type veth peer name up0 netns %d\n", outside.PID()))
	m.world.IP(t, "link set up0 up\naddr add fe80::1/64 dev up0 nodad\nroute add "+address4+" dev up0\nroute add "+address6+" via fe80::2 dev up0\n")
	network.IP(t, "link set host0 up\naddr add "+address4+"/32 dev host0\naddr add fe80::2/64 dev host0 nodad\naddr add "+address6+"/128 dev host0 nodad\n"+
		"route add default dev host0 src "+address4+"\nroute add default via fe80::1 dev host0 src "+address6+"\n")

	options, merged := overlay(t, m.world.Dir, installedRoot(t))
	m.root = filepath.Join(m.world.Dir, "upper")
	var err error
	if m.output, err = os.Create(filepath.Join(m.world.Dir, "boot.log")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.output.Close() })
	// The mounts and processes of unshare's namespaces end with it, and it ends with this test.
	cmd := exec.Command("nsenter", fmt.Sprintf("--net=/proc/%d/ns/net", inside.PID()),
		"unshare", "--mount", "--propagation=private", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-e", "-c",
		`mount -t overlay -o "$1" overlay "$2"; shift 2
		status=133; while [ $status = 133 ]; do status=0; "$@" || status=$?; done # 133: a reboot`, "sh", options, merged,
		"systemd-nspawn", "--quiet", "--directory="+merged, "--machine=pdnstest", "--register=no", "--keep-unit", "--link-journal=no",
		"--network-namespace-path=/proc/self/ns/net",
		"--bind-ro="+bin+":/src/bin", "--bind-ro="+conf+":/src/conf", "--resolv-conf=off", "--console=pipe", "--boot")
	cmd.Stdout, cmd.Stderr = m.output, m.output
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	go func() {
		defer close(m.exited)
		runtime.LockOSThread() // Pdeathsig is sent when this thread ends
		err := cmd.Start()
		started <- err
		if err == nil {
			cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.end(t, cmd.Process) })
	m.process = cmd.Process.Pid
	m.awaitBoot(t)
	return m
}

// end powers the machine off, and kills it if that takes long.
func (m *machine) end(t *testing.T, unshare *os.Process) {
	if t.Failed() && m.leader != "" {
		journal, _ := m.try("journalctl", "--no-pager", "--boot", "--lines=60")
		t.Logf("the end of the journal:\n%s", journal)
	}
	if m.leader != "" {
		m.try("systemctl", "poweroff")
	}
	select {
	case <-m.exited:
	case <-time.After(20 * time.Second):
		t.Error("the machine did not power off within 20 s")
		unshare.Kill()
		<-m.exited
	}
	// nspawn makes these control groups and leaves them.
	for _, pattern := range []string{"/sys/fs/cgroup/*/payload", "/sys/fs/cgroup/*/supervisor", "/sys/fs/cgroup/payload", "/sys/fs/cgroup/supervisor"} {
		all, _ := filepath.Glob(pattern)
		for _, dir := range all {
			exec.Command("find", dir, "-depth", "-type", "d", "-exec", "rmdir", "{}", ";").Run()
		}
	}
}

// reboot reboots the machine. Its files stay.
func (m *machine) reboot(t *testing.T) {
	t.Helper()
	before := m.leader
	m.try("systemctl", "reboot")
	await(t, "systemd to end", func() bool { return descendant(m.process, 3) != before })
	m.awaitBoot(t)
}

// awaitBoot waits until systemd has booted, and sets the leader.
func (m *machine) awaitBoot(t *testing.T) {
	t.Helper()
	await(t, "the machine to boot", func() bool {
		select {
		case <-m.exited:
			text, _ := os.ReadFile(m.output.Name())
			t.Fatalf("the machine ended:\n%s", text)
		default:
		}
		m.leader = descendant(m.process, 3) // unshare, sh, systemd-nspawn, systemd
		if m.leader == "" {
			return false
		}
		state, _ := m.try("systemctl", "is-system-running")
		return strings.TrimSpace(state) == "running" || strings.TrimSpace(state) == "degraded"
	})
}

// descendant returns the only descendant of a process in that generation, or "".
func descendant(pid, generation int) string {
	id := strconv.Itoa(pid)
	for range generation {
		children, err := os.ReadFile("/proc/" + id + "/task/" + id + "/children")
		fields := strings.Fields(string(children))
		if err != nil || len(fields) != 1 {
			return ""
		}
		id = fields[0]
	}
	return id
}

// command returns a command in the machine, in the folder /src.
func (m *machine) command(args ...string) *exec.Cmd {
	cmd := exec.Command("nsenter", append([]string{"--target", m.leader, "--all", "env", "-i", "-C", "/src",
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "SYSTEMD_PAGER=cat"}, args...)...)
	return cmd
}

// try runs a command in the machine and returns its output, also that to standard error.
func (m *machine) try(args ...string) (string, error) {
	out, err := m.command(args...).CombinedOutput()
	return string(out), err
}

// run is try for a command that must succeed.
func (m *machine) run(t *testing.T, args ...string) string {
	t.Helper()
	out, err := m.try(args...)
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// shell types lines into a shell that stops at the first error.
func (m *machine) shell(t *testing.T, lines string) string {
	t.Helper()
	out, err := m.tryShell(lines)
	if err != nil {
		t.Fatalf("%s\n%v\n%s", lines, err, out)
	}
	return out
}

func (m *machine) tryShell(lines string) (string, error) {
	cmd := m.command("sh", "-e")
	cmd.Stdin = strings.NewReader(lines)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}

// put writes a file.
func (m *machine) put(t *testing.T, path, text string) {
	t.Helper()
	cmd := m.command("install", "-D", "-m", "644", "/dev/stdin", path)
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("write %s: %v\n%s", path, err, out)
	}
}

// property returns a property of a unit.
func (m *machine) property(t *testing.T, unit, name string) string {
	t.Helper()
	return strings.TrimSpace(m.run(t, "systemctl", "show", "--value", "--property="+name, unit))
}

// journal returns what the service has logged.
func (m *machine) journal(t *testing.T) string {
	t.Helper()
	return m.run(t, "journalctl", "--no-pager", "--output=cat", "--unit=dnstap-pdns.service")
}

// await polls until the condition holds.
func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(waitTime); !holds(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited %s for %s", waitTime, what)
		}
	}
}

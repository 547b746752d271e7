package compose

import (
	"fmt"
	"os/exec"
	"strconv"
	"testing"

	"github.com/dnstap-pdns/dnstap-pdns/integration/lab"
)

// A world is the lab's world as the gateway of the project's network: containers reach only its
// servers.
type world struct {
	*lab.World
	holder *lab.Process // a process that identifies the namespace
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := lab.NewWorld(t)
	return &world{w, w.Start(t, "holder", exec.Command("sleep", "infinity"))}
}

// connect connects the world to the network that Compose has just made. Docker configures this
// machine as the gateway.
func (w *world) connect(t *testing.T) {
	t.Helper()
	const outside, inside = "pdnstest1", "up0"
	try("", "ip", "link", "del", outside) // of an earlier network
	callWithInput(t, fmt.Sprintf(`
link add %[1]s type veth peer name %[2]s netns %[3]s
link set %[1]s master %[4]s up
addr del %[5]s/25 dev %[4]s
addr del %[6]s/64 dev %[4]s
addr add %[7]s/25 dev %[4]s
`, outside, inside, strconv.Itoa(w.holder.PID()), bridge, gateway4, gateway6, host4), "ip", "-batch", "-")
	w.IP(t, fmt.Sprintf(`
addr add %[2]s/25 dev %[1]s
addr add %[3]s/64 dev %[1]s nodad
link set %[1]s up
`, inside, gateway4, gateway6))
}

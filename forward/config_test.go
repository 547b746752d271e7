package forward

import (
	"testing"

	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
)

// options is a TransportConfig with options.
type options struct {
	size    int64
	command []string
}

func (options) New(*SinkConfig, Env) (Transport, error) { return nil, errFake }

func TestSinksAreEqualInEveryFieldOrNotAtAll(t *testing.T) {
	c := testSink("a")
	c.Transport = options{1, []string{"a", "b"}}
	same := c
	same.Transport = options{1, []string{"a", "b"}}
	if !c.Equal(&same) {
		t.Error("a copy is another sink")
	}
	for name, change := range map[string]func(*SinkConfig){
		"name":       func(c *SinkConfig) { c.Name = "other" },
		"target":     func(c *SinkConfig) { c.Target.Address = "/d/y" },
		"format":     func(c *SinkConfig) { c.Format = NMSG{Message: nmsg.DNSObs} },
		"size":       func(c *SinkConfig) { c.Transport = options{2, []string{"a", "b"}} },
		"argument":   func(c *SinkConfig) { c.Transport = options{1, []string{"a", "c"}} },
		"no command": func(c *SinkConfig) { c.Transport = options{1, nil} },
		"transport":  func(c *SinkConfig) { c.Transport = refusing{} },
	} {
		other := c
		change(&other)
		if c.Equal(&other) {
			t.Errorf("another %s does not make another sink", name)
		}
	}
}

package forward

import (
	"slices"
	"testing"
	"time"
)

func TestSinksAreEqualInEveryFieldOrNotAtAll(t *testing.T) {
	c := fileSink("/d", "x")
	c.Rotate, c.OnRotate = time.Hour, []string{"a", "b"}
	same := c
	same.OnRotate = slices.Clone(c.OnRotate)
	if !c.Equal(&same) {
		t.Error("a copy is another sink")
	}
	for name, change := range map[string]func(*SinkConfig){
		"name":        func(c *SinkConfig) { c.Name = "other" },
		"target":      func(c *SinkConfig) { c.Target.Address = "/d/y" },
		"ids":         func(c *SinkConfig) { c.IDs.Group++ },
		"rotate_size": func(c *SinkConfig) { c.RotateSize++ },
		"argument":    func(c *SinkConfig) { c.OnRotate = []string{"a", "c"} },
		"no command":  func(c *SinkConfig) { c.OnRotate = nil },
	} {
		other := c
		change(&other)
		if c.Equal(&other) {
			t.Errorf("another %s does not make another sink", name)
		}
	}
}

package kafka

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestNothingIsLostOnAFakeWhateverMembersDo draws schedules of members that join, leave, are killed
// and cannot confirm while containers are produced. Each container must be confirmed at least once.
// One that was confirmed may be confirmed again only where a member ended, or failed, after it had
// confirmed it and before it had committed it: kill refuses every confirmation, so that there is no
// such moment, and each container is confirmed exactly once.
func TestNothingIsLostOnAFakeWhateverMembersDo(t *testing.T) {
	t.Parallel()
	const partitions = 4
	rapid.Check(t, func(rt *rapid.T) {
		l := newLab(t, partitions)
		defer l.close()
		l.commit = rapid.SampledFrom([]time.Duration{0, time.Millisecond, 20 * time.Millisecond, time.Hour}).Draw(rt, "commit")
		var running, all []*member
		produced := 0
		join := func() {
			m := l.join(nil)
			running, all = append(running, m), append(all, m)
		}
		take := func(what string) *member {
			i := rapid.IntRange(0, len(running)-1).Draw(rt, what)
			m := running[i]
			running = append(running[:i], running[i+1:]...)
			return m
		}
		for range rapid.IntRange(3, 12).Draw(rt, "steps") {
			step := rapid.SampledFrom([]string{"produce", "produce", "join", "leave", "kill", "fail", "work", "wait"}).Draw(rt, "step")
			if len(running) == 0 && step != "produce" {
				step = "join"
			}
			switch step {
			case "produce":
				for range rapid.IntRange(1, 20).Draw(rt, "containers") {
					l.produce(int32(rapid.IntRange(0, partitions-1).Draw(rt, "partition")), containerOf(t, produced))
					produced++
				}
			case "join":
				if len(running) < 4 {
					join()
				}
			case "leave":
				take("who leaves").stop()
			case "kill":
				take("who is killed").kill()
			case "fail":
				running[0].inlet.fail(errFull)
			case "work":
				running[0].inlet.fail(nil)
			case "wait":
				m := running[0]
				eventually(t, "the member is in the group", m.account.isMember)
			}
		}
		for _, m := range running {
			m.inlet.fail(nil)
		}
		if len(running) == 0 {
			join()
		}
		end := func() bool {
			read := map[int]bool{}
			for _, m := range all {
				m.inlet.mu.Lock()
				for n := range produced {
					if m.inlet.confirmed[numbered(n)] > 0 {
						read[n] = true
					}
				}
				m.inlet.mu.Unlock()
			}
			return len(read) == produced
		}
		if l.commit == time.Hour { // only leaving commits
			for len(running) > 0 {
				take("who leaves at the end").stop()
			}
			l.commit = time.Millisecond
			join()
		}
		eventually(t, "all containers are confirmed", end)
		for _, m := range running {
			m.stop()
		}
		for n := range produced {
			times := 0
			for _, m := range all {
				times += m.inlet.confirmed[numbered(n)]
			}
			if times != 1 {
				rt.Errorf("container %d was confirmed %d times", n, times)
			}
		}
	})
}

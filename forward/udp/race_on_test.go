//go:build race

package udp

// poolSlack is what a sync.Pool may allocate per use: the race detector empties
// pools at random.
const poolSlack = 16

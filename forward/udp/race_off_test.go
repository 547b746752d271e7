//go:build !race

package udp

const poolSlack = 0

//go:build !race

package forward

const poolSlack = 0

package spool

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// childDir is the environment variable that makes the test program the child of
// TestAKilledProcessLosesNothing.
const childDir = "SPOOL_TEST_CHILD_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		child(dir)
	}
	goleak.VerifyTestMain(m)
}

# Targets for people: demo and test. The others are parts of these or for CI.

SHELL       = /bin/bash
.SHELLFLAGS = -o pipefail -ec

STATICCHECK = go run honnef.co/go/tools/cmd/staticcheck@v0.8.2
# GOTESTSUM runs go test and prints a line for each test when it ends, and all output of a test
# that failed.
GOTESTSUM   = go run gotest.tools/gotestsum@v1.13.0 --format testname --hide-summary output
# NFPM makes the packages. It is run and not a dependency, because the sensor does not need it.
NFPM        = go run github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.45.2
SUDO        = $(shell test "$$(id -u)" = 0 || echo sudo)
ROOT        = $(SUDO) env "PATH=$$PATH" "HOME=$$HOME" "GOFLAGS=$$GOFLAGS"
UNIT        = $(shell go list ./... | grep -v /integration | sed 's,^[^/]*/[^/]*/[^/]*/,./,')
# SINGLE are the packages that start no goroutine, except in tests named AtTheSameTime. The race
# detector would only make the other tests ten times slower. A test checks this list.
SINGLE      = $(addprefix ./cmd/dnstap-pdns/internal/,canary census explain house present statement uncompress) \
	./conf/certs/certstest ./conf ./fallback/pcap/capfile ./fallback/pcap/packet ./fallback/pcap/stream \
	./forward/cof ./forward/nmsg/nmsgjson ./forward/nmsg/nmsgtest ./transform ./transform/dnstext ./transform/dnswire \
	./transform/dnswire/wiretest ./transform/rrset
# MEASURED are the packages with allocation tests or benchmarks.
MEASURED    = $(shell grep -rlE --include='*_test.go' '^func (Benchmark|Test[A-Za-z]*Alloc)' cmd collector conf fallback forward transform | xargs dirname | sort -u | sed 's,^,./,')
INTEGRATION = $(shell go list ./integration/... | grep -v -e /integration/compose -e /integration/packages -e /integration/systemd)

# In CI, an integration test that fails is run once more: it drives foreign programs on a machine
# that others share. The output names it, and more than two failures are not repeated.
RERUN = $(if $(CI),--rerun-fails=1 --rerun-fails-max-failures=2 --rerun-fails-run-root-test)

# TAGS=sweep adds the tests that take minutes. CI sets it.
TAGS =
TIER = $(if $(TAGS),all tests,without the tests that take minutes: make test TAGS=sweep includes them)

# Without -pgo=off, all packages are compiled a second time, with the profile of the command.
lint unit integration stress: export GOFLAGS += -pgo=off

.PHONY: demo build packages test duration tools lint unit integration test-systemd test-packages test-compose fuzz stress bench profile

demo: build
	bin/dnstap-pdns demo

# VERSION is the version that the sensor prints. With it the build is reproducible: the same Go and
# source give the same binary, with or without git. The flags are those of the Dockerfile.
VERSION ?= $(shell git describe --tags --exact-match 2>/dev/null)
RELEASE = -buildvcs=false -tags nethttpomithttp2 -ldflags '-s -w -buildid= -X main.release=$(VERSION)'
OUT     = bin/dnstap-pdns

build:
	CGO_ENABLED=0 go build -trimpath $(if $(VERSION),$(RELEASE)) -o $(OUT) ./cmd/dnstap-pdns

# packages are bin/*.deb and bin/*.rpm, for amd64 and arm64.
packages:
	VERSION='$(VERSION)' NFPM='$(NFPM)' conf/package/build

test: duration tools lint unit integration
	@echo "== all tests passed ($(TIER))"

duration:
	@echo "== about 8 minutes on two cores, plus 2 to install the tools once ($(TIER))"

tools:
	@echo "== tools: Debian packages that the integration tests use"
	$(SUDO) .ci/tools

lint:
	@echo "== lint: gofmt, go vet, staticcheck"
	@unformatted=$$(gofmt -l .); test -z "$$unformatted" || { echo "not gofmt'ed: $$unformatted"; exit 1; }
	go vet -tags sweep ./...
	$(STATICCHECK) -tags sweep ./...

# BRIEF removes the lines of subtests that passed.
BRIEF = { grep --line-buffered -vE '^PASS [^ ]*\.(Test|Fuzz|Example)[^ /]*/' || true; }

# Some packages mostly wait, so more of them run at once than there are cores.
unit:
	@echo "== unit tests and every fuzz seed, with the race detector"
	CGO_ENABLED=1 $(GOTESTSUM) -- -vet=off -race -p 4 $(filter-out $(SINGLE),$(UNIT)) | $(BRIEF)
	CGO_ENABLED=1 $(GOTESTSUM) --format-hide-empty-pkg -- -vet=off -race -run AtTheSameTime ./transform
	@echo "== unit tests and every fuzz seed of packages without goroutines"
	$(GOTESTSUM) -- -vet=off -p 4 $(SINGLE) | $(BRIEF)
	@echo "== allocation tests and each benchmark once, without the race detector"
	go test -vet=off -run Alloc -bench . -benchtime 1x $(MEASURED)

integration:
	@echo "== integration: real resolvers and servers in a network namespace (root; $(TIER))"
	$(ROOT) $(GOTESTSUM) $(RERUN) --packages="$(INTEGRATION)" -- -vet=off -count=1 -timeout 20m -tags "$(TAGS)"

test-systemd: tools
	@echo "== systemd: the units, the .deb and the documented steps on a machine that systemd boots (root)"
	$(ROOT) $(GOTESTSUM) -- -count=1 -timeout 20m ./integration/systemd

test-packages: tools
	@echo "== packages: reproducible builds, the .rpm, manual pages, arm64 under qemu-user (root)"
	$(ROOT) $(GOTESTSUM) -- -count=1 -timeout 20m ./integration/packages

test-compose:
	@echo "== compose: the Dockerfile and compose.yaml on a real engine (root)"
	$(ROOT) .ci/compose
	$(ROOT) $(GOTESTSUM) -- -count=1 -timeout 10m ./integration/compose

fuzz:
	.ci/fuzz

# SOAK and ROUNDS shorten a trial. A round kills 20 times.
stress: SOAK   = 15m
stress: ROUNDS = 20
stress:
	@echo "== stress: RRsets in tables of 10^4 to 10^7 entries (1 GB of memory), $(ROUNDS) rounds of 20 kills, then a soak of $(SOAK) (root)"
	go test -v -count=1 -tags sweep -run '^(TestGrowth|TestCostPerRecord)$$' ./transform/rrset -plot $(CURDIR)/docs/rrsets-growth.svg
	go test -v -count=$(ROUNDS) -timeout 1h -run '^TestKilledSensor' ./cmd/dnstap-pdns
	$(ROOT) go test -v -count=1 -timeout 1h -tags sweep -run '^TestSoak$$' ./integration -soak $(SOAK)

# bench writes docs/performance.md. BENCH are options, and a later -write counts:
# make bench BENCH="-parts loads" replaces a section, make bench BENCH="-parts sinks -sinks udp,wss -write ''"
# only prints.
bench: build
	$(ROOT) go run ./integration/bench -sensor bin/dnstap-pdns -write docs/performance.md $(BENCH)

# The compiler optimises the per-message path with the profile at each build. Make a new profile
# when that path changes.
profile:
	go test -trimpath -run '^$$' -bench 'ToBatch/busy' -benchtime 10s -o /dev/null \
		-cpuprofile cmd/dnstap-pdns/default.pgo ./cmd/dnstap-pdns/internal/sensor

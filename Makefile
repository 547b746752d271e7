# Targets for people: demo and test. The others are parts of these or for CI.

STATICCHECK = go run honnef.co/go/tools/cmd/staticcheck@v0.8.2
SUDO        = $(shell test "$$(id -u)" = 0 || echo sudo)
UNIT        = $(shell go list ./... | grep -v /integration)
INTEGRATION = $(shell go list ./integration/... | grep -v /integration/compose)

# Without -pgo=off, all packages are compiled a second time, with the profile of the command.
lint unit: export GOFLAGS += -pgo=off

.PHONY: demo build test tools lint unit integration test-compose fuzz bench profile

demo: build
	bin/dnstap-pdns demo

build:
	CGO_ENABLED=0 go build -trimpath -o bin/dnstap-pdns ./cmd/dnstap-pdns

test: tools lint unit integration
	@echo "== all tests passed"

tools:
	@echo "== tools: Debian packages that the integration tests use"
	$(SUDO) .ci/tools

lint:
	@echo "== lint: gofmt, go vet, staticcheck"
	@unformatted=$$(gofmt -l .); test -z "$$unformatted" || { echo "not gofmt'ed: $$unformatted"; exit 1; }
	go vet ./...
	$(STATICCHECK) ./...

unit:
	@echo "== unit tests, with the race detector and every fuzz seed"
	CGO_ENABLED=1 go test -race $(UNIT)
	@echo "== allocation tests and each benchmark once, without the race detector"
	go test -run 'Alloc' -bench . -benchtime 1x $(UNIT)

integration:
	@echo "== integration: real resolvers and servers in a network namespace (root)"
	$(SUDO) env "PATH=$$PATH" "HOME=$$HOME" go test -count=1 $(INTEGRATION)

test-compose:
	@echo "== compose: the Dockerfile and compose.yaml on a real engine (root)"
	$(SUDO) env "PATH=$$PATH" "HOME=$$HOME" .ci/compose
	$(SUDO) env "PATH=$$PATH" "HOME=$$HOME" go test -count=1 -timeout 10m ./integration/compose

fuzz:
	.ci/fuzz

bench: build
	$(SUDO) env "PATH=$$PATH" "HOME=$$HOME" go run ./integration/bench -sensor bin/dnstap-pdns

# The compiler optimises the per-message path with the profile at each build. Make a new profile
# when that path changes.
profile:
	go test -trimpath -run '^$$' -bench 'FrameToBatch|PacketToBatch' -benchtime 6s -o /dev/null \
		-cpuprofile cmd/dnstap-pdns/default.pgo ./cmd/dnstap-pdns/internal/sensor

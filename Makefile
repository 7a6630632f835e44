# Every task of the repository. Nothing here needs more than Go, gcc (for the race detector), git and make.

SHELL := /bin/bash -o pipefail
GO ?= go
FUZZTIME ?= 20s
BENCH ?= .
# Size and length of load and stress: see "bench-load -help" and test/performance/load.
LOAD_ARGS ?=
LARGE_ARGS ?= -groups 100 -nodes 5000 -pods 150000
STRESS_ARGS ?= -groups 20 -machines 100 -churn 5m
# The simulation: how many seeds from which on, or one alone, and which faults instead of those that a seed draws.
SEEDS ?= 1000
FROM ?= 1
SEED ?= 0
FAULTS ?=
LENGTH ?= 50m0s
# How many seeds a test run plays, at least how many of the faults must have done something then, and which crash points it tries: every nth call.
TEST_SEEDS ?= 120
TEST_FAULTS_MIN ?= 40
CRASH_STRIDE ?= 25
# How long a run of the simulation's own tests may take before it counts as caught in a loop. Each takes seconds, if it gets a processor.
SIM_HANG ?= 15m
# The largest suite takes a few minutes on an idle machine; a busy one gets the rest.
TEST_TIMEOUT ?= 40m
# How everything that the demo needs is built (tools/internal/toolchain says why): what is compiled with other flags is compiled again.
LEAN_BUILD = CGO_ENABLED=0 GOGC=off GOMEMLIMIT=2GiB $(GO) build -trimpath -tags=grpcnotrace -gcflags=all=-dwarf=false
# What "go test" is told besides: make test asks for JSON, to count tests.
TESTFLAGS ?=
# Packages that the race detector need not watch, and that it makes eight times slower: nothing in them runs at the same time, which a test of
# tools/internal/suites holds.
UNRACED = /libs/scheduling|/test/conformance|/test/performance(/(bound|plan|workload))?$$
# What the race detector watches of the simulation, where it makes everything ten times slower: two seeds, and a crash in the middle of a life.
SIM_RACE = ^(TestSeeds|TestCrashPoints)$$/^(1|2|OneLife)$$/^provisioner$$/^41$$
CHAOS_COUNT ?= 1
# How many rounds of chaos soak has. Most of a round is waiting, so three go on beside each other, each with a control plane of its own.
SOAK_CHAOS_COUNT ?= 10
SOAK_CHAOS = $(patsubst %,'test-chaos CHAOS_COUNT=%',$(filter-out 0,$(foreach n,1 2 3,$(shell echo $$((($(SOAK_CHAOS_COUNT) + 3 - $n) / 3))))))
# The least coverage of a domain or app package, in percent.
COVER_MIN ?= 80
# Which cases of what is paid are run, and the newer Go that Karpenter, and nothing else, is built with.
PAID_ARGS ?=
PEER_GO = GOWORK=off GOTOOLCHAIN=go1.27.3 CGO_ENABLED=0 $(GO)

# Packages with tests that start a cluster: each asks for its build tag.
tagged = $(shell grep -rl --include='*_test.go' '^//go:build $(1)' api libs services test tools | xargs -r -n1 dirname | sort -u | sed 's|^|./|')

.DEFAULT_GOAL := help

.PHONY: help
help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z][a-z0-9-]*:.*## / {printf "  %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## Watch the product work: pods wait, machines are launched, used, drained and deleted.
	@$(LEAN_BUILD) -o bin/demo ./test/demo
	@exec bin/demo

.PHONY: test
test: ## Run every kind of test and print a table of them; make soak has the long ones. Suites that wait most of the time run beside those that compute.
	@env -u KUBECONFIG $(GO) run ./tools/cmd/suites test-e2e 'test-chaos test-load' test-integration -behind test-unit test-sim

.PHONY: soak
soak: ## Run the long proofs: 1,000 seeds and a month, a crash at every call, safety checks taken out, and SOAK_CHAOS_COUNT (10) rounds of chaos.
	@env -u KUBECONFIG $(GO) run ./tools/cmd/suites $(SOAK_CHAOS) -behind 'sim test-sabotage' 'test-crash CRASH_STRIDE=1 TEST_TIMEOUT=4h'

.PHONY: test-unit
test-unit: ## Run the unit tests with the race detector, the fuzz tests on their seeds, and compare the engine with kube-scheduler.
	$(GO) test $(TESTFLAGS) -race -timeout $(TEST_TIMEOUT) $$($(GO) list work | grep -vE '/test/sim$$|$(UNRACED)')
	$(GO) test $(TESTFLAGS) -timeout $(TEST_TIMEOUT) $$($(GO) list work | grep -E '$(UNRACED)' | grep -v /differential)
	cd test/sim && $(GO) test $(TESTFLAGS) -race -count=1 -timeout $(TEST_TIMEOUT) -run '$(SIM_RACE)' . -args -crash-stride=40 -hang=$(SIM_HANG)
	cd test/conformance/differential && $(GO) test $(TESTFLAGS) -count=1

.PHONY: test-integration
test-integration: ## Run each service on real parts; KUBECONFIG names a cluster to use instead of a new one.
	$(GO) test $(TESTFLAGS) -race -tags integration -count=1 -p 1 -timeout $(TEST_TIMEOUT) $(call tagged,integration)

.PHONY: test-e2e
test-e2e: ## Run the whole product on real parts; KUBECONFIG names a cluster to use instead of a new one.
	$(GO) test $(TESTFLAGS) -race -tags e2e -count=1 -p 1 -timeout $(TEST_TIMEOUT) $(call tagged,e2e)

.PHONY: test-sim
test-sim: ## Run the simulation: its own tests, TEST_SEEDS (120) seeds, some of them again, and a crash at every CRASH_STRIDEth (25th) call.
	cd test/sim && GOMAXPROCS=1 $(GO) test $(TESTFLAGS) -count=1 -timeout $(TEST_TIMEOUT) -skip '^(TestSeeds|TestCrashPoints)' . -args -hang=$(SIM_HANG)
	@$(GO) run ./test/sim/cmd/sim -seeds $(TEST_SEEDS) -faults-min $(TEST_FAULTS_MIN) -replays 4
	@$(MAKE) --no-print-directory test-crash

.PHONY: test-crash
test-crash: ## Crash a service at every CRASH_STRIDEth (25th) call that it makes.
	cd test/sim && GOMAXPROCS=1 $(GO) test $(TESTFLAGS) -count=1 -timeout $(TEST_TIMEOUT) -run TestCrashPoints . -args -crash-stride=$(CRASH_STRIDE) -hang=$(SIM_HANG)

.PHONY: test-sabotage
test-sabotage: ## Take safety checks out one by one; the simulation must notice each.
	cd test/sim && GOMAXPROCS=1 $(GO) test $(TESTFLAGS) -count=1 -timeout $(TEST_TIMEOUT) -tags sabotage -run TestSabotage .

.PHONY: cover
cover: ## Print the coverage of domain and app packages, and fail where it is below COVER_MIN (80) percent.
	@$(GO) test -cover $$($(GO) list work | grep -E '/internal/(domain|app)|/libs/scheduling/(cover|packing|evacuation)$$') | \
		awk '{print} match($$0, /coverage: [0-9.]+/) && substr($$0, RSTART + 10, RLENGTH - 10) + 0 < $(COVER_MIN) {low = 1; print "coverage is below $(COVER_MIN)%"} END {exit low}'

.PHONY: sim
sim: ## Play SEEDS runs from seed FROM on (1000 from 1, and one of thirty days), or SEED alone; FAULTS names faults.
	@$(GO) run ./test/sim/cmd/sim -seeds $(SEEDS) -from $(FROM) -seed $(SEED) -faults '$(FAULTS)' -length $(LENGTH) \
		$(if $(filter 1000/1/0//50m0s,$(SEEDS)/$(FROM)/$(SEED)/$(FAULTS)/$(LENGTH)),-month -faults-min 45 -replays 10)

.PHONY: test-chaos
test-chaos: ## Break what the product depends on, CHAOS_COUNT (1) times; CHAOS_SEED repeats what the dice of a run chose.
	$(GO) test $(TESTFLAGS) -race -tags chaos -count=$(CHAOS_COUNT) -p 1 -timeout $$((25 * $(CHAOS_COUNT)))m $(call tagged,chaos)

.PHONY: test-load
test-load: ## Put the whole product under a small load, and stress it: counts only, no times.
	$(GO) test $(TESTFLAGS) -race -tags load -count=1 -timeout $(TEST_TIMEOUT) ./test/performance/load

.PHONY: load
load: ## Measure 100 NodeGroups, 1,000 nodes and 30,000 pods on real parts, beside the goals; exit status 3 if one is missed. LOAD_ARGS as for bench-load.
	@$(GO) build -o bin/bench-load ./test/performance/load/cmd/bench-load
	@bin/bench-load $(LOAD_ARGS)

.PHONY: load-large
load-large: ## Measure 5,000 nodes and 150,000 pods the same way on an API server in memory, without KWOK; LARGE_ARGS sets the size.
	@$(GO) build -o bin/bench-load ./test/performance/load/cmd/bench-load
	@bin/bench-load -in-memory $(LARGE_ARGS)

.PHONY: stress
stress: ## Churn, rate limit and latency with 100 machines; STRESS_ARGS as in "-groups 20 -machines 100 -churn 5m".
	$(GO) test -tags load -count=1 -v -run '^TestStress' -timeout 2h ./test/performance/load -args $(STRESS_ARGS)

.PHONY: bench
bench: ## Measure plans and evacuations, in the form that benchstat reads; BENCH selects by name.
	@$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem -benchtime 3x -timeout $(TEST_TIMEOUT) ./test/performance

.PHONY: plan
plan: ## Plan the pods of the file PODS on the machine types of the file TYPES, and print the plan as JSON.
	@$(GO) build -o bin/plan ./test/performance/cmd/plan
	@bin/plan -types '$(TYPES)' -pods '$(PODS)'

.PHONY: fuzz
fuzz: ## Run every fuzz test for FUZZTIME (20s).
	scripts/fuzz.sh $(FUZZTIME)

.PHONY: bench-paid
bench-paid: ## Measure what is paid once kube-scheduler has bound every pod; PAID_ARGS selects cases, as in "-pods 1000 -over 0s".
	@$(GO) build -o bin/bench-paid ./test/paid/cmd/bench-paid
	@bin/bench-paid $(PAID_ARGS)

.PHONY: bench-peers
bench-peers: ## Compare with Karpenter on the same pods and machine types: plans, and what is paid (PAID_ARGS as for bench-paid).
	@cd test/peers && GOWORK=off $(GO) build -o ../../bin/bench-peers ./cmd/bench-peers
	@cd test/peers/controller && $(PEER_GO) build -o ../../../bin/karpenter sigs.k8s.io/karpenter/kwok
	@$(GO) build -o bin/bench-paid ./test/paid/cmd/bench-paid
	@bin/bench-peers -soft
	@folder=$$(cd test/peers/controller && $(PEER_GO) list -m -f '{{.Dir}}' sigs.k8s.io/karpenter) && \
		bin/bench-paid -karpenter bin/karpenter -karpenter-crds "$$folder/pkg/apis/crds,$$folder/kwok/apis/crds" $(PAID_ARGS)

.PHONY: lint
lint: lint-peers ## Check the rules of the code.
	scripts/lint.sh

# The peers are outside the workspace, so nothing else notices when their go.mod and go.sum fall behind.
.PHONY: lint-peers
lint-peers: ## Check that the peers still build from their own go.mod and go.sum.
	cd test/peers && GOWORK=off $(GO) vet -mod=readonly ./...
	cd test/peers/controller && $(PEER_GO) list -mod=readonly -deps tool > /dev/null

.PHONY: lint-size
lint-size: ## Show the files and functions at whose size a reviewer starts to ask.
	scripts/lint.sh .golangci.size.yml

.PHONY: build
build: ## Build the services and the bus's admin command into bin/.
	CGO_ENABLED=0 $(GO) build -trimpath -tags=grpcnotrace -ldflags="-s -w" -o bin/ ./services/observer/cmd/observer ./services/planner/cmd/planner \
		./services/provisioner/cmd/provisioner ./services/bus-admin/cmd/bus-admin

.PHONY: generate
generate: ## Generate deep copies, custom resource definitions, protobuf and gRPC code, and docs/reasons.md.
	scripts/generate.sh

.PHONY: check-generate
check-generate: generate ## Fail if generated code is not what generate makes.
	git diff --exit-code -- api docs/reasons.md
	@test -z "$$(git status --porcelain -- api docs/reasons.md)" || { git status --short -- api docs/reasons.md; exit 1; }

.PHONY: cluster
cluster: ## Leave a control plane and a NATS server running, and print how to reach them.
	@$(GO) run ./test/cluster/cmd/cluster

.PHONY: tools
tools: ## Build every pinned tool into the user's cache.
	$(GO) run ./tools/cmd/toolchain cluster codegen lint

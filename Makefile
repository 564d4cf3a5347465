# Vonglau. `make run` and `make test` are all a newcomer needs.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

GO       ?= go
DATA     ?= data
VERSION  := $(shell git describe --tags --always --dirty 2>/dev/null || echo unversioned)
LDFLAGS  := -s -w -X main.version=$(VERSION)
WEB      := ops-center/web
WEB_SRC  := $(shell find $(WEB) -path $(WEB)/node_modules -prune -o -path $(WEB)/dist -prune -o -type f -print)

.PHONY: help
help: ## what there is
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

.PHONY: run
run: build ## build everything, start the server and a simulated city, print the wall's address
	@deploy/run.sh

.PHONY: build
build: bin/vonglau bin/firmware-sim bin/vonglau.cdx.json ## bin/vonglau and bin/firmware-sim, the wall included

GO_SRC := $(shell find . -name '*.go' -not -path './$(WEB)/node_modules/*' -not -path './.cache/*') go.mod go.sum

bin/vonglau: $(GO_SRC) $(WEB)/dist/index.html
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $@ ./cmd/vonglau

bin/vonglau.cdx.json: bin/vonglau $(WEB)/package-lock.json
	bin/vonglau sbom --npm $(WEB)/package-lock.json --out $@

.PHONY: sbom
sbom: bin/vonglau.cdx.json ## what the program is made of, CycloneDX 1.6

bin/firmware-sim: $(GO_SRC)
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $@ ./cmd/firmware-sim

$(WEB)/node_modules/.installed: $(WEB)/package.json $(WEB)/package-lock.json
	cd $(WEB) && npm ci --no-audit --no-fund && touch node_modules/.installed

$(WEB)/dist/index.html: $(WEB)/node_modules/.installed $(WEB_SRC)
	cd $(WEB) && npm run build
	touch $@

.PHONY: test
test: tools build influxd ## install what the tests need and run every test
	cd $(WEB) && npm test
	VONGLAU_REQUIRE_TOOLS=1 VONGLAU_REQUIRE_INFLUXD=1 VONGLAU_BIN=$(CURDIR)/bin/vonglau VONGLAU_SIM=$(CURDIR)/bin/firmware-sim \
	  $(GO) test -p 1 -timeout 25m ./...

.PHONY: test-race
test-race: ## the Go tests under the race detector
	$(GO) test -race -short -timeout 40m ./...

.PHONY: tools
tools: ## programs the tests start: mosquitto, coap-client, chromium
	deploy/install-test-tools.sh

.PHONY: influxd
influxd: ## a real InfluxDB 1.8 for the tests: the one on PATH, else built
	deploy/influxd/build.sh

.PHONY: influxd2
influxd2: ## a real InfluxDB 2.7, for whoever has Rust and half an hour
	deploy/influxd/build2.sh

.PHONY: check
check: ## format, vet, lint, vulnerabilities, clean tree
	deploy/check.sh

.PHONY: bench
bench: build influxd ## against Mosquitto + Telegraf into the same InfluxDB, in one run
	deploy/bench/run.sh

PROGRAM_TEST = VONGLAU_BIN=$(CURDIR)/bin/vonglau VONGLAU_SIM=$(CURDIR)/bin/firmware-sim $(GO) test ./cmd/vonglau -v -count 1 -timeout 3h

.PHONY: crash
crash: build ## kill -9 under load over MQTT, CoAP and HTTP, CYCLES (200) times
	$(PROGRAM_TEST) -run TestProgramKilled -cycles $${CYCLES:-200}

.PHONY: outage
outage: build influxd ## InfluxDB gone for DOWN (60s) at RATE (2000) readings a second
	$(PROGRAM_TEST) -run TestProgramInfluxGone -influx-down $${DOWN:-60s} -influx-rate $${RATE:-2000}

.PHONY: latency
latency: build ## publish to acknowledgement and to WebSocket frame, beside RATES readings a second
	$(PROGRAM_TEST) -run TestProgramSensorToScreen -latency-rates $${RATES:-500,20000} -latency-duration $${DURATION:-20s}

.PHONY: deliveries
deliveries: build ## SUBS (200) departments at RATE (50) alarms a second, one in forty of them dead; then reading to webhook
	$(PROGRAM_TEST) -run 'TestProgramDeadReceivers|TestProgramReadingToWebhook' -delivery-subs $${SUBS:-200} -delivery-rate $${RATE:-50} -delivery-count $${COUNT:-1000}

.PHONY: typhoon
typhoon: build ## a typhoon over DEVICES (500) from first rain to all-clear, once more with a kill -9 in it
	$(PROGRAM_TEST) -run TestProgramTyphoon -typhoon-devices $${DEVICES:-500}

.PHONY: alarms
alarms: ## readings judged a second on one core with 1, 100 and 5000 rules
	$(GO) test ./ops-center/alert -run xxx -bench Rules -benchtime 2s -cpu 1

.PHONY: crowd
crowd: build ## hold IDLE MQTT connections (50000, or what `ulimit -n` allows); STORM (10000) devices back at once after kill -9 (root)
	most=$$(( $$(ulimit -Hn) - 100 )); idle=$${IDLE:-$$(( most < 50000 ? most : 50000 ))}; ulimit -Sn hard; \
	unshare -n sh -c "ip link set lo up; sysctl -qw net.ipv4.ip_local_port_range='1024 65535'; \
	  $(PROGRAM_TEST) -run 'TestProgramIdleCrowd|TestProgramReconnectStorm' -crowd-idle $$idle -crowd-storm $${STORM:-10000}"

.PHONY: nodes
nodes: build ## NODES (500) report at INTERVAL (30s); one is stopped and named, then a gateway with all behind it
	$(PROGRAM_TEST) -run 'TestProgramNodes$$' -nodes $${NODES:-500} -node-interval $${INTERVAL:-30s}

.PHONY: join
join: ## point-to-ward lookups on one core: ours, rtree + orb, naive orb
	$(GO) test ./geo -run xxx -bench Join -benchtime 2s

.PHONY: clean
clean: ## what was built; data stays
	rm -rf bin $(WEB)/dist/assets $(WEB)/dist/index.html

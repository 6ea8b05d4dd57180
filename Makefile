# SPDX-License-Identifier: GPL-2.0-or-later
# Build, check and install xct. `make help` lists what there is.

XCT_VERSION := 0.1.0

# Where things go. All of these may be given on the command line.
PREFIX     ?= /usr/local
SBINDIR    ?= $(PREFIX)/sbin
DATADIR    ?= $(PREFIX)/share
MANDIR     ?= $(DATADIR)/man
BASHDIR    ?= $(DATADIR)/bash-completion/completions
ZSHDIR     ?= $(DATADIR)/zsh/vendor-completions
FISHDIR    ?= $(DATADIR)/fish/vendor_completions.d
UNITDIR    ?= $(PREFIX)/lib/systemd/system
SYSUSERSDIR ?= $(PREFIX)/lib/sysusers.d
SYSCONFDIR ?= /etc
DESTDIR    ?=

# Variants, each with objects of its own.
ifdef SAN
B := build/san
else ifdef TSAN
B := build/tsan
else ifdef COV
B := build/cov
else
B := build
endif

# --- how to compile ----------------------------------------------------------

ifeq ($(origin CC),default)
CC         := gcc
endif
PKG_CONFIG ?= pkg-config
PYTHON     ?= /usr/bin/python3
CFLAGS     ?= -O2 -g

WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
	-Wold-style-definition -Wpointer-arith -Wcast-qual -Wcast-align \
	-Wwrite-strings -Wformat=2 -Wundef -Wvla -Wnull-dereference \
	-Wredundant-decls -Wimplicit-fallthrough
ifeq (,$(findstring clang,$(CC)))
WARNINGS += -Wduplicated-cond -Wduplicated-branches -Wlogical-op
endif
ifdef WERROR
WARNINGS += -Werror
endif

# _FORTIFY_SOURCE needs -O, and sanitizers do not see through it.
HARDEN := -fPIE -fstack-protector-strong
HARDEN_LD := -pie -Wl,-z,relro,-z,now
ifdef SAN
VARIANT := -fsanitize=address,undefined -fno-sanitize-recover=all \
	-fno-omit-frame-pointer
else ifdef TSAN
VARIANT := -fsanitize=thread -fno-omit-frame-pointer
else ifdef COV
VARIANT := --coverage -O0
else
VARIANT := -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2
endif

DAEMON_PKGS := libnetfilter_queue libmnl libnfnetlink yaml-0.1 libsystemd \
	jansson
DAEMON_LIBS = $(shell $(PKG_CONFIG) --libs $(DAEMON_PKGS)) -pthread
CTL_LIBS    = $(shell $(PKG_CONFIG) --libs jansson)
TEST_LIBS   = $(shell $(PKG_CONFIG) --libs cmocka)

XCT_CPPFLAGS := -I. -D_GNU_SOURCE -DXCT_VERSION='"$(XCT_VERSION)"' $(CPPFLAGS)
XCT_CFLAGS   := -std=gnu11 $(CFLAGS) $(WARNINGS) $(HARDEN) $(VARIANT) -pthread
XCT_LDFLAGS  := $(HARDEN_LD) $(VARIANT) $(LDFLAGS)

ifdef V
Q :=
say = @:
else
Q := @
say = @printf '  %-6s %s\n'
endif

# --- what to compile ---------------------------------------------------------

COMMON_SRC := $(wildcard common/*.c)
ENGINE_SRC := $(wildcard daemon/engine/*.c daemon/engine/l4/*.c \
			daemon/engine/helper/*.c)
DAEMON_SRC := $(wildcard daemon/*.c)
CTL_SRC    := $(wildcard ctl/*.c)
UNIT_SRC   := $(wildcard tests/unit/test_*.c)
MANUALS    := $(wildcard docs/*.[58])
FUZZ_SRC   := $(wildcard tests/fuzz/fuzz_*.c)
BENCH_SRC  := $(wildcard tests/bench/*.c)

objects = $(patsubst %.c,$(B)/%.o,$(1))

ENGINE_OBJ := $(call objects,$(COMMON_SRC) $(ENGINE_SRC))
DAEMON_OBJ := $(call objects,$(filter-out daemon/main.c,$(DAEMON_SRC)))
CTL_OBJ    := $(call objects,$(filter-out ctl/main.c,$(CTL_SRC)))
UNIT_BIN   := $(patsubst %.c,$(B)/%,$(UNIT_SRC))
BENCH_BIN  := $(patsubst %.c,$(B)/%,$(BENCH_SRC))
ALL_SRC    := $(COMMON_SRC) $(ENGINE_SRC) $(DAEMON_SRC) $(CTL_SRC) \
	$(UNIT_SRC) $(FUZZ_SRC) $(BENCH_SRC)
ALL_OBJ    := $(call objects,$(filter-out $(FUZZ_SRC),$(ALL_SRC)))

ENGINE_LIB := $(B)/libxct-engine.a
DAEMON_LIB := $(B)/libxct-daemon.a
CTL_LIB    := $(B)/libxct-ctl.a

# --- targets -----------------------------------------------------------------

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.PHONY: all deps demo check unit netns conform faults bench bench-engine bench-size lint format fuzz \
	install uninstall clean help FORCE

all: $(B)/xctd $(B)/xctctl ## build xctd and xctctl

deps: ## install what is missing to build and test (Debian, needs root)
	$(Q)tests/deps.sh build demo test

demo: ## show a gateway at work, in network namespaces (needs root)
	$(Q)tests/deps.sh build demo
	$(Q)$(MAKE) --no-print-directory all
	$(Q)tests/demo.sh

check: ## everything: build without a warning, unit, lint, netns
	$(Q)MAKE='$(MAKE)' tests/check.sh

unit: $(UNIT_BIN) ## unit tests; SAN=1: under ASan and UBSan
	$(Q)tests/unit/run.sh $^

netns: all $(BENCH_BIN) ## integration tests in network namespaces (needs root)
	$(Q)XCT_BUILD=$(abspath $(B)) $(PYTHON) -m pytest -p no:cacheprovider \
		-q $(PYTEST_ARGS) $(or $(TESTS),tests/netns)

conform: all ## kernel and xct side by side: PCAP=FILE..., or SEED= COUNT= NAT= KINDS= (root)
	$(Q)XCT_BUILD=$(abspath $(B)) $(PYTHON) tests/conform/conform.py \
		$(if $(PCAP),--pcap $(PCAP),$(if $(SEED),--seed $(SEED)) \
		--count $(or $(COUNT),20) $(if $(NAT),--nat $(NAT)) \
		$(if $(KINDS),--kinds $(KINDS)))

bench: all $(BENCH_BIN) ## xctd beside kernel, queue, others: ROUNDS= SECONDS= ONLY= CONTESTANTS= (root)
	$(Q)tests/deps.sh bench
	$(Q)XCT_BUILD=$(abspath $(B)) $(PYTHON) tests/bench/bench.py \
		$(if $(ROUNDS),--rounds $(ROUNDS)) \
		$(if $(SECONDS),--seconds $(SECONDS)) $(if $(ONLY),--only $(ONLY)) \
		$(if $(CONTESTANTS),--contestants $(CONTESTANTS))

faults: all ## kill xctd under traffic, and with a million flows: KILLS= SEED= JSON= (root)
	$(Q)XCT_BUILD=$(abspath $(B)) $(PYTHON) tests/faults/faults.py \
		--progress --kills $(or $(KILLS),300) \
		$(if $(SEED),--seed $(SEED)) $(if $(JSON),--json $(JSON))
	$(Q)XCT_BUILD=$(abspath $(B)) $(PYTHON) tests/faults/adopt.py

lint: $(ENGINE_LIB) ## format, cppcheck, include graph, engine symbols, docs
	$(Q)PYTHON='$(PYTHON)' tests/lint/run.sh $(ENGINE_LIB)

format: ## lay out all C files with clang-format
	$(Q)git ls-files -co --exclude-standard '*.[ch]' | \
		xargs clang-format -i --style=file

fuzz: ## fuzz for FUZZ_TIME seconds each (needs clang)
	$(Q)tests/fuzz/run.sh $(or $(FUZZ_TIME),30) $(FUZZ_SRC)

bench-engine: $(B)/tests/bench/engine ## what the engine alone costs; ROUNDS= FLOWS=
	$(Q)mkdir -p $(B)/bench
	$(Q)$< $(B)/bench/engine.json \
		"$$(git describe --always --dirty 2>/dev/null || echo none)" \
		$(or $(ROUNDS),5) $(FLOWS)

bench-size: all $(BENCH_BIN) ## what a large table costs; FLOWS= RULES= ROUNDS= (root)
	$(Q)XCT_BUILD=$(abspath $(B)) $(PYTHON) tests/bench/size.py \
		$(if $(FLOWS),--flows $(FLOWS)) $(if $(RULES),--rules $(RULES)) \
		$(if $(ROUNDS),--rounds $(ROUNDS)) --out $(B)/bench

INSTALL_DIRS := $(SBINDIR) $(UNITDIR) $(SYSUSERSDIR) $(MANDIR)/man5 \
	$(MANDIR)/man8 $(SYSCONFDIR)/xct $(DATADIR)/xct $(DATADIR)/doc/xct/examples \
	$(BASHDIR) $(ZSHDIR) $(FISHDIR)
# Paths that installed files name.
PATHS := sed -e 's|@SBINDIR@|$(SBINDIR)|g' -e 's|/etc/xct|$(SYSCONFDIR)/xct|g' \
	-e 's|/usr/share|$(DATADIR)|g'

install: all ## install below PREFIX (honours DESTDIR, SBINDIR ...)
	install -d $(addprefix '$(DESTDIR)',$(INSTALL_DIRS))
	install -m 755 $(B)/xctd $(B)/xctctl '$(DESTDIR)$(SBINDIR)'
	for page in $(MANUALS); do install -m 644 $$page \
		'$(DESTDIR)$(MANDIR)'/man$${page##*.} || exit 1; done
	for schema in $(wildcard conf/*.json); do install -m 644 $$schema \
		'$(DESTDIR)$(DATADIR)/xct' || exit 1; done
	install -m 644 conf/examples/*.yaml \
		'$(DESTDIR)$(DATADIR)/doc/xct/examples'
	install -m 644 ctl/completion/xctctl.bash '$(DESTDIR)$(BASHDIR)/xctctl'
	install -m 644 ctl/completion/_xctctl '$(DESTDIR)$(ZSHDIR)'
	install -m 644 ctl/completion/xctctl.fish '$(DESTDIR)$(FISHDIR)'
	test -e '$(DESTDIR)$(SYSCONFDIR)/xct/rules.yaml' || { umask 022; \
		$(PATHS) conf/rules.yaml > '$(DESTDIR)$(SYSCONFDIR)/xct/rules.yaml'; }
	install -m 644 systemd/xct.sysusers '$(DESTDIR)$(SYSUSERSDIR)/xct.conf'
	$(PATHS) systemd/xctd.service > '$(DESTDIR)$(UNITDIR)/xctd.service'
	$(PATHS) systemd/xctd.socket > '$(DESTDIR)$(UNITDIR)/xctd.socket'
	test -n '$(DESTDIR)' || ! command -v systemd-sysusers || \
		systemd-sysusers '$(SYSUSERSDIR)/xct.conf'

uninstall: ## remove what install put there; rules.yaml and user xct stay
	rm -f '$(DESTDIR)$(SBINDIR)/xctd' '$(DESTDIR)$(SBINDIR)/xctctl' \
		'$(DESTDIR)$(UNITDIR)/xctd.service' \
		'$(DESTDIR)$(UNITDIR)/xctd.socket' \
		'$(DESTDIR)$(SYSUSERSDIR)/xct.conf' \
		'$(DESTDIR)$(BASHDIR)/xctctl' '$(DESTDIR)$(ZSHDIR)/_xctctl' \
		'$(DESTDIR)$(FISHDIR)/xctctl.fish'
	for page in $(notdir $(MANUALS)); do \
		rm -f '$(DESTDIR)$(MANDIR)'/man$${page##*.}/$$page; done
	rm -rf '$(DESTDIR)$(DATADIR)/xct' '$(DESTDIR)$(DATADIR)/doc/xct'

clean: ## remove build/
	rm -rf build

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' \
		$(firstword $(MAKEFILE_LIST))
	@echo '  Variables: SAN=1 (ASan, UBSan)  TSAN=1  WERROR=1  COV=1  V=1 (show commands)'
	@echo '             PREFIX DESTDIR SBINDIR SYSCONFDIR UNITDIR MANDIR DATADIR'
	@echo '             TESTS=FILE... PYTEST_ARGS=... (netns)  FUZZ_TIME=SECONDS'

# --- rules -------------------------------------------------------------------

$(B)/xctd: $(B)/daemon/main.o $(DAEMON_LIB) $(ENGINE_LIB)
	$(say) LINK $@
	$(Q)$(CC) $(XCT_LDFLAGS) -o $@ $^ $(DAEMON_LIBS)

$(B)/xctctl: $(B)/ctl/main.o $(CTL_LIB) $(ENGINE_LIB)
	$(say) LINK $@
	$(Q)$(CC) $(XCT_LDFLAGS) -o $@ $^ $(CTL_LIBS)

$(UNIT_BIN): $(B)/%: $(B)/%.o $(DAEMON_LIB) $(CTL_LIB) $(ENGINE_LIB)
	$(say) LINK $@
	$(Q)$(CC) $(XCT_LDFLAGS) -o $@ $^ $(DAEMON_LIBS) $(TEST_LIBS)

$(BENCH_BIN): $(B)/%: $(B)/%.o $(DAEMON_LIB) $(ENGINE_LIB)
	$(say) LINK $@
	$(Q)$(CC) $(XCT_LDFLAGS) -o $@ $^ $(DAEMON_LIBS)

$(ENGINE_LIB): $(ENGINE_OBJ)
$(DAEMON_LIB): $(DAEMON_OBJ)
$(CTL_LIB): $(CTL_OBJ)
$(B)/%.a:
	$(say) AR $@
	$(Q)rm -f $@ && $(AR) rcs $@ $^

# Other flags are another build: the objects depend on the command line.
$(B)/flags: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' '$(subst ','\'',$(CC) $(XCT_CPPFLAGS) $(XCT_CFLAGS))' > \
		$@.new
	@cmp -s $@ $@.new && rm $@.new || mv $@.new $@

$(B)/%.o: %.c $(B)/flags
	@mkdir -p $(@D)
	$(say) CC $<
	$(Q)$(CC) $(XCT_CPPFLAGS) $(XCT_CFLAGS) -MMD -MP -c -o $@ $<

-include $(ALL_OBJ:.o=.d)

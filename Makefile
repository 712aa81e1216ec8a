# hearsay: replicas, brokers and clients without a coordinator. The targets people use:
#
#   make           the four programs and libhearsay, in build/
#   make demo      installs what is missing, builds, runs the whole story on this machine
#   make test      installs what is missing, builds, runs every test
#   make sim       SEED=1 SEEDS=100: that many simulated clusters from that seed on
#   make mutants   plants faults one by one, each of which the simulator must find; some minutes
#   make sizing    KEYS=1000000: memory, disk and restart of a node with so many keys
#   make fuzz      FUZZ_SECONDS=60: libFuzzer on each decoder and the replica's core, with clang
#   make check     style, layers, purity
#   make examples  the programs of examples/, in build/examples/
#   make deps      installs the packages alone
#   make install   programs, library, header, manuals, completions and systemd units into PREFIX (/usr/local), under DESTDIR
#   make uninstall takes them away again
#   make clean
#
# Knobs: CC=clang  SANITIZE=address,undefined  BUILD=build/other  V=1 (show the commands)
#        PREFIX=/usr  LIBDIR=/usr/lib/x86_64-linux-gnu  DESTDIR=folder (of make install)

BUILD    ?= build
CC       ?= cc
SANITIZE ?=
OBJCOPY  ?= objcopy
OPT      ?= -O2
VERSION  := 0.1.0

PKGS     := libczmq libzmq msgpack libxxhash libsodium
TOOL_PKGS := libedit jansson# of hearsay alone
NODE_PKGS := lmdb# of hearsay-node, and of hearsayctl, which verifies data folders
SERVER_PKGS := libmicrohttpd# of hearsay-node and hearsay-broker
# They speak to systemd where its library is there.
ifeq ($(shell pkg-config --exists libsystemd 2>/dev/null && echo yes),yes)
SERVER_PKGS += libsystemd
CPPFLAGS += -DHEARSAY_SYSTEMD
endif
# msgpack-c calls its pkg-config file "msgpack-c" from version 6 on.
MSGPACK  := $(shell pkg-config --exists msgpack-c 2>/dev/null && echo msgpack-c || echo msgpack)
PKGS     := $(patsubst msgpack,$(MSGPACK),$(PKGS))

WARNINGS := -Wall -Wextra -Werror -Wshadow -Wconversion -Wsign-conversion -Wstrict-prototypes \
            -Wmissing-prototypes -Wold-style-definition -Wpointer-arith -Wcast-qual \
            -Wwrite-strings -Wundef -Wvla -Wformat=2 -Wimplicit-fallthrough -Wnull-dereference \
            -Wmissing-declarations -Wredundant-decls
CPPFLAGS += -I. -D_DEFAULT_SOURCE -D_POSIX_C_SOURCE=200809L -DHEARSAY_VERSION='"$(VERSION)"'
# Headers of other projects are held to their own warnings, not to ours.
SYSTEM   := $(patsubst -I%,-isystem %,$(shell pkg-config --cflags $(PKGS) $(TOOL_PKGS) \
            $(NODE_PKGS) $(SERVER_PKGS) 2>/dev/null))
CFLAGS   ?= $(OPT) -g -fstack-protector-strong
# Every object may become part of libhearsay, which shows what hearsay.h declares and nothing else.
CFLAGS   += -std=c17 -pthread -fPIC -fvisibility=hidden $(WARNINGS)
LDFLAGS  += -pthread
LIBS     := $(shell pkg-config --libs $(PKGS) 2>/dev/null)
CONTROL_LIBS := $(shell pkg-config --libs ncurses 2>/dev/null)# of hearsayctl alone
TOOL_LIBS := $(shell pkg-config --libs $(TOOL_PKGS) 2>/dev/null)
NODE_LIBS := $(shell pkg-config --libs $(NODE_PKGS) 2>/dev/null)
SERVER_LIBS := $(shell pkg-config --libs $(SERVER_PKGS) 2>/dev/null)
ifneq ($(SANITIZE),)
CFLAGS   += -fsanitize=$(SANITIZE) -fno-sanitize-recover=all -fno-omit-frame-pointer
LDFLAGS  += -fsanitize=$(SANITIZE)
endif
ifeq ($(V),)
Q := @
say = @printf '  %-5s %s\n' $(1) $(2)
endif

PROGRAMS := hearsay-node hearsay-broker hearsay hearsayctl
main-hearsay-node   := replica/node/main.c
main-hearsay-broker := frontend/broker/main.c
main-hearsay        := client/tool/main.c
main-hearsayctl     := control/main.c
libs-hearsay        := $(TOOL_LIBS)
libs-hearsay-node   := $(NODE_LIBS) $(SERVER_LIBS)
libs-hearsay-broker := $(SERVER_LIBS)
libs-hearsayctl     := $(NODE_LIBS) $(CONTROL_LIBS)
MAINS    := $(foreach p,$(PROGRAMS),$(main-$(p)))

# Files for people: path>folder under PREFIX/share. Manuals and completions are made from --help.
MANUALS  := hearsay.1 hearsayctl.1 hearsay-node.8 hearsay-broker.8
SHARE    := $(foreach m,$(MANUALS),$(BUILD)/share/man/$m>man/man$(lastword $(subst ., ,$m))) \
            $(foreach p,$(PROGRAMS),$(BUILD)/share/bash/$p>bash-completion/completions \
            $(BUILD)/share/zsh/_$p>zsh/site-functions) systemd/hearsay.conf>doc/hearsay
SHARED   := $(filter $(BUILD)/%,$(foreach p,$(SHARE),$(firstword $(subst >, ,$p))))
UNITS    := hearsay-node@.service hearsay-broker.service
words-hearsay-node  := active overloaded draining offline

PURE     := bus/base bus/wire replica/core frontend/core client/core
FOLDERS  := $(PURE) bus/config bus/net bus/http replica/disk replica/node frontend/broker client/lib client/tool control
SOURCES  := $(sort $(foreach f,$(FOLDERS),$(wildcard $(f)/*.c)))
OBJECTS  := $(patsubst %.c,$(BUILD)/obj/%.o,$(filter-out $(MAINS),$(SOURCES)))
PURE_OBJECTS := $(foreach f,$(PURE),$(filter $(BUILD)/obj/$(f)/%,$(OBJECTS)))
ARCHIVE  := $(BUILD)/obj/hearsay-all.a

# The shared library: its file, the name that programs ask for, the name that linkers ask for.
ABI      := 0
ifeq ($(shell uname -s),Darwin)
SO       := libhearsay.$(VERSION).dylib libhearsay.$(ABI).dylib libhearsay.dylib
SO_FLAGS := -dynamiclib -install_name @rpath/libhearsay.$(ABI).dylib
OBJCOPY  := : # "ld -r" makes hidden names local by itself
else
SO       := libhearsay.so.$(VERSION) libhearsay.so.$(ABI) libhearsay.so
SO_FLAGS := -shared -Wl,-soname,libhearsay.so.$(ABI) $(if $(SANITIZE),,-Wl,-z,defs)
endif
SO_NAME  := $(word 2,$(SO))
LIBRARIES := libhearsay.a $(SO_NAME) hearsay.pc
LIBRARY_OBJECTS := $(filter $(BUILD)/obj/client/lib/%,$(OBJECTS))

UNIT_SOURCES := $(sort $(wildcard tests/unit/*/test_*.c))
UNIT     := $(patsubst tests/%.c,$(BUILD)/tests/%,$(UNIT_SOURCES))
SIM_SOURCES := $(sort $(wildcard tests/sim/*.c))
SIM      := $(BUILD)/tests/hearsay-sim
CLUSTER_PROGRAMS := $(patsubst tests/cluster/%.c,$(BUILD)/tests/%,$(wildcard tests/cluster/*.c))
FUZZERS  := $(patsubst tests/fuzz/fuzz_%.c,%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
REPLAYS  := $(FUZZERS:%=$(BUILD)/tests/fuzz/replay_%) $(BUILD)/tests/fuzz/seeds

.PHONY: all deps demo test sim mutants sizing fuzz check format clean tests unit examples install uninstall
.DELETE_ON_ERROR:
.SECONDARY:

all: $(PROGRAMS:%=$(BUILD)/%) $(LIBRARIES:%=$(BUILD)/%) $(SHARED) $(UNITS:%=$(BUILD)/systemd/%)

define PROGRAM_RULE
$(BUILD)/$(1): $(BUILD)/obj/$(main-$(1):.c=.o) $(ARCHIVE)
	$$(call say,LINK,$$@)
	$$(Q)$$(CC) $$(CFLAGS) $$(LDFLAGS) -o $$@ $$^ $$(LIBS) $$(libs-$(1))
endef
$(foreach p,$(PROGRAMS),$(eval $(call PROGRAM_RULE,$(p))))

$(ARCHIVE): $(OBJECTS)
	$(Q)rm -f $@
	$(Q)ar rcs $@ $^

# One object of all that the library needs, in which hidden names are local.
$(BUILD)/obj/libhearsay.o: $(LIBRARY_OBJECTS) $(ARCHIVE)
	$(Q)$(LD) -r -o $@ $^
	$(Q)$(OBJCOPY) --localize-hidden $@

$(BUILD)/libhearsay.a: $(BUILD)/obj/libhearsay.o
	$(call say,AR,$@)
	$(Q)rm -f $@
	$(Q)ar rcs $@ $<

$(BUILD)/$(SO_NAME): $(BUILD)/obj/libhearsay.o
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) $(SO_FLAGS) -o $@ $< $(LIBS)

$(BUILD)/hearsay.pc: client/lib/hearsay.pc.in Makefile
	$(Q)sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(LIBDIR)|' -e 's|@VERSION@|$(VERSION)|' \
		-e 's|@PKGS@|$(PKGS)|' $< >$@

define MANUAL_RULES
$(BUILD)/share/bash/$(1): $(BUILD)/$(1) man/help.awk Makefile
	@mkdir -p $$(@D)
	$$(Q)$$< --help | awk -v form=bash -v program=$(1) -v words="$(words-$(1))" -f man/help.awk >$$@
$(BUILD)/share/zsh/_$(1): $(BUILD)/$(1) man/help.awk Makefile
	@mkdir -p $$(@D)
	$$(Q)$$< --help | awk -v form=zsh -v program=$(1) -v words="$(words-$(1))" -f man/help.awk >$$@
$(filter $(BUILD)/share/man/$(1).%,$(SHARED)): $(BUILD)/share/man/$(1).%: man/$(1).%.in \
		$(BUILD)/$(1) man/help.awk
	@mkdir -p $$(@D)
	$$(Q)$(BUILD)/$(1) --help | awk -v form=man -v template=$$< -f man/help.awk | \
		sed 's|@VERSION@|$(VERSION)|' >$$@
endef
$(foreach p,$(PROGRAMS),$(eval $(call MANUAL_RULES,$(p))))

$(BUILD)/systemd/%: systemd/%.in systemd/hardening Makefile
	@mkdir -p $(@D)
	$(Q)sed -e 's|@PREFIX@|$(PREFIX)|' -e '/@HARDENING@/{r systemd/hardening' -e 'd}' $< >$@

$(BUILD)/obj/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(CPPFLAGS) $(SYSTEM) $(CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/tests/unit/%: $(BUILD)/obj/tests/unit/%.o $(ARCHIVE)
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS) $(TOOL_LIBS) $(NODE_LIBS) $(SERVER_LIBS) -lcmocka

$(SIM): $(SIM_SOURCES:%.c=$(BUILD)/obj/%.o) $(ARCHIVE)
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)

# A fuzz target with a main that replays files, for any compiler; with libFuzzer: see "fuzz".
$(BUILD)/tests/fuzz/replay_%: $(BUILD)/obj/tests/fuzz/fuzz_%.o $(BUILD)/obj/tests/fuzz/replay.o \
		$(ARCHIVE)
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS) -lcmocka

$(BUILD)/tests/fuzz/seeds: $(BUILD)/obj/tests/fuzz/seeds.o $(ARCHIVE)
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS) -lcmocka

$(BUILD)/tests/fuzz/fuzz_%: $(BUILD)/obj/tests/fuzz/fuzz_%.o $(ARCHIVE)
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -fsanitize=fuzzer -o $@ $^ $(LIBS)

# Programs of the cluster tests, over the public header and the static library alone.
$(BUILD)/tests/%: $(BUILD)/obj/tests/cluster/%.o $(BUILD)/libhearsay.a
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)

# The one that plays a fault of ours knows the log.
$(BUILD)/tests/forge: $(BUILD)/obj/tests/cluster/forge.o $(ARCHIVE)
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)

# Written for the installed library: <hearsay.h> is that of the tree here.
EXAMPLES := $(patsubst %.c,$(BUILD)/%,$(wildcard examples/*.c))
examples: $(EXAMPLES)
$(BUILD)/examples/%: examples/%.c $(BUILD)/libhearsay.a
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) -Iclient/lib $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)

unit: $(UNIT)
tests: all $(UNIT) $(SIM) $(REPLAYS) $(CLUSTER_PROGRAMS)

deps:
	$(Q).ci/deps

# "deps" first and the build in a second make: pkg-config must be asked after the installation.
demo: deps
	$(Q)$(MAKE) --no-print-directory all
	$(Q)BUILD=$(BUILD) tests/demo/demo

test: deps
	$(Q)BUILD=$(BUILD) CC="$(CC)" MAKE="$(MAKE)" tests/run

SEED  ?= 1
SEEDS ?= 20
sim: $(SIM)
	$(Q)$(SIM) --seed $(SEED) --seeds $(SEEDS) $(SIM_FLAGS)

mutants:
	$(Q)MAKE="$(MAKE)" tests/sim/mutants.py

KEYS ?= 1000000
sizing: all
	$(Q)BUILD=$(BUILD) tests/bench/sizing $(KEYS)

FUZZ_SECONDS ?= 60
fuzz: $(BUILD)/tests/fuzz/seeds
	$(Q)$(MAKE) --no-print-directory BUILD=$(BUILD)/fuzz CC=clang OPT=-O1 \
		SANITIZE=fuzzer-no-link,address,undefined $(FUZZERS:%=$(BUILD)/fuzz/tests/fuzz/fuzz_%)
	$(Q)tests/fuzz/run $(BUILD) $(FUZZ_SECONDS) $(FUZZERS)

check: all
	$(Q).ci/check_layers.sh
	$(Q).ci/check_pure.sh $(PURE_OBJECTS)
	$(Q).ci/check_style.sh
	$(Q)tests/sim/mutants.py --check

format:
	$(Q)git ls-files '*.c' '*.h' | xargs clang-format -i

# What "install" puts where; "uninstall" takes exactly that away. hearsay.pc and the units are written anew,
# for this PREFIX.
PREFIX   ?= /usr/local
LIBDIR   ?= $(PREFIX)/lib
UNITDIR  ?= $(PREFIX)/lib/systemd/system
INSTALL  ?= install

install: all
	$(Q)rm -rf $(BUILD)/hearsay.pc $(BUILD)/systemd
	$(Q)$(MAKE) --no-print-directory $(BUILD)/hearsay.pc $(UNITS:%=$(BUILD)/systemd/%)
	$(Q)$(INSTALL) -d $(foreach f,$(PREFIX)/bin $(PREFIX)/include $(LIBDIR)/pkgconfig,"$(DESTDIR)$f")
	$(Q)$(INSTALL) $(PROGRAMS:%=$(BUILD)/%) "$(DESTDIR)$(PREFIX)/bin"
	$(Q)$(INSTALL) -m 644 client/lib/hearsay.h "$(DESTDIR)$(PREFIX)/include/hearsay.h"
	$(Q)$(INSTALL) -m 644 $(BUILD)/libhearsay.a "$(DESTDIR)$(LIBDIR)"
	$(Q)$(INSTALL) -m 644 $(BUILD)/$(SO_NAME) "$(DESTDIR)$(LIBDIR)/$(word 1,$(SO))"
	$(Q)ln -sf $(word 1,$(SO)) "$(DESTDIR)$(LIBDIR)/$(SO_NAME)"
	$(Q)ln -sf $(SO_NAME) "$(DESTDIR)$(LIBDIR)/$(word 3,$(SO))"
	$(Q)$(INSTALL) -m 644 $(BUILD)/hearsay.pc "$(DESTDIR)$(LIBDIR)/pkgconfig"
	$(Q)set -e; for pair in $(patsubst %,'%',$(SHARE)); do \
		$(INSTALL) -D -m 644 -t "$(DESTDIR)$(PREFIX)/share/$${pair#*>}" "$${pair%%>*}"; done
	$(Q)$(INSTALL) -D -m 644 -t "$(DESTDIR)$(UNITDIR)" $(UNITS:%=$(BUILD)/systemd/%)

uninstall:
	$(Q)rm -f $(foreach f,$(PROGRAMS:%=$(PREFIX)/bin/%) $(PREFIX)/include/hearsay.h \
		$(addprefix $(LIBDIR)/,libhearsay.a $(SO) pkgconfig/hearsay.pc) \
		$(addprefix $(UNITDIR)/,$(UNITS)) \
		$(foreach p,$(SHARE),$(PREFIX)/share/$(lastword $(subst >, ,$p))/$(notdir \
		$(firstword $(subst >, ,$p)))),"$(DESTDIR)$f")

clean:
	$(Q)rm -rf $(BUILD)

-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)

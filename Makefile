# SPDX-License-Identifier: Apache-2.0
#
# One non-recursive make. `make help` lists the targets.
#   CC=gcc|clang        compiler of the user-space half
#   SAN=address,...     sanitizers; builds into build-san unless B says otherwise
#   B=directory         where everything that is made goes
#   V=1                 print the commands

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules
SHELL := /bin/sh

ifeq ($(origin CC),default)
CC := gcc
endif
CLANG ?= clang
PYTHON ?= /usr/bin/python3
SAN ?=
B ?= $(if $(SAN),build-san,build)
Q := $(if $(V),,@)
say = @printf '  %-8s %s\n' $(1) $(patsubst $(CURDIR)/%,%,$(2))
JOBS := $(shell nproc 2>/dev/null || echo 2)
ARCH := $(shell uname -m)

include mk/flags.mk
include mk/proto.mk
include mk/bpf.mk

# Sources: a new file in a folder is built without a change here.
shared_src := $(sort $(wildcard shared/*.c))
dp_src := $(sort $(filter-out dataplane/main.c,$(wildcard dataplane/*.c)))
ctl_src := $(sort $(filter-out controld/ctl/main.c controld/ctl/manual/%, \
	     $(shell find controld/ctl -name '*.c' 2>/dev/null)))
detector_src := $(sort $(filter-out controld/detector/main.c, \
		  $(wildcard controld/detector/*.c)))
cp_src := $(sort $(filter-out controld/main.c controld/ctl/% \
	    controld/detector/%, \
	    $(shell find controld -name '*.c' 2>/dev/null)))
obj = $(patsubst %.c,$(B)/obj/%.o,$(1))

# A program exists once its main.c does.
programs := $(if $(wildcard dataplane/main.c),$(B)/sentinel-dp) \
	    $(if $(wildcard controld/main.c),$(B)/sentinel-cp) \
	    $(if $(wildcard controld/ctl/main.c),$(B)/sentinelctl) \
	    $(if $(wildcard controld/detector/main.c),$(B)/sentinel-detector)
mains := $(call obj,$(wildcard dataplane/main.c controld/main.c \
	   controld/ctl/main.c controld/ctl/manual/main.c \
	   controld/detector/main.c))
archives := $(addprefix $(B)/,libshared.a libdp.a libcp.a libctl.a \
	      libdetector.a)
objects := $(call obj,$(shared_src) $(dp_src) $(cp_src) $(ctl_src) \
	     $(detector_src)) $(mains)

all: $(archives) $(programs)

$(B)/libshared.a: $(call obj,$(shared_src))
$(B)/libdp.a: $(call obj,$(dp_src))
$(B)/libcp.a: $(call obj,$(cp_src)) $(proto_obj)
$(B)/libctl.a: $(call obj,$(ctl_src))
$(B)/libdetector.a: $(call obj,$(detector_src))

# The list of objects is a prerequisite, so that a deleted source leaves its
# archive too.
$(archives): $(B)/.objects
	$(call say,AR,$@)
	$(Q)rm -f $@
	$(Q)$(AR) rcsD $@ $(filter %.o,$^)

$(B)/sentinel-dp: $(B)/obj/dataplane/main.o $(B)/libdp.a $(B)/libshared.a
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(dp_libs)

$(B)/sentinel-cp: $(B)/obj/controld/main.o $(B)/libcp.a $(B)/libshared.a
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(cp_libs)

$(B)/sentinelctl: $(B)/obj/controld/ctl/main.o $(B)/libctl.a $(B)/libcp.a \
		  $(B)/libshared.a
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(ctl_libs)

$(B)/sentinel-detector: $(B)/obj/controld/detector/main.o $(B)/libdetector.a \
			$(B)/libcp.a $(B)/libshared.a
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(cp_libs)

$(B)/manual: $(B)/obj/controld/ctl/manual/main.o $(B)/libctl.a $(B)/libcp.a \
	     $(B)/libshared.a
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(ctl_libs)

# Generated headers must exist before the first compilation; after it the
# dependency files know who includes them.
$(B)/obj/dataplane/%.o: private INCLUDES += -I$(B)/bpf
$(B)/obj/controld/%.o: private INCLUDES += -isystem $(B)/proto
$(call obj,$(dp_src) dataplane/main.c): | $(skeleton)
$(call obj,$(cp_src) $(ctl_src) $(detector_src) controld/main.c \
	    controld/ctl/main.c controld/ctl/manual/main.c \
	    controld/detector/main.c): | $(proto_headers)

$(B)/obj/%.o: %.c $(B)/.flags
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(INCLUDES) $(CPPFLAGS) $(CFLAGS) $(WARNINGS) -MMD -MP -c -o $@ $<

# What is in the program as it stands, which the compiler does not tell.
$(B)/obj/controld/web/web.o: $(wildcard controld/web/*.html controld/web/*.css \
			       controld/web/*.svg controld/web/*.js)

# A stamp changes only when its text does, so that another compiler or flag
# rebuilds and an unchanged one does not.
stamp = @mkdir -p $(@D); printf '%s\n' '$(1)' | cmp -s - $@ || \
	printf '%s\n' '$(1)' >$@
$(B)/.flags: FORCE
	$(call stamp,$(CC) $(CPPFLAGS) $(CFLAGS) $(WARNINGS) $(LDFLAGS))
$(B)/.objects: FORCE
	$(call stamp,$(objects) $(proto_obj))
FORCE:

include mk/test.mk
include mk/peers.mk
include mk/vm.mk
include mk/bench.mk
include mk/soak.mk
include mk/lint.mk
include mk/man.mk
include mk/install.mk
include mk/packages.mk

-include $(patsubst %.o,%.d,$(objects) $(test_objects))

help:
	@sed -n 's/^## //p' $(MAKEFILE_LIST)

## make all               build the programs and libraries (default)
## make help              this list
## make clean             remove every build directory
clean:
	rm -rf build build-san build-fuzz $(if $(filter /%,$(B)),,$(B))

.PHONY: all help clean FORCE

# SPDX-License-Identifier: Apache-2.0
# bpf/*.bpf.c are compiled one by one, joined into one object (maps declared
# __weak in several files become one) and turned into the skeleton header
# $(B)/bpf/sentinel.skel.h, which only the dataplane includes; those of
# bpf/runtime/ in the same way into $(B)/bpf/runtime.skel.h.

BPFTOOL ?= $(firstword $(wildcard /usr/sbin/bpftool /usr/local/sbin/bpftool \
	     /usr/bin/bpftool) bpftool)
VMLINUX_BTF ?= /sys/kernel/btf/vmlinux
bpf_target := $(patsubst aarch64,arm64,$(patsubst x86_64,x86,$(ARCH)))

bpf_src := $(sort $(wildcard bpf/*.bpf.c))
runtime_src := $(sort $(wildcard bpf/runtime/*.bpf.c))
bpf_obj := $(patsubst bpf/%.c,$(B)/bpf/%.o,$(bpf_src))
runtime_obj := $(patsubst bpf/%.c,$(B)/bpf/%.o,$(runtime_src))
skeleton := $(if $(bpf_src),$(B)/bpf/sentinel.skel.h) \
	    $(if $(runtime_src),$(B)/bpf/runtime.skel.h)
# Headers and keys are read by words all over; no aliasing games.
BPF_CFLAGS := -target bpf -mcpu=v3 -O2 -g -std=gnu11 -fno-strict-aliasing \
	      -I. -I$(B)/bpf \
	      -D__TARGET_ARCH_$(bpf_target) \
	      -ffile-prefix-map=$(CURDIR)=. -Wall -Wextra -Wshadow \
	      -Wno-unused-parameter -Werror

# -target bpf leaves out the multiarch folder that asm/types.h lives in.
bpf_multiarch = -idirafter /usr/include/$(shell gcc -print-multiarch)

# The types of the running kernel; programs relocate (CO-RE) to others.
$(B)/bpf/vmlinux.h:
	@mkdir -p $(@D)
	@test -r $(VMLINUX_BTF) || { \
		echo "error: $(VMLINUX_BTF) is missing: the BPF programs are" \
		     "built from the kernel's BTF (CONFIG_DEBUG_INFO_BTF=y);" \
		     "set VMLINUX_BTF= to a BTF file of another kernel" >&2; \
		exit 1; }
	$(call say,BTF,$@)
	$(Q)$(BPFTOOL) btf dump file $(VMLINUX_BTF) format c >$@

$(B)/bpf/%.bpf.o: bpf/%.bpf.c $(B)/bpf/.flags | $(B)/bpf/vmlinux.h
	@mkdir -p $(@D)
	$(call say,BPF,$<)
	$(Q)$(CLANG) $(BPF_CFLAGS) $(bpf_multiarch) -MMD -MP -c -o $@ $<

$(B)/bpf/sentinel.o: $(bpf_obj) $(B)/bpf/.objects
$(B)/bpf/runtime.o: $(runtime_obj) $(B)/bpf/.objects
$(B)/bpf/sentinel.o $(B)/bpf/runtime.o:
	$(call say,BPFOBJ,$@)
	$(Q)$(BPFTOOL) gen object $@ $(filter %.o,$^)

# Generated code is not held to our warnings.
$(B)/bpf/%.skel.h: $(B)/bpf/%.o mk/bpf.mk
	$(call say,SKEL,$@)
	$(Q)echo '#pragma GCC system_header' >$@
	$(Q)$(BPFTOOL) gen skeleton $< name $*_bpf >>$@

$(B)/bpf/.flags: FORCE
	$(call stamp,$(CLANG) $(BPF_CFLAGS))
$(B)/bpf/.objects: FORCE
	$(call stamp,$(bpf_obj) $(runtime_obj))

## make bpf               only the BPF programs and their skeleton
bpf: $(skeleton)

-include $(bpf_obj:.o=.d) $(runtime_obj:.o=.d)
.PHONY: bpf

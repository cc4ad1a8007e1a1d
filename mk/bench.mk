# SPDX-License-Identifier: Apache-2.0
# Programs of test/bench; its .bpf.c are compiled like those of bpf/ and loaded
# by the tools only.

bench_dir := $(B)/test/bench
bench_tools := kernel connect wire flip dns runtime
# Those that are made of sentinel-cp's own parts.
bench_cp_tools := dns-upstream rules runtime-message
bench_programs := $(patsubst %,$(bench_dir)/bench-%,$(bench_tools))
bench_helpers := $(call obj,test/bench/prefixes.c)
bench_cp_programs := $(patsubst %,$(bench_dir)/bench-%,$(bench_cp_tools))
bench_objects := $(call obj,$(patsubst %,test/bench/%.c,$(bench_tools) \
		   $(subst -,_,$(bench_cp_tools)))) $(bench_helpers)
bench_bpf := $(bench_dir)/bench.bpf.o $(bench_dir)/ring.bpf.o

$(bench_programs): $(bench_dir)/bench-%: $(B)/obj/test/bench/%.o \
		   $(bench_helpers) $(B)/libshared.a
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(call pkg,libbpf libelf zlib,-lbpf -lelf -lz) \
		-pthread

$(bench_dir)/bench-dns-upstream: $(B)/obj/test/bench/dns_upstream.o
$(bench_dir)/bench-runtime-message: $(B)/obj/test/bench/runtime_message.o
$(bench_dir)/bench-rules: $(B)/obj/test/bench/rules.o
$(B)/obj/test/bench/runtime_message.o $(B)/obj/test/bench/rules.o: \
	| $(proto_headers)
$(bench_cp_programs): $(B)/libcp.a $(B)/libshared.a
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^) $(cp_libs)

$(bench_bpf): $(bench_dir)/%.bpf.o: test/bench/%.bpf.c $(B)/bpf/.flags \
				    | $(B)/bpf/vmlinux.h
	@mkdir -p $(@D)
	$(call say,BPF,$<)
	$(Q)$(CLANG) $(BPF_CFLAGS) $(bpf_multiarch) -MMD -MP -c -o $@ $<

install-bench-packages:
	$(Q)sh packaging/install-packages build test bench

## make bench             costs beside nftables and a trie, into $(B)/bench
##                        (SN_BENCH_QUICK=1: short; SN_BENCH_ONLY=kernel,...)
bench: install-bench-packages
	$(Q)$(MAKE) --no-print-directory -j$(JOBS) bench-builds
	$(Q)SENTINEL_BUILD=$(abspath $(B)) $(PYTHON) -B test/bench/bench.py

bench-builds: all $(bench_programs) $(bench_cp_programs) $(bench_bpf)

-include $(bench_objects:.o=.d) $(bench_bpf:.o=.d)
.PHONY: bench bench-builds install-bench-packages

# SPDX-License-Identifier: Apache-2.0
# Programs of test/bench; bench.bpf.c is compiled like those of bpf/ and loaded
# by the tools only.

bench_dir := $(B)/test/bench
bench_tools := kernel connect wire flip dns
bench_programs := $(patsubst %,$(bench_dir)/bench-%,$(bench_tools))
bench_helpers := $(call obj,test/bench/prefixes.c)
bench_objects := $(call obj,$(patsubst %,test/bench/%.c,$(bench_tools)) \
		   test/bench/dns_upstream.c) $(bench_helpers)

$(bench_programs): $(bench_dir)/bench-%: $(B)/obj/test/bench/%.o \
		   $(bench_helpers) $(B)/libshared.a
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(call pkg,libbpf libelf zlib,-lbpf -lelf -lz) \
		-pthread

$(bench_dir)/bench-dns-upstream: $(B)/obj/test/bench/dns_upstream.o \
				 $(B)/libcp.a $(B)/libshared.a
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(cp_libs)

$(bench_dir)/bench.bpf.o: test/bench/bench.bpf.c $(B)/bpf/.flags \
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

bench-builds: all $(bench_programs) $(bench_dir)/bench-dns-upstream \
	      $(bench_dir)/bench.bpf.o

-include $(bench_objects:.o=.d) $(bench_dir)/bench.bpf.d
.PHONY: bench bench-builds install-bench-packages

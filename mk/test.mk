# SPDX-License-Identifier: Apache-2.0
# One binary per test/unit/test_*.c, test/bpf/test_*.c and
# test/fuzz/fuzz_*.c; the other .c files of a folder are helpers of all of its
# tests. A test is linked with the libraries whose headers it (or a helper)
# names, so that a pure module's test needs neither libbpf nor gRPC.

FUZZ_SECONDS ?= 60
check_fuzz_seconds := $(if $(filter file,$(origin FUZZ_SECONDS)),10,$(FUZZ_SECONDS))
FUZZ_B ?= build-fuzz
FUZZ_SAN := fuzzer-no-link,address,undefined
CHECK_RUN = $(PYTHON) test/run --build $(B) --san-build $(FUZZ_B)

tests_in = $(sort $(wildcard test/$(1)/$(if $(filter fuzz,$(1)),fuzz_,test_)*.c))
helpers_in = $(sort $(filter-out $(call tests_in,$(1)),$(wildcard test/$(1)/*.c)))
test_src := $(foreach f,unit bpf fuzz,$(call tests_in,$(f)))
test_help := $(foreach f,unit bpf fuzz,$(call helpers_in,$(f)))
test_objects := $(call obj,$(test_src) $(test_help))
test_bins = $(patsubst %.c,$(B)/%,$(call tests_in,$(1)))

including = $(if $(test_src),$(shell grep -lE '^.include "($(1))' \
	      $(test_src) $(test_help)))
include_dp := $(call including,dataplane/|sentinel\.skel)
include_ctl := $(call including,controld/ctl/)
include_detector := $(call including,controld/detector/)
include_cp := $(call including,controld/|sentinel/v1/)
ldns_headers := $(shell grep -l '^.include <ldns/' $(wildcard test/*/*.h))
include_ldns := $(if $(test_src),$(shell grep -l '^.include <ldns/' \
	$(test_src)) $(foreach h,$(ldns_headers),$(shell grep -lF '"$(h)"' \
	$(test_src))))

# $(call deps,source,helpers of its folder)
needs = $(if $(filter $(1) $(2),$(3)),$(4))
deps = $(call obj,$(1) $(2)) \
       $(call needs,$(1),$(2),$(include_ctl),$(B)/libctl.a) \
       $(call needs,$(1),$(2),$(include_detector),$(B)/libdetector.a) \
       $(call needs,$(1),$(2),$(include_cp),$(B)/libcp.a) \
       $(call needs,$(1),$(2),$(include_dp),$(B)/libdp.a) $(B)/libshared.a
libs = $(call needs,$(1),$(2),$(include_cp),$(cp_libs)) \
       $(call needs,$(1),$(2),$(include_dp),$(dp_libs)) \
       $(call needs,$(1),$(2),$(include_ldns),$(call pkg,ldns,-lldns)) \
       $(check_libs)

define test_program
$(B)/$(1:.c=): $(call deps,$(1),$(2))
$(B)/$(1:.c=): private TEST_LIBS := $(call libs,$(1),$(2))
$(B)/obj/$(1:.c=.o): \
	| $(call needs,$(1),$(2),$(include_cp),$(proto_headers)) \
	  $(call needs,$(1),$(2),$(include_dp),$(skeleton))
endef
$(foreach f,unit bpf fuzz,$(foreach t,$(call tests_in,$(f)),\
	$(eval $(call test_program,$(t),$(call helpers_in,$(f))))))
$(call obj,$(test_help)): | $(if $(include_cp),$(proto_headers)) \
	$(if $(include_dp),$(skeleton))

$(B)/obj/test/%.o: private INCLUDES += -I$(B)/proto -I$(B)/bpf

# The race test also runs the programs without the checks that it is about.
unchecked := $(if $(wildcard test/bpf/test_race.c), \
	       $(B)/bpf/no_recheck.o $(B)/bpf/no_seal.o \
	       $(B)/bpf/no_claim.o)
$(B)/bpf/no_recheck.o: private BPF_CFLAGS += -DSN_TEST_NO_RECHECK
$(B)/bpf/no_seal.o: private BPF_CFLAGS += -DSN_TEST_NO_SEAL
$(B)/bpf/no_claim.o: private BPF_CFLAGS += -DSN_TEST_NO_CLAIM
$(unchecked): bpf/tc.bpf.c $(B)/bpf/.flags | $(B)/bpf/vmlinux.h
	$(call say,BPF,$@)
	$(Q)$(CLANG) $(BPF_CFLAGS) $(bpf_multiarch) -MMD -MP -c -o $@ $<
$(B)/test/bpf/test_race: | $(unchecked)
-include $(unchecked:.o=.d)

# bpf/lib as a user-space program: a stand-in for what libbpf gives BPF.
$(B)/obj/test/fuzz/fuzz_packet.o: private CPPFLAGS += \
	-iquote test/fuzz/bpf_env -Itest/fuzz/bpf_env

# Fuzzers carry libFuzzer's main, tests bring their own.
$(foreach f,unit bpf,$(call test_bins,$(f))): private TEST_LDFLAGS :=
$(call test_bins,fuzz): private TEST_LDFLAGS := -fsanitize=fuzzer
$(foreach f,unit bpf fuzz,$(call test_bins,$(f))):
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS) $(TEST_LDFLAGS) -o $@ $(filter %.o,$^) \
		-Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(TEST_LIBS)

## make tests             build the unit and BPF tests without running them
tests: unit-tests $(call test_bins,bpf)
unit-tests: $(call test_bins,unit)
fuzz-programs: $(call test_bins,fuzz)

# Unit tests and fuzzers under the sanitizers share one build directory.
sanitized:
	$(Q)$(MAKE) --no-print-directory CC=$(CLANG) B=$(FUZZ_B) \
		SAN=$(FUZZ_SAN) unit-tests fuzz-programs

## make unit              build and run the unit tests only
unit: unit-tests
	$(Q)$(CHECK_RUN) unit

## make fuzz              every fuzzer for FUZZ_SECONDS (60)
fuzz: sanitized
	$(Q)$(CHECK_RUN) --fuzz-seconds $(FUZZ_SECONDS) fuzz

## make check             packages, lint, build, every test, short fuzz runs
check: install-check-packages
	$(Q)$(MAKE) --no-print-directory -j$(JOBS) check-builds || \
		{ echo '0 passed, 1 failed'; exit 1; }
	$(Q)$(CHECK_RUN) --fuzz-seconds $(check_fuzz_seconds)

# Separate from check because variables that ask installed packages are
# expanded before the packages are there.
check-builds: lint all tests sanitized

.PHONY: tests unit-tests fuzz-programs sanitized unit fuzz check check-builds

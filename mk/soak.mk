# SPDX-License-Identifier: Apache-2.0
# The same tests as in `make check` with the counts that need time: the verdict
# against the reference matcher, the races, the whole bypass table, the proofs
# of test/e2e/proof, kills of detectors and beside them, and those that measure.
#   SN_TEST_SEED=number   another course of random events
# About two hours on two quiet CPUs: 15 minutes of verdicts (20 million packets),
# 12 of races, 33 of proofs, 65 of detectors, one of which is away for an hour.
# SOAK_RUNS=25 compares 100 million packets, which takes 75 minutes by itself;
# libcheck has no number for a test of more than 35.

SOAK_RUNS ?= 5
SOAK_SETS ?= 100000
SOAK_RACE_S ?= 120
SOAK_ARGS ?= test/e2e/bypass test/e2e/proof test/e2e/dns test/e2e/detector \
	test/e2e/proof/soak_cost.py

## make soak              long proofs: verdicts, races, floods, kills, scale
soak: all tests
	$(Q)for run in $$(seq $(SOAK_RUNS)); do \
		env $${SN_TEST_SEED:+SN_TEST_SEED=$$((SN_TEST_SEED + run))} \
		CK_TIMEOUT_MULTIPLIER=10 SN_TEST_SETS=$(SOAK_SETS) \
		SENTINEL_BUILD=$(abspath $(B)) $(B)/test/bpf/test_verdict || \
			exit 1; done
	$(Q)SN_TEST_RACE_S=$(SOAK_RACE_S) SENTINEL_BUILD=$(abspath $(B)) \
		$(B)/test/bpf/test_race
	$(Q)SN_SOAK=1 SENTINEL_BUILD=$(abspath $(B)) PYTHONDONTWRITEBYTECODE=1 \
		$(PYTHON) -m pytest -p no:cacheprovider --tb=short -s -q \
		--durations=20 $(SOAK_ARGS)

.PHONY: soak

# SPDX-License-Identifier: Apache-2.0
# The proofs of test/e2e/proof in their long form: the same tests as in `make
# check` with the counts that need time, and those that measure.
#   SN_TEST_SEED=number   another course of random events

SOAK_ARGS ?= test/e2e/proof test/e2e/proof/soak_cost.py

## make soak              long proofs: exchanges, floods, kills, churn, scale
soak: all
	$(Q)SN_SOAK=1 SENTINEL_BUILD=$(abspath $(B)) PYTHONDONTWRITEBYTECODE=1 \
		$(PYTHON) -m pytest -p no:cacheprovider --tb=short -s -v \
		--durations=20 $(SOAK_ARGS)

.PHONY: soak

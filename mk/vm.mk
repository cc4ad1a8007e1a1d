# SPDX-License-Identifier: Apache-2.0
# A part of the tests under Debian's kernels in emulated machines: what loads
# here may be refused by an older verifier. Kernels are kept in $(B)/vm.

## make check-vm          chosen tests under Linux 6.1 and 6.12 in emulated machines
check-vm: install-check-packages
	$(Q)sh packaging/install-packages vm || { echo '0 passed, 1 failed'; exit 1; }
	$(Q)$(MAKE) --no-print-directory -j$(JOBS) all tests || \
		{ echo '0 passed, 1 failed'; exit 1; }
	$(Q)$(CHECK_RUN) vm

.PHONY: check-vm

# SPDX-License-Identifier: Apache-2.0

## make install-packages  install what build and tests need (Debian, root)
install-packages:
	$(Q)sh packaging/install-packages build test

install-check-packages install-build-packages:
	$(Q)sh packaging/install-packages build \
		$(if $(filter install-check%,$@),test)

## make demo              build and show the system at work
demo: install-build-packages
	$(Q)$(MAKE) --no-print-directory -j$(JOBS) all
	$(Q)SENTINEL_BUILD=$(abspath $(B)) sh packaging/demo

.PHONY: install-packages install-check-packages install-build-packages demo

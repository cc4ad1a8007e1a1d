# SPDX-License-Identifier: Apache-2.0
# Tests with peers that npm has, or that are large packages: they are not in `make
# check`, whose packages have to stay few. Versions of what npm has stand in
# test/e2e/peers/package.json.

NPM ?= npm
peers := $(B)/peers

$(peers)/.installed: test/e2e/peers/package.json
	@mkdir -p $(peers)
	$(call say,NPM,$(peers))
	$(Q)cp $< $(peers)/package.json
	$(Q)cd $(peers) && $(NPM) install --no-audit --no-fund --no-package-lock \
		--ignore-scripts --loglevel=error
	@touch $@

# npm may be of another origin than Debian's, with which its package conflicts.
install-peers-packages: install-check-packages
	$(Q)command -v $(NPM) >/dev/null || sh packaging/install-packages node
	$(Q)sh packaging/install-packages peers

## make check-peers       with @grpc/grpc-js, buf curl, Prometheus, Chromium, zsh, fish, xterm
check-peers: install-peers-packages
	$(Q)$(MAKE) --no-print-directory -j$(JOBS) all $(peers)/.installed || \
		{ echo '0 passed, 1 failed'; exit 1; }
	$(Q)$(CHECK_RUN) peers

.PHONY: check-peers install-peers-packages

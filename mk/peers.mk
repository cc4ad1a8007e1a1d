# SPDX-License-Identifier: Apache-2.0
# Tests with peers that npm has: they are not in `make check`, whose packages
# have to stay few. Versions stand in test/e2e/peers/package.json.

NPM ?= npm
peers := $(B)/peers

$(peers)/.installed: test/e2e/peers/package.json
	@mkdir -p $(peers)
	$(call say,NPM,$(peers))
	$(Q)for peer in $(NPM) promtool zsh fish; do \
		command -v $$peer >/dev/null || \
			exec sh packaging/install-packages peers; \
	done
	$(Q)cp $< $(peers)/package.json
	$(Q)cd $(peers) && $(NPM) install --no-audit --no-fund --no-package-lock \
		--ignore-scripts --loglevel=error
	@touch $@

## make check-peers       the control plane's stream with @grpc/grpc-js, buf curl, promtool, zsh, fish
check-peers: install-check-packages
	$(Q)$(MAKE) --no-print-directory -j$(JOBS) all $(peers)/.installed || \
		{ echo '0 passed, 1 failed'; exit 1; }
	$(Q)$(CHECK_RUN) peers

.PHONY: check-peers

# SPDX-License-Identifier: Apache-2.0
# Manual pages, from templates and the tables of the programs, and completions.

man_pages := $(patsubst packaging/man/%.in,$(B)/man/%,$(wildcard packaging/man/*.in))
completions := $(addprefix $(B)/completions/,bash zsh fish)

$(B)/man/%: packaging/man/%.in $(B)/manual $(programs)
	@mkdir -p $(@D)
	$(call say,MAN,$@)
	$(Q)case $* in sentinel-*.8) $(B)/$(basename $*) --help ;; esac | \
		$(B)/manual $< >$@

$(B)/completions/%: $(B)/sentinelctl
	@mkdir -p $(@D)
	$(Q)$(B)/sentinelctl completion $* >$@

## make man               manual pages and completions
man: $(man_pages) $(completions)
.PHONY: man

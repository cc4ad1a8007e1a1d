# SPDX-License-Identifier: Apache-2.0

CLANG_FORMAT ?= clang-format

## make lint              layout, sizes, includes, symbols, licence lines
lint: $(objects)
	$(Q)$(PYTHON) mk/lint.py --build $(B)

## make format            rewrite every C file with clang-format
format:
	$(Q)find shared dataplane controld bpf test -name '*.[ch]' \
		-exec $(CLANG_FORMAT) -i {} +

.PHONY: lint format

# SPDX-License-Identifier: Apache-2.0
# Installs what was built. DESTDIR is for packages; without it the accounts, the
# runtime directory and the units are made known to systemd as well.

PREFIX ?= /usr
SYSCONFDIR ?= /etc
UNITDIR ?= /lib/systemd/system

## make install           install programs, units, samples (DESTDIR, PREFIX)
.PHONY: install
install: all man
	install -D -m 0755 -t $(DESTDIR)$(PREFIX)/sbin $(B)/sentinel-dp $(B)/sentinel-cp \
		packaging/sentinel-netdev
	install -D -m 0755 -t $(DESTDIR)$(PREFIX)/bin $(B)/sentinelctl $(B)/sentinel-detector
	install -D -m 0644 -t $(DESTDIR)$(UNITDIR) packaging/systemd/sentinel-dp.service \
		packaging/systemd/sentinel-cp.service
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/share/man/man1 $(B)/man/sentinelctl.1
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/share/man/man5 $(filter %.5,$(man_pages))
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/share/man/man8 $(filter %.8,$(man_pages))
	install -D -m 0644 $(B)/completions/bash \
		$(DESTDIR)$(PREFIX)/share/bash-completion/completions/sentinelctl
	install -D -m 0644 $(B)/completions/zsh \
		$(DESTDIR)$(PREFIX)/share/zsh/vendor-completions/_sentinelctl
	install -D -m 0644 $(B)/completions/fish \
		$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/sentinelctl.fish
	install -D -m 0644 packaging/systemd/sentinel.sysusers.conf \
		$(DESTDIR)$(PREFIX)/lib/sysusers.d/sentinel.conf
	install -D -m 0644 packaging/systemd/sentinel.tmpfiles.conf \
		$(DESTDIR)$(PREFIX)/lib/tmpfiles.d/sentinel.conf
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/share/doc/sentinel/sentinel-dp.service.d \
		packaging/systemd/runtime.conf
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/share/doc/sentinel/policies etc/policies/*.yaml
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/share/sentinel/dashboards \
		$(wildcard packaging/dashboards/*)
	test -e $(DESTDIR)$(SYSCONFDIR)/sentinel/sentinel-cp.yaml || \
		install -D -m 0644 -t $(DESTDIR)$(SYSCONFDIR)/sentinel etc/sentinel-cp.yaml
	test -e $(DESTDIR)$(SYSCONFDIR)/sentinel/doh-endpoints.list || \
		install -D -m 0644 -t $(DESTDIR)$(SYSCONFDIR)/sentinel etc/doh-endpoints.list
	test -e $(DESTDIR)$(SYSCONFDIR)/sentinel/rules.yaml || \
		install -D -m 0644 -t $(DESTDIR)$(SYSCONFDIR)/sentinel etc/rules.yaml
ifeq ($(DESTDIR),)
	if [ -d /run/systemd/system ]; then systemd-sysusers sentinel.conf && \
		systemd-tmpfiles --create sentinel.conf && systemctl daemon-reload; fi
endif

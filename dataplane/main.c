/* SPDX-License-Identifier: Apache-2.0 */

/* sentinel-dp: loads, pins, attaches, checks and applies. The order of start is
 * its security: locks and sockets as root, then three capabilities, then the
 * kernel's objects, then a system call filter, and only then a peer. */

#include <stdio.h>
#include <string.h>

#include "dataplane/attach.h"
#include "dataplane/dns.h"
#include "dataplane/handlers.h"
#include "dataplane/object.h"
#include "dataplane/opener.h"
#include "dataplane/options.h"
#include "dataplane/pins.h"
#include "dataplane/privilege.h"
#include "dataplane/reap.h"
#include "dataplane/server.h"
#include "dataplane/slots.h"
#include "dataplane/table.h"
#include "shared/log.h"
#include "shared/util.h"
#include "shared/version.h"

static struct {
	struct dp_options options;
	struct dp_pins pins;
	struct dp_object object;
	struct dp_slots slots;
	struct dp_tracefs tracefs;
	struct dp_attach attach;
	struct dp_dns dns;
	struct dp_reap reap;
	struct dp_handlers handlers;
	struct dp_server server;
} dp = { .pins = DP_PINS_INIT };

static int fail(struct sn_diag *diag, const char *what, int r)
{
	sn_diag_set(diag, NULL, "%s: %s", what, strerror(-r));
	return r;
}

/* Takes over what an earlier process left, and closes what it left half. */
static int recover(struct sn_diag *diag)
{
	int r;

	r = dp_slots_init(&dp.slots, dp.object.n_slots,
			  dp.object.memory[SN_TABLE_WORDS],
			  dp.object.memory[SN_TABLE_POLICIES],
			  dp.object.memory[SN_TABLE_USAGE],
			  dp.object.memory[SN_TABLE_TARGETS]);
	if (r < 0)
		return fail(diag, "slots", r);
	r = dp_attach_init(&dp.attach, &dp.object, &dp.slots, &dp.options,
			   &dp.tracefs, diag);
	if (r < 0)
		return r;
	r = dp_attach_recover(&dp.attach);
	if (r < 0)
		return fail(diag, "cannot take over the attachments", r);
	r = dp_object_commit(&dp.object);
	if (r < 0)
		return fail(diag, "cannot pin the programs", r);
	r = dp_dns_init(&dp.dns, &dp.attach, &dp.options, diag);
	if (r < 0)
		return r;
	r = dp_table_find_staged(&dp.object, &dp.slots);
	if (r < 0)
		return fail(diag, "cannot read the rules", r);
	r = dp_reap_init(&dp.reap, &dp.object, &dp.slots);
	return r < 0 ? fail(diag, "sweep", r) : 0;
}

static int confine(struct sn_diag *diag)
{
	struct dp_privilege_needs needs = {
		.netlink = dp.attach.netlink,
		.sums = dp_table_has_flush(&dp.object, SN_TABLE_RT_SUMS),
		.events = dp.object.runtime && dp.tracefs.has &&
			  !dp.tracefs.error && dp.tracefs.opener < 0,
	};

	return dp_privilege_confine(needs, diag);
}

static int start(struct sn_diag *diag)
{
	int r;

	if (dp.options.runtime) {
		dp_tracefs_read(&dp.tracefs, dp.options.tracefs);
		dp_opener_start(&dp.tracefs);
	}
	r = dp_pins_open(&dp.pins, dp.options.bpffs, diag);
	if (r >= 0)
		r = dp_server_open(&dp.server, dp.options.run_dir,
				   dp.options.peer_user, diag);
	if (r >= 0)
		r = dp_privilege_drop(diag);
	if (r >= 0)
		dp_opener_probe(&dp.tracefs);
	if (dp.tracefs.error)
		sn_log(SN_LOG_WARNING,
		       "tracepoints-refused error='%s': system calls are not "
		       "seen (kernel.perf_event_paranoid above 2 takes "
		       "CAP_SYS_ADMIN at the start)",
		       strerror(dp.tracefs.error));
	if (r >= 0)
		r = dp_object_open(&dp.object, &dp.pins, &dp.options, diag);
	if (r >= 0)
		r = recover(diag);
	if (r < 0)
		return r;
	dp.handlers = (struct dp_handlers){
		.object = &dp.object,
		.slots = &dp.slots,
		.attach = &dp.attach,
		.dns = &dp.dns,
		.reap = &dp.reap,
		.state = SN_IPC_STATE_NEW,
	};
	r = dp_server_start(&dp.server, &dp.handlers);
	if (r < 0)
		return fail(diag, "listen", r);
	return confine(diag);
}

int main(int argc, char **argv)
{
	struct sn_diag diag = { 0 };
	char text[SN_DIAG_TEXT_BYTES];
	int r;

	if (dp_options_parse(&dp.options, argc, argv, &diag) < 0) {
		(void)fprintf(stderr, "sentinel-dp: %s; try --help\n",
			      diag.text);
		return 2;
	}
	if (dp.options.show_help) {
		dp_options_print_help();
		return 0;
	}
	if (dp.options.show_version) {
		(void)puts("sentinel-dp " SN_VERSION);
		return 0;
	}
	sn_log_set_level(dp.options.log_level);
	r = start(&diag);
	if (r < 0) {
		sn_log(SN_LOG_ERROR,
		       "start-failed error='%s': what is attached goes on",
		       sn_diag_format(&diag, text, sizeof(text)));
		return 1;
	}
	sn_log(SN_LOG_INFO,
	       "started version=%s slots=%u attached=%u dirty=%u tc=%s dns-tc=%u",
	       SN_VERSION, dp.slots.n, dp.slots.n_attached, dp.slots.n_dirty,
	       dp.attach.tcx ? "tcx" : "clsact", dp.dns.record->has_tc);
	r = dp_server_run(&dp.server);
	sn_log(r < 0 ? SN_LOG_ERROR : SN_LOG_INFO,
	       "stopped attached=%u: enforcement goes on", dp.slots.n_attached);
	dp_server_done(&dp.server);
	return r < 0 ? 1 : 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What each request of shared/ipc.def does. */

#include <sys/types.h>

#include "dataplane/attach.h"
#include "dataplane/dns.h"
#include "dataplane/object.h"
#include "dataplane/reap.h"
#include "dataplane/slots.h"
#include "shared/ipc.h"

struct dp_handlers {
	struct dp_object *object;
	struct dp_slots *slots;
	struct dp_attach *attach;
	struct dp_dns *dns;
	struct dp_reap *reap;
	pid_t peer; /* 0: not known in this pid namespace */
	enum sn_ipc_state state;
	uint64_t n_records_refused;
	uint64_t n_peers_refused;
};

/* One answer. fds are the object's own and stay open. */
struct dp_handlers_answer {
	size_t size;
	int fds[SN_IPC_FDS_MAX];
	size_t n_fds;
	_Alignas(8) uint8_t record[SN_IPC_RECORD_BYTES];
};

/* record has passed sn_ipc_check_request() and is aligned to 8 bytes. Takes no
 * ownership of fds. */
void dp_handlers_answer(struct dp_handlers *handlers, const void *record,
			const int *fds, size_t n_fds,
			struct dp_handlers_answer *answer);

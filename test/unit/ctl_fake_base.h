/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What all answers of ctl_fake.h need. */

#include <grpc/status.h>
#include <jansson.h>
#include <uv.h>

#include "controld/ctl/commands.h"
#include "controld/rpc/call.h"
#include "controld/rpc/json.h"
#include "controld/rpc/server.h"
#include "sentinel/v1/daemon.pb-c.h"
#include "test/unit/t.h"

#define FAKE_ID1 "aaaaaa11000000000000000000000001"
#define FAKE_ID2 "aaaaaa22000000000000000000000002"
#define FAKE_ID3 "bbbbbb33000000000000000000000003"

struct fake {
	char directory[32];
	char path[64];
	uv_loop_t loop;
	uv_thread_t thread;
	uv_async_t stop;
	uv_sem_t ready;
	struct cp_rpc_server *server;
	struct sn_diag diag;
	int new_result;

	bool refuse_stream;
	bool refuse_detach;
	bool is_disconnected;
	bool has_no_domains;
	char *request; /* JSON of the last one but List */
	bool attach_was_audit;
	unsigned int n_events;
	unsigned int n_detached;
	unsigned int n_parts;
	unsigned int n_stream_rules;
	unsigned int n_stream_domains;
	size_t largest_part;
};

static char fake_texts[][40] = {
	FAKE_ID1,
	FAKE_ID2,
	FAKE_ID3,
	"veth1",
	"/sys/fs/cgroup/job\033[31m",
	"veth3",
	"no-rule",
	"a note",
	"next",
	"198.18.0.1",
	"",
	"a.example",
	"dns-denied",
	"rate",
	"local",
	"198.18.0.0/24",
	"allowed",
};

static inline void fake_keep(struct fake *fake, const ProtobufCMessage *message)
{
	json_t *json = NULL;

	free(fake->request);
	fake->request = NULL;
	if (cp_rpc_json_from_message(message, CP_RPC_JSON_STYLE_PLAIN, &json) ==
	    0)
		fake->request = json_dumps(json, JSON_COMPACT);
	json_decref(json);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/config/control.h"

#include <string.h>

#include "controld/config/peer.h"
#include "controld/rpc/url.h"

#define IN(name) .offset = offsetof(struct cp_config_control, name)

enum {
	URLS_MAX = 8,
	METADATA_KEY_BYTES = 63,
	METADATA_BYTES = 320,
};

#define refuse(diag, ...) \
	(sn_diag_set(diag, __VA_ARGS__), CP_CONFIG_SCHEMA_E_REFUSED)

static int check_urls(const void *field, struct sn_diag *diag)
{
	const struct cp_config_schema_strings *texts = field;
	struct cp_rpc_url url;

	for (size_t i = 0; i < texts->n_items; i++) {
		if (cp_rpc_url_parse(texts->items[i], &url, diag) == 0)
			continue;
		diag->line = texts->lines[i];
		return CP_CONFIG_SCHEMA_E_REFUSED;
	}
	return 0;
}

/* The rules of Attach's metadata, so that both look alike up there. */
static int check_metadata(const void *field, struct sn_diag *diag)
{
	static const char chars[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "abcdefghijklmnopqrstuvwxyz"
				    "0123456789._/-";
	const struct cp_config_schema_strings *texts = field;

	for (size_t i = 0; i < texts->n_items; i++) {
		size_t n = strspn(texts->items[i], chars);

		if (n > 0 && n <= METADATA_KEY_BYTES &&
		    texts->items[i][n] == '=' &&
		    strlen(texts->items[i]) <= METADATA_BYTES)
			continue;
		diag->line = texts->lines[i];
		return refuse(diag, NULL,
			      "must be key=value, the key of 1 to %d bytes of "
			      "A-Z a-z 0-9 . _ / -",
			      METADATA_KEY_BYTES);
	}
	return 0;
}

int cp_config_control_check(const void *field, struct sn_diag *diag)
{
	const struct cp_config_control *control = field;
	int r = cp_config_tls_check(&control->tls, control->insecure, "urls",
				    control->urls.items, control->urls.n_items,
				    diag);

	if (r != 0)
		return r;
	if (control->reconnect_min_ms > control->reconnect_max_ms)
		return refuse(diag, "reconnect_min",
			      "is longer than reconnect_max");
	return 0;
}

/* In the order of enum cp_control_unanswered. */
static const char *const unanswered_names[] = {
	"closed",
	"local",
	"rollback",
	NULL,
};

#define DURATION(name, ...) \
	CP_CONFIG_PEER_DURATION(cp_config_control, name, __VA_ARGS__)

const struct cp_config_schema_item cp_config_control_items[] = {
	{
		.key = "urls",
		.type = CP_CONFIG_SCHEMA_TYPE_STRINGS,
		IN(urls),
		.max = URLS_MAX,
		.check = check_urls,
		.description = "Control planes, tried in this order; an empty "
			       "list: there is none.",
	},
	{
		.key = "insecure",
		.type = CP_CONFIG_SCHEMA_TYPE_BOOL,
		IN(insecure),
		.fallback = "false",
		.description = "Permits http:// URLs: whoever is on the way "
			       "reads and sets the policies.",
	},
	CP_CONFIG_PEER_SECRETS(cp_config_control),
	{
		.key = "metadata",
		.type = CP_CONFIG_SCHEMA_TYPE_STRINGS,
		IN(metadata),
		.max = CP_CONFIG_CONTROL_METADATA_MAX,
		.check = check_metadata,
		.description = "What the control plane is told about this "
			       "host, each key=value.",
	},
	{
		.key = "max_message",
		.type = CP_CONFIG_SCHEMA_TYPE_SIZE,
		IN(max_message_bytes),
		.min = 64 << 10,
		.max = 64 << 20,
		.fallback = "16MiB",
		.description = "Largest command that is read.",
	},
	{
		.key = "max_events",
		.type = CP_CONFIG_SCHEMA_TYPE_UINT,
		IN(max_events),
		.min = 16,
		.max = 1000000,
		.fallback = "65536",
		.description = "Events that may wait for the control plane; "
			       "those missed least are dropped first.",
	},
	DURATION(heartbeat, 100, 3600000, "30s",
		 "How often counters and health are sent."),
	CP_CONFIG_PEER_KEEPALIVE(cp_config_control),
	DURATION(sync_timeout, 100, 600000, "20s",
		 "How long the control plane may take from the attempt to "
		 "connect until its SyncAck."),
	CP_CONFIG_PEER_RECONNECT(cp_config_control),
	DURATION(subscribe_timeout, 10, 600000, "5s",
		 "How long a new attachment waits, closed, for the control "
		 "plane's word."),
	{
		.key = "unanswered",
		.type = CP_CONFIG_SCHEMA_TYPE_ENUM,
		IN(unanswered),
		.names = unanswered_names,
		.fallback = "closed",
		.description = "What becomes of one that got no answer: it "
			       "stays closed, takes its local policy, or is "
			       "detached.",
	},
	{
		.key = "local_rules",
		.type = CP_CONFIG_SCHEMA_TYPE_BOOL,
		IN(local_rules),
		.fallback = "true",
		.description = "Rules of the host may stand beside those of "
			       "the control plane.",
	},
	{
		.key = "policy_events",
		.type = CP_CONFIG_SCHEMA_TYPE_UINT,
		IN(policy_events),
		.max = 10000,
		.fallback = "0",
		.description = "Blocked flows and names that are reported each "
			       "second, a sample; 0: none.",
	},
	DURATION(query_timeout, 50, 30000, "2s",
		 "How long the control plane may take to decide about a name "
		 "(DNS mode proxy)."),
	{
		.key = "max_queries",
		.type = CP_CONFIG_SCHEMA_TYPE_UINT,
		IN(max_queries),
		.min = 1,
		.max = 65536,
		.fallback = "256",
		.description = "Names that it may be asked about at one time; "
			       "one attachment has a quarter of them.",
	},
	{ .key = NULL },
};

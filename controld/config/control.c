/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/config/control.h"

#include <string.h>

#include "controld/rpc/url.h"

#define MS	 1000000U /* of unit_ns */
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

static int check_pins(const void *field, struct sn_diag *diag)
{
	const struct cp_config_schema_strings *texts = field;
	struct cp_rpc_peer_pin pin;

	for (size_t i = 0; i < texts->n_items; i++) {
		if (cp_rpc_peer_parse_pin(texts->items[i], &pin, diag) == 0)
			continue;
		diag->line = texts->lines[i];
		return CP_CONFIG_SCHEMA_E_REFUSED;
	}
	return 0;
}

static int check_file(const void *field, struct sn_diag *diag)
{
	const char *path = *(char *const *)field;

	if (!path || !path[0] || path[0] == '/')
		return 0;
	return refuse(diag, NULL, "must be an absolute path");
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

static bool is_set(const char *text)
{
	return text && text[0];
}

int cp_config_control_check(const void *field, struct sn_diag *diag)
{
	const struct cp_config_control *control = field;
	struct cp_rpc_url url;
	bool has_plain = false;

	for (size_t i = 0; i < control->urls.n_items; i++) {
		if (cp_rpc_url_parse(control->urls.items[i], &url, diag))
			return CP_CONFIG_SCHEMA_E_REFUSED;
		has_plain |= !url.is_tls;
		if (url.is_tls && !is_set(control->tls.ca))
			return refuse(diag, "tls.ca",
				      "must be stated for %s: the file of the "
				      "authorities that may vouch for it",
				      control->urls.items[i]);
		if (!url.is_tls && !control->insecure)
			return refuse(diag, "urls",
				      "%s is plain text, which insecure: true "
				      "would permit",
				      control->urls.items[i]);
	}
	if (control->insecure && !has_plain && control->urls.n_items > 0)
		return refuse(diag, "insecure",
			      "is for http:// URLs, of which there are none");
	if (is_set(control->tls.certificate) != is_set(control->tls.key))
		return refuse(diag, "tls",
			      "certificate and key must be stated together");
	if (control->reconnect_min_ms > control->reconnect_max_ms)
		return refuse(diag, "reconnect_min",
			      "is longer than reconnect_max");
	return 0;
}

static const struct cp_config_schema_item tls_items[] = {
	{
		.key = "ca",
		.type = CP_CONFIG_SCHEMA_TYPE_STRING,
		.offset = offsetof(struct cp_config_control_tls, ca),
		.fallback = "",
		.check = check_file,
		.description = "File (PEM) of the authorities that may vouch "
			       "for the control plane; https:// needs it.",
	},
	{
		.key = "certificate",
		.type = CP_CONFIG_SCHEMA_TYPE_STRING,
		.offset = offsetof(struct cp_config_control_tls, certificate),
		.fallback = "",
		.check = check_file,
		.description = "File (PEM) of this host's certificate, for "
			       "mutual TLS.",
	},
	{
		.key = "key",
		.type = CP_CONFIG_SCHEMA_TYPE_STRING,
		.offset = offsetof(struct cp_config_control_tls, key),
		.fallback = "",
		.check = check_file,
		.description = "File (PEM) of the certificate's key.",
	},
	{
		.key = "pins",
		.type = CP_CONFIG_SCHEMA_TYPE_STRINGS,
		.offset = offsetof(struct cp_config_control_tls, pins),
		.max = CP_RPC_PEER_PINS_MAX,
		.check = check_pins,
		.description = "Public keys of which the control plane must "
			       "have one, whoever vouches for it.",
	},
	{ .key = NULL },
};

/* In the order of enum cp_control_unanswered. */
static const char *const unanswered_names[] = {
	"closed",
	"local",
	"rollback",
	NULL,
};

#define DURATION(name_, field_, min_, max_, fallback_, text_)         \
	{                                                             \
		.key = name_, .type = CP_CONFIG_SCHEMA_TYPE_DURATION, \
		IN(field_), .unit_ns = MS, .min = min_, .max = max_,  \
		.fallback = fallback_, .description = text_,          \
	}

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
	{
		.key = "tls",
		.type = CP_CONFIG_SCHEMA_TYPE_MAPPING,
		IN(tls),
		.items = tls_items,
		.description = "How both sides know each other; files are read "
			       "for each connection.",
	},
	{
		.key = "token_file",
		.type = CP_CONFIG_SCHEMA_TYPE_STRING,
		IN(token_file),
		.fallback = "",
		.check = check_file,
		.description = "File of a token that is sent with each call "
			       "(authorization: Bearer).",
	},
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
	DURATION("heartbeat", heartbeat_ms, 100, 3600000, "30s",
		 "How often counters and health are sent."),
	DURATION("keepalive", keepalive_ms, 100, 3600000, "6m",
		 "A silent connection is tried after this."),
	DURATION("keepalive_timeout", keepalive_timeout_ms, 100, 600000, "20s",
		 "How long the answer to that, and the acknowledgement of "
		 "anything sent, may take."),
	DURATION("sync_timeout", sync_timeout_ms, 100, 600000, "20s",
		 "How long the control plane may take from the attempt to "
		 "connect until its SyncAck."),
	DURATION("reconnect_min", reconnect_min_ms, 10, 60000, "1s",
		 "Shortest pause before it is connected to again; the pauses "
		 "grow and are drawn at random."),
	DURATION("reconnect_max", reconnect_max_ms, 10, 3600000, "1m",
		 "Longest pause before it is connected to again."),
	DURATION("subscribe_timeout", subscribe_timeout_ms, 10, 600000, "5s",
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
	DURATION("query_timeout", query_timeout_ms, 50, 30000, "2s",
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

static char *or_null(char *text)
{
	return is_set(text) ? text : NULL;
}

void cp_config_control_get_parts(const struct cp_config_control *control,
				 struct cp_config_control_parts *ret)
{
	struct sn_diag diag;

	*ret = (struct cp_config_control_parts){
		.files = {
			.ca = or_null(control->tls.ca),
			.certificate = or_null(control->tls.certificate),
			.key = or_null(control->tls.key),
			.token = or_null(control->token_file),
		},
	};
	for (size_t i = 0; i < control->tls.pins.n_items; i++)
		if (cp_rpc_peer_parse_pin(control->tls.pins.items[i],
					  &ret->pins[ret->n_pins], &diag) == 0)
			ret->n_pins++;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/control/setup.h"

#include <stdlib.h>
#include <string.h>

static struct cp_attach_pair *free_pairs(struct cp_attach_pair *pairs)
{
	for (size_t i = 0; pairs && pairs[i].key; i++)
		free(pairs[i].key);
	free(pairs);
	return NULL;
}
SN_DEFINE_CLEANUP(struct cp_attach_pair, free_pairs)

/* "key=value", checked by the configuration, as pairs; the values stand in the
 * keys' memory. A pair without key ends them. */
static int split(const struct cp_config_schema_strings *texts,
		 struct cp_attach_pair **ret)
{
	sn_cleanup(free_pairsp) struct cp_attach_pair *pairs = NULL;

	pairs = calloc(texts->n_items + 1, sizeof(*pairs));
	if (!pairs)
		return sn_trace(-ENOMEM);
	for (size_t i = 0; i < texts->n_items; i++) {
		pairs[i].key = strdup(texts->items[i]);
		if (!pairs[i].key)
			return sn_trace(-ENOMEM);
		pairs[i].value = strchr(pairs[i].key, '=');
		*pairs[i].value++ = '\0';
	}
	*ret = sn_steal(&pairs);
	return 0;
}

int cp_control_setup_new(struct cp_control **ret,
			 struct cp_control_options *options,
			 const struct cp_config *config)
{
	const struct cp_config_control *control = &config->control;
	sn_cleanup(free_pairsp) struct cp_attach_pair *pairs = NULL;
	struct cp_config_tls_parts parts;
	int r;

	*ret = NULL;
	if (control->urls.n_items == 0)
		return 0;
	r = split(&control->metadata, &pairs);
	if (r < 0)
		return r;
	cp_config_tls_get_parts(&control->tls, control->token_file, &parts);
	options->urls = (const char *const *)control->urls.items;
	options->n_urls = control->urls.n_items;
	options->files = parts.files;
	options->pins = parts.pins;
	options->n_pins = parts.n_pins;
	options->metadata = pairs;
	options->n_metadata = control->metadata.n_items;
	options->max_message_bytes = control->max_message_bytes;
	options->max_rules = config->limits.rules_per_policy;
	options->max_events = control->max_events;
	options->keepalive_ms = control->keepalive_ms;
	options->keepalive_timeout_ms = control->keepalive_timeout_ms;
	options->sync_timeout_ms = control->sync_timeout_ms;
	options->heartbeat_ms = control->heartbeat_ms;
	options->backoff_min_ms = control->reconnect_min_ms;
	options->backoff_max_ms = control->reconnect_max_ms;
	options->query_timeout_ms = control->query_timeout_ms;
	options->max_queries = (unsigned int)control->max_queries;
	options->subscribe_timeout_ms = control->subscribe_timeout_ms;
	options->unanswered = (enum cp_control_unanswered)control->unanswered;
	options->local_rules = control->local_rules;
	options->policy_events_per_s = control->policy_events;
	return cp_control_new(ret, options);
}

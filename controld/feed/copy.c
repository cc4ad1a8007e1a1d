/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/feed/copy.h"

#include <stdlib.h>
#include <string.h>

static int copy_text(const char *text, char **ret)
{
	*ret = NULL;
	if (!text)
		return 0;
	*ret = strdup(text);
	return *ret ? 0 : -ENOMEM;
}

static int copy_const(const char *text, const char **ret)
{
	char *copy;
	int r = copy_text(text, &copy);

	*ret = copy;
	return r;
}

int cp_feed_copy_options(const struct cp_feed_options *options,
			 struct cp_feed_options *ret)
{
	int r;

	*ret = *options;
	ret->filter = NULL;
	ret->hostname = NULL;
	ret->url = NULL;
	ret->spool = NULL;
	ret->pins = NULL;
	ret->files = (struct cp_rpc_secrets_files){ 0 };
	r = copy_const(options->name, &ret->name);
	if (r == 0)
		r = copy_const(options->hostname, &ret->hostname);
	if (r == 0)
		r = copy_const(options->url, &ret->url);
	if (r == 0)
		r = copy_const(options->spool, &ret->spool);
	if (r == 0)
		r = cp_rpc_secrets_copy_files(&options->files, &ret->files);
	if (r == 0) {
		ret->pins =
			cp_rpc_peer_copy_pins(options->pins, options->n_pins);
		r = ret->pins ? 0 : -ENOMEM;
	}
	return sn_trace(r);
}

/* Frees what was copied, of which the options have only const pointers. */
static void release(const void *copy)
{
	free((void *)(uintptr_t)copy);
}

void cp_feed_copy_done(struct cp_feed_options *options)
{
	release(options->name);
	release(options->hostname);
	release(options->url);
	release(options->spool);
	release(options->pins);
	cp_rpc_secrets_free_files(&options->files);
}

/* Where the lists of a filter are. */
static const size_t lists[] = {
	offsetof(struct cp_config_runtime_rule, events),
	offsetof(struct cp_config_runtime_rule, match.path_prefixes),
	offsetof(struct cp_config_runtime_rule, match.comms),
	offsetof(struct cp_config_runtime_rule, match.executables),
	offsetof(struct cp_config_runtime_rule, match.uids),
	offsetof(struct cp_config_runtime_rule, match.cgroups),
	offsetof(struct cp_config_runtime_rule, match.results),
};

static int copy_list(const struct cp_config_schema_strings *list,
		     struct cp_config_schema_strings *ret)
{
	int r = 0;

	ret->items = calloc(list->n_items + 1, sizeof(*ret->items));
	ret->lines = calloc(list->n_items + 1, sizeof(*ret->lines));
	if (!ret->items || !ret->lines)
		return -ENOMEM;
	for (size_t i = 0; r == 0 && i < list->n_items; i++) {
		r = copy_text(list->items[i], &ret->items[i]);
		ret->lines[i] = list->lines[i];
		ret->n_items++;
	}
	return r;
}

int cp_feed_copy_filter(const struct cp_config_runtime_rule *filter,
			struct cp_config_runtime_rule *ret)
{
	int r;

	(void)memset(ret, 0, sizeof(*ret));
	ret->enabled = filter->enabled;
	r = copy_text(filter->name, &ret->name);
	for (size_t i = 0; r == 0 && i < SN_ARRAY_SIZE(lists); i++)
		r = copy_list((const void *)((const char *)filter + lists[i]),
			      (void *)((char *)ret + lists[i]));
	if (r < 0)
		cp_feed_copy_filter_done(ret);
	return r;
}

void cp_feed_copy_filter_done(struct cp_config_runtime_rule *filter)
{
	for (size_t i = 0; i < SN_ARRAY_SIZE(lists); i++) {
		struct cp_config_schema_strings *list =
			(void *)((char *)filter + lists[i]);

		for (size_t j = 0; list->items && j < list->n_items; j++)
			free(list->items[j]);
		free(list->items);
		free(list->lines);
	}
	free(filter->name);
	(void)memset(filter, 0, sizeof(*filter));
}

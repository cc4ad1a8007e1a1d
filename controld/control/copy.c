/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/control/copy.h"

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

/* An array of texts, each owned. */
static int copy_urls(const struct cp_control_options *options,
		     struct cp_control_options *ret)
{
	char **urls = calloc(options->n_urls + 1, sizeof(*urls));
	int r = urls ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < options->n_urls; i++)
		r = copy_text(options->urls[i], &urls[i]);
	ret->urls = (const char *const *)urls;
	return r;
}

static int copy_metadata(const struct cp_control_options *options,
			 struct cp_control_options *ret)
{
	size_t n = options->n_metadata;
	struct cp_attach_pair *pairs = calloc(n + 1, sizeof(*pairs));
	int r = pairs ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < n; i++) {
		r = copy_text(options->metadata[i].key, &pairs[i].key);
		if (r == 0)
			r = copy_text(options->metadata[i].value,
				      &pairs[i].value);
	}
	ret->metadata = pairs;
	return r;
}

int cp_control_copy_options(const struct cp_control_options *options,
			    struct cp_control_options *ret)
{
	char *id = NULL, *version = NULL;
	int r;

	*ret = *options;
	ret->urls = NULL;
	ret->metadata = NULL;
	ret->pins = NULL;
	ret->files = (struct cp_rpc_secrets_files){ 0 };
	r = copy_text(options->daemon_id, &id);
	ret->daemon_id = id;
	if (r == 0)
		r = copy_text(options->version, &version);
	ret->version = version;
	if (r == 0)
		r = cp_rpc_secrets_copy_files(&options->files, &ret->files);
	if (r == 0)
		r = copy_urls(options, ret);
	if (r == 0)
		r = copy_metadata(options, ret);
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

void cp_control_copy_done(struct cp_control_options *options)
{
	for (size_t i = 0; options->urls && i < options->n_urls; i++)
		release(options->urls[i]);
	for (size_t i = 0; options->metadata && i < options->n_metadata; i++) {
		free(options->metadata[i].key);
		free(options->metadata[i].value);
	}
	release(options->urls);
	release(options->metadata);
	release(options->pins);
	release(options->daemon_id);
	release(options->version);
	cp_rpc_secrets_free_files(&options->files);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/runtime/wanted.h"

#include <errno.h>
#include <mntent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "controld/runtime/internal.h"

enum {
	PATH_BYTES = 2 * SN_RT_PATH_MAX,
	ROOT_INODE = 1, /* of the hierarchy's root, whatever is in it */
};

void cp_runtime_wanted_find_mount(char *ret, size_t ret_bytes)
{
	FILE *file = setmntent("/proc/self/mounts", "re");
	char text[PATH_BYTES];
	struct mntent entry;

	ret[0] = '\0';
	while (file && getmntent_r(file, &entry, text, sizeof(text))) {
		if (strcmp(entry.mnt_type, "cgroup2") != 0)
			continue;
		(void)snprintf(ret, ret_bytes, "%s", entry.mnt_dir);
		break;
	}
	if (file)
		(void)endmntent(file);
}

uint64_t cp_runtime_wanted_find_cgroup(const char *path)
{
	char folder[PATH_BYTES], whole[2 * PATH_BYTES];
	struct stat status;

	cp_runtime_wanted_find_mount(folder, sizeof(folder));
	if (!folder[0])
		return 0;
	(void)snprintf(whole, sizeof(whole), "%s%s", folder, path);
	return stat(whole, &status) == 0 && S_ISDIR(status.st_mode) ?
		       status.st_ino :
		       0;
}

bool cp_runtime_wanted_is_whole(void)
{
	char folder[PATH_BYTES];
	struct stat status;

	cp_runtime_wanted_find_mount(folder, sizeof(folder));
	return folder[0] && stat(folder, &status) == 0 &&
	       status.st_ino == ROOT_INODE;
}

static int add_configured(const struct cp_runtime *runtime,
			  struct cp_runtime_rules *rules, struct sn_diag *diag)
{
	const struct cp_config_schema_array *array =
		&runtime->options.config->rules;
	const struct cp_config_runtime_rule *all = array->items;
	int r = 0;

	for (size_t i = 0; r == 0 && i < array->n_items; i++) {
		if (all[i].enabled)
			r = cp_config_runtime_add_rule(
				rules, &all[i], cp_runtime_wanted_find_cgroup,
				diag);
	}
	return r;
}

static int add_watched(const struct cp_runtime *runtime,
		       struct cp_runtime_rules *rules)
{
	const struct cp_runtime_watcher *watcher;
	int r = 0;

	LIST_FOREACH(watcher, &runtime->watchers, link) {
		if (r == 0 && watcher->filter)
			r = cp_runtime_rules_put_rule(
				rules,
				cp_runtime_rules_get(watcher->filter, 0));
	}
	return r;
}

static int add_observed(const struct cp_runtime *runtime,
			struct cp_runtime_rules *rules,
			struct cp_runtime_shares *shares)
{
	struct cp_runtime_observer *observer;
	int r = 0;

	LIST_FOREACH(observer, &runtime->observers, link) {
		struct cp_runtime_share *share = &shares->of[shares->n];

		if (r != 0)
			return r;
		share->owner = observer->id;
		share->version = observer->version;
		share->first = cp_runtime_rules_count(rules);
		r = observer->put_wanted(observer, rules,
					 cp_runtime_wanted_find_cgroup);
		share->n = cp_runtime_rules_count(rules) - share->first;
		shares->n++;
	}
	return r;
}

static bool has_cgroup(const struct cp_runtime_rule *rule)
{
	return rule->fields & 1U << SN_RT_FIELD_CGROUP;
}

/* An id without its path, or a path that the kernel tells otherwise, would find
 * nothing below the cgroup. */
static int check_cgroups(const struct cp_runtime_rules *rules,
			 struct sn_diag *diag)
{
	bool is_whole = cp_runtime_wanted_is_whole();

	for (size_t i = 0; i < cp_runtime_rules_count(rules); i++) {
		const struct cp_runtime_rule *rule =
			cp_runtime_rules_get(rules, i);

		if (is_whole || !has_cgroup(rule))
			continue;
		sn_diag_set(diag, "match.cgroups",
			    "rule '%s': " CP_RUNTIME_WANTED_NOT_WHOLE,
			    rule->name);
		return CP_RUNTIME_RULES_E_REFUSED;
	}
	return 0;
}

static int add_all(const struct cp_runtime *runtime,
		   struct cp_runtime_rules *rules,
		   struct cp_runtime_shares *shares, struct sn_diag *diag)
{
	int r = add_configured(runtime, rules, diag);

	shares->n_configured = cp_runtime_rules_count(rules);
	if (r == 0)
		r = add_observed(runtime, rules, shares);
	shares->n_lasting = cp_runtime_rules_count(rules);
	if (r == 0)
		r = check_cgroups(rules, diag);
	if (r != 0)
		return r;
	r = add_watched(runtime, rules);
	if (r == CP_RUNTIME_RULES_E_FULL)
		sn_diag_set(diag, NULL, "those of readers are too many");
	return r;
}

/* Per subject: so many a second, and so many at once. */
static struct cp_runtime_host_settings
make_settings(const struct cp_config_runtime *config)
{
	struct cp_runtime_host_settings settings = {
		.flags = config->arguments ? SN_RT_SETTING_ARGUMENTS : 0,
	};

	if (config->budget.rate > 0) {
		settings.budget_ns = SN_NS_PER_S / config->budget.rate;
		settings.burst_ns = config->budget.burst * settings.budget_ns;
	}
	return settings;
}

static int put_set(struct cp_runtime *runtime, struct cp_runtime_set *set)
{
	const struct cp_runtime_host_settings settings =
		make_settings(runtime->options.config);
	struct cp_runtime_set *before = runtime->wanted;
	struct cp_runtime_compiled compiled;
	int r = cp_runtime_compile_init(&compiled, set->rules);

	if (r < 0)
		return r;
	/* The host tells by staged() when it takes it up, maybe in the call. */
	runtime->wanted = cp_runtime_sets_ref(set);
	r = cp_runtime_host_want(runtime->host, &compiled,
				 cp_runtime_rules_events(set->rules),
				 &settings);
	cp_runtime_compile_done(&compiled);
	if (r < 0) {
		runtime->wanted = before;
		before = set;
	}
	cp_runtime_sets_unref(before);
	return r;
}

int cp_runtime_wanted_put(struct cp_runtime *runtime, struct sn_diag *diag)
{
	sn_cleanup(cp_runtime_rules_freep) struct cp_runtime_rules *rules =
		NULL;
	struct cp_runtime_shares shares = { .n = 0 };
	struct cp_runtime_set *set;
	int r = cp_runtime_rules_new(&rules);

	if (r == 0 && runtime->options.config->enabled)
		r = add_all(runtime, rules, &shares, diag);
	if (r == 0)
		r = cp_runtime_sets_make(&set, rules, &shares);
	if (r != 0)
		return r;
	rules = NULL;
	r = put_set(runtime, set);
	cp_runtime_sets_unref(set);
	return r;
}

bool cp_runtime_wanted_is_stale(const struct cp_runtime *runtime)
{
	const struct cp_runtime_set *set = runtime->wanted;

	for (size_t i = 0; set && i < set->shares.n_lasting; i++) {
		const struct cp_runtime_rule *rule =
			cp_runtime_rules_get(set->rules, i);

		for (size_t j = 0; j < rule->n_terms; j++) {
			const struct cp_runtime_term *term = &rule->terms[j];

			if (term->field == SN_RT_FIELD_CGROUP &&
			    cp_runtime_wanted_find_cgroup(term->path) !=
				    term->value[0])
				return true;
		}
	}
	return false;
}

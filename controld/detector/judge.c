/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/detector/judge.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controld/rpc/utf8.h"
#include "shared/util.h"

enum { DRAFT_BYTES = 600 };

static const double score_sensitive = 0.9, score_bytes = 0.6, score_comm = 0.5;

/* Events that change what is at a path. */
static const char *const changes[] = {
	"file_write", "file_unlink", "file_rename", "file_link",
	"file_chmod", "file_chown",  "mount",
};

/* "" if there is none. */
static const char *get(const Sentinel__V1__EventEnvelope *event,
		       const char *key)
{
	for (size_t i = 0; i < event->n_data; i++) {
		if (strcmp(event->data[i]->key, key) == 0)
			return event->data[i]->value;
	}
	return "";
}

static bool changes_path(const char *type)
{
	for (size_t i = 0; i < SN_ARRAY_SIZE(changes); i++) {
		if (strcmp(type, changes[i]) == 0)
			return true;
	}
	return false;
}

static bool is_below(const char *path, const char *prefix)
{
	size_t n = strlen(prefix);

	return strncmp(path, prefix, n) == 0 &&
	       (path[n] == '\0' || path[n] == '/');
}

static const char *find_sensitive(const struct cp_detector_judge_rules *rules,
				  const char *path)
{
	for (size_t i = 0; i < rules->n_sensitive; i++) {
		if (is_below(path, rules->sensitive[i]))
			return rules->sensitive[i];
	}
	return NULL;
}

/* What is no number is none. */
static uint64_t get_number(const char *text)
{
	char *end;
	unsigned long long number;

	errno = 0;
	number = strtoull(text, &end, 10);
	return errno || end == text || *end || *text == '-' ? 0 : number;
}

/* A sequence that was cut at the end of a field is replaced. */
static void finish(const char *reason, struct cp_detector_judge_verdict *ret)
{
	char *text = ret->reason;
	bool is_changed;

	_Static_assert(sizeof(ret->reason) >= CP_RPC_UTF8_ROOM(DRAFT_BYTES - 1),
		       "it fits");
	(void)cp_rpc_utf8_copy(reason, strlen(reason), text, &is_changed);
	for (; *text; text++) {
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			*text = '?';
	}
}

static bool is_usual(const struct cp_detector_judge_rules *rules,
		     const char *comm)
{
	for (size_t i = 0; i < rules->n_usual; i++) {
		if (strcmp(comm, rules->usual[i]) == 0)
			return true;
	}
	return rules->n_usual == 0 || *comm == '\0';
}

void cp_detector_judge(const struct cp_detector_judge_rules *rules,
		       const Sentinel__V1__EventEnvelope *event,
		       struct cp_detector_judge_verdict *ret)
{
	const char *comm = get(event, "comm"), *path = get(event, "filename");
	uint64_t bytes = get_number(get(event, "bytes"));
	const char *prefix = NULL;
	char reason[DRAFT_BYTES];
	int n = 0;

	*ret = (struct cp_detector_judge_verdict){ .is_anomaly = false };
	if (changes_path(event->event_type)) {
		prefix = find_sensitive(rules, path);
		if (!prefix &&
		    (prefix = find_sensitive(rules, get(event, "target"))))
			path = get(event, "target");
	}
	if (prefix) {
		ret->score = score_sensitive;
		n = snprintf(reason, sizeof(reason),
			     "%.32s below %.64s: %.300s by %.64s",
			     event->event_type, prefix, path, comm);
	} else if (rules->bytes_max && bytes > rules->bytes_max) {
		ret->score = score_bytes;
		n = snprintf(reason, sizeof(reason),
			     "%.32s of %llu bytes: %.300s by %.64s",
			     event->event_type, (unsigned long long)bytes, path,
			     comm);
	} else if (!is_usual(rules, comm)) {
		ret->score = score_comm;
		n = snprintf(reason, sizeof(reason),
			     "%.32s by an unusual process: %.64s",
			     event->event_type, comm);
	}
	ret->is_anomaly = n > 0;
	if (ret->is_anomaly)
		finish(reason, ret);
}

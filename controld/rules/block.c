/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/rules/block.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controld/rules/set.h"

enum kind {
	KIND_TEXT, /* the whole text */
	KIND_PREFIX, /* a path, and what is below */
	KIND_SUFFIX,
	KIND_UID,
	KIND_BITS, /* words, each a bit */
};

struct word {
	const char *text; /* NULL ends the list */
	uint32_t bits;
};

static const struct word result_words[] = { { "ok", 1 },
					    { "failed", 2 },
					    { 0 } };

static const struct row {
	enum kind kind;
	enum cp_rules_source source; /* of TEXT, PREFIX */
	const struct word *words; /* of BITS */
} rows[CP_RULES_KEY_COUNT] = {
	[CP_RULES_KEY_RESULTS] = { KIND_BITS, .words = result_words },
	[CP_RULES_KEY_UIDS] = { KIND_UID },
	[CP_RULES_KEY_COMMS] = { KIND_TEXT, CP_RULES_SOURCE_COMM },
	/* Of either path. */
	[CP_RULES_KEY_PATHS] = { KIND_TEXT },
	[CP_RULES_KEY_PATH_PREFIXES] = { KIND_PREFIX },
	[CP_RULES_KEY_PATH_SUFFIXES] = { KIND_SUFFIX },
	[CP_RULES_KEY_EXECUTABLES] = { KIND_PREFIX,
				       CP_RULES_SOURCE_EXECUTABLE },
	[CP_RULES_KEY_CGROUPS] = { KIND_PREFIX, CP_RULES_SOURCE_CGROUP },
	[CP_RULES_KEY_PARENT_COMMS] = { KIND_TEXT,
					CP_RULES_SOURCE_PARENT_COMM },
	[CP_RULES_KEY_PARENT_EXECUTABLES] = { KIND_PREFIX,
					      CP_RULES_SOURCE_PARENT_EXECUTABLE },
};

struct cond {
	enum cp_rules_key key;
	const struct cp_config_schema_strings *texts;
	uint32_t bits;
	uint32_t *uids;
	struct cp_rules_set *set;
};

struct cp_rules_block {
	size_t n;
	struct cond conds[CP_RULES_KEY_COUNT];
};

struct cp_rules_block *cp_rules_block_free(struct cp_rules_block *block)
{
	for (size_t i = 0; block && i < block->n; i++) {
		(void)cp_rules_set_free(block->conds[i].set);
		free(block->conds[i].uids);
	}
	free(block);
	return NULL;
}

/* Compiling; a refusal says what is wrong with a value in the text of diag. */

static int put_word(struct cond *cond, const char *text, struct sn_diag *diag)
{
	const struct word *word = rows[cond->key].words;
	char known[SN_DIAG_TEXT_BYTES] = "";
	size_t n = 0;

	for (; word->text && strcmp(word->text, text) != 0; word++)
		n += (size_t)snprintf(known + n, sizeof(known) - n, "%s%s",
				      n ? ", " : "", word->text);
	cond->bits |= word->bits;
	if (word->text)
		return 0;
	sn_diag_set(diag, NULL, "'%.64s' is none of %s", text, known);
	return CP_RULES_E_REFUSED;
}

static int put_uid(struct cond *cond, const char *text, uint32_t *ret,
		   struct sn_diag *diag)
{
	unsigned long uid;
	char *end;

	errno = 0;
	uid = strtoul(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end || errno ||
	    uid > UINT32_MAX) {
		sn_diag_set(diag, NULL, "'%.64s' is no number of a user", text);
		return CP_RULES_E_REFUSED;
	}
	*ret = (uint32_t)uid;
	(void)cp_rules_set_put(cond->set, ret, sizeof(*ret));
	return 0;
}

static int put_path(struct cond *cond, const char *text, struct sn_diag *diag)
{
	size_t size;

	if (cp_runtime_rules_check_path(text, &size, diag) != 0)
		return CP_RULES_E_REFUSED;
	(void)cp_rules_set_put(cond->set, text, size);
	return 0;
}

static int put_text(struct cond *cond, const char *text, struct sn_diag *diag)
{
	size_t size = strlen(text);
	bool is_comm = cond->key == CP_RULES_KEY_COMMS ||
		       cond->key == CP_RULES_KEY_PARENT_COMMS;

	if (is_comm && size >= SN_COMM_BYTES) {
		sn_diag_set(diag, NULL,
			    "'%.64s' is no process name: it has 1 to %d bytes",
			    text, SN_COMM_BYTES - 1);
		return CP_RULES_E_REFUSED;
	}
	(void)cp_rules_set_put(cond->set, text, size);
	return 0;
}

static int put(struct cond *cond, size_t index, struct sn_diag *diag)
{
	const char *text = cond->texts->items[index];

	switch (rows[cond->key].kind) {
	case KIND_BITS:
		return put_word(cond, text, diag);
	case KIND_UID:
		return put_uid(cond, text, &cond->uids[index], diag);
	case KIND_PREFIX:
		return put_path(cond, text, diag);
	case KIND_TEXT:
		return cond->key == CP_RULES_KEY_PATHS ?
			       put_path(cond, text, diag) :
			       put_text(cond, text, diag);
	case KIND_SUFFIX:
		return 0;
	}
	return 0;
}

static int compile(struct cond *cond, struct sn_diag *diag)
{
	size_t n = cond->texts->n_items;
	int r = cp_rules_set_new(&cond->set, n);

	if (r == 0 && rows[cond->key].kind == KIND_UID) {
		cond->uids = calloc(n, sizeof(*cond->uids));
		r = cond->uids ? 0 : -ENOMEM;
	}
	for (size_t i = 0; r == 0 && i < n; i++) {
		r = put(cond, i, diag);
		if (r == 0)
			continue;
		(void)snprintf(diag->field, sizeof(diag->field), "%s",
			       cp_rules_file_keys[cond->key]);
		diag->line = cond->texts->lines[i];
	}
	return r;
}

int cp_rules_block_new(struct cp_rules_block **ret,
		       const struct cp_rules_file_match *match,
		       struct sn_diag *diag)
{
	sn_cleanup(cp_rules_block_freep) struct cp_rules_block *block =
		calloc(1, sizeof(*block));

	if (!block)
		return -ENOMEM;
	for (size_t i = 0; i < CP_RULES_KEY_COUNT; i++) {
		struct cond *cond = &block->conds[block->n];
		int r;

		if (match->keys[i].n_items == 0)
			continue;
		cond->key = (enum cp_rules_key)i;
		cond->texts = &match->keys[i];
		block->n++;
		r = compile(cond, diag);
		if (r)
			return r;
	}
	*ret = sn_steal(&block);
	return 0;
}

/* Judging. */

static bool has_text(const struct cond *cond, const struct cp_rules_text *text)
{
	return cp_rules_set_find(cond->set, text->hash, text->at, text->size) !=
	       CP_RULES_SET_NONE;
}

static bool has_prefix(const struct cond *cond,
		       const struct cp_rules_text *text)
{
	for (size_t i = 0; i < text->n_bounds; i++) {
		const struct cp_rules_bound *bound = &text->bounds[i];

		if (cp_rules_set_find(cond->set, bound->hash, text->at,
				      bound->size) != CP_RULES_SET_NONE)
			return true;
	}
	return false;
}

static bool has_suffix(const struct cond *cond,
		       const struct cp_rules_text *text)
{
	for (size_t i = 0; i < cond->texts->n_items; i++) {
		const char *suffix = cond->texts->items[i];
		size_t size = strlen(suffix);

		if (size <= text->size &&
		    memcmp(text->at + text->size - size, suffix, size) == 0)
			return true;
	}
	return false;
}

static enum cp_rules_fit fits_text(const struct cond *cond,
				   const struct cp_rules_text *text)
{
	enum kind kind = rows[cond->key].kind;
	bool fits;

	if (text->known == CP_RULES_KNOWN_ABSENT)
		return CP_RULES_FIT_NO;
	if (text->known == CP_RULES_KNOWN_NOT &&
	    (!text->at || kind != KIND_SUFFIX))
		return CP_RULES_FIT_UNKNOWN;
	if (kind == KIND_SUFFIX)
		fits = has_suffix(cond, text);
	else if (kind == KIND_PREFIX)
		fits = has_prefix(cond, text);
	else
		fits = has_text(cond, text);
	return fits ? CP_RULES_FIT_YES : CP_RULES_FIT_NO;
}

static enum cp_rules_fit both(enum cp_rules_fit a, enum cp_rules_fit b)
{
	if (a == CP_RULES_FIT_NO || b == CP_RULES_FIT_NO)
		return CP_RULES_FIT_NO;
	return a == CP_RULES_FIT_YES ? b : a;
}

static enum cp_rules_fit either(enum cp_rules_fit a, enum cp_rules_fit b)
{
	if (a == CP_RULES_FIT_YES || b == CP_RULES_FIT_YES)
		return CP_RULES_FIT_YES;
	return a == CP_RULES_FIT_NO ? b : a;
}

static bool is_path(enum cp_rules_key key)
{
	return key == CP_RULES_KEY_PATHS || key == CP_RULES_KEY_PATH_PREFIXES ||
	       key == CP_RULES_KEY_PATH_SUFFIXES;
}

static enum cp_rules_fit fits_path(const struct cp_rules_block *block,
				   const struct cp_rules_text *text)
{
	enum cp_rules_fit fit = CP_RULES_FIT_YES;

	for (size_t i = 0; i < block->n && fit != CP_RULES_FIT_NO; i++) {
		if (is_path(block->conds[i].key))
			fit = both(fit, fits_text(&block->conds[i], text));
	}
	return fit;
}

/* One path has to fit all keys of paths. */
static enum cp_rules_fit fits_paths(const struct cp_rules_block *block,
				    struct cp_rules_view *view)
{
	enum cp_rules_fit fit =
		fits_path(block, cp_rules_view_get(view, CP_RULES_SOURCE_FILE));

	if (fit == CP_RULES_FIT_YES)
		return fit;
	return either(fit,
		      fits_path(block, cp_rules_view_get(
					       view, CP_RULES_SOURCE_TARGET)));
}

static enum cp_rules_fit fits(const struct cond *cond,
			      struct cp_rules_view *view)
{
	uint32_t uid = view->process->uid;
	uint32_t result = view->event->result < 0 ? 2 : 1;
	bool is_fit = false;

	switch (cond->key) {
	case CP_RULES_KEY_RESULTS:
		is_fit = cond->bits & result;
		break;
	case CP_RULES_KEY_UIDS:
		is_fit = cp_rules_set_find(cond->set,
					   cp_rules_set_hash(&uid, sizeof(uid)),
					   &uid,
					   sizeof(uid)) != CP_RULES_SET_NONE;
		break;
	case CP_RULES_KEY_COMMS:
	case CP_RULES_KEY_EXECUTABLES:
	case CP_RULES_KEY_CGROUPS:
	case CP_RULES_KEY_PARENT_COMMS:
	case CP_RULES_KEY_PARENT_EXECUTABLES:
		return fits_text(
			cond, cp_rules_view_get(view, rows[cond->key].source));
	case CP_RULES_KEY_PATHS:
	case CP_RULES_KEY_PATH_PREFIXES:
	case CP_RULES_KEY_PATH_SUFFIXES:
	case CP_RULES_KEY_COUNT:
		break;
	}
	return is_fit ? CP_RULES_FIT_YES : CP_RULES_FIT_NO;
}

enum cp_rules_fit cp_rules_block_judge(const struct cp_rules_block *block,
				       struct cp_rules_view *view)
{
	enum cp_rules_fit fit = CP_RULES_FIT_YES;
	bool has_paths = false;

	for (size_t i = 0; i < block->n && fit != CP_RULES_FIT_NO; i++) {
		if (!is_path(block->conds[i].key)) {
			fit = both(fit, fits(&block->conds[i], view));
		} else if (!has_paths) {
			fit = both(fit, fits_paths(block, view));
			has_paths = true;
		}
	}
	return fit;
}

/* The kernel's part. */

static int put_term(const struct cond *cond, size_t index,
		    struct cp_runtime_rules *wanted,
		    uint64_t (*find)(const char *cgroup), struct sn_diag *diag)
{
	const char *text = cond->texts->items[index];

	switch (cond->key) {
	case CP_RULES_KEY_RESULTS:
		return cp_runtime_rules_put_result(wanted,
						   strcmp(text, "failed") == 0);
	case CP_RULES_KEY_UIDS:
		return cp_runtime_rules_put_uid(wanted, cond->uids[index]);
	case CP_RULES_KEY_COMMS:
		return cp_runtime_rules_put_comm(wanted, text, diag);
	case CP_RULES_KEY_PATHS:
	case CP_RULES_KEY_PATH_PREFIXES:
		return cp_runtime_rules_put_path(wanted, SN_RT_FIELD_PATH, text,
						 diag);
	case CP_RULES_KEY_EXECUTABLES:
		return cp_runtime_rules_put_path(wanted, SN_RT_FIELD_EXE_PATH,
						 text, diag);
	case CP_RULES_KEY_CGROUPS:
		return cp_runtime_rules_put_cgroup(
			wanted, find ? find(text) : 0, text, diag);
	case CP_RULES_KEY_PATH_SUFFIXES:
	case CP_RULES_KEY_PARENT_COMMS:
	case CP_RULES_KEY_PARENT_EXECUTABLES:
	case CP_RULES_KEY_COUNT:
		break;
	}
	return 0;
}

/* Of one field of the kernel the values are joined by OR, so that of several
 * keys for it the first stands for all. */
int cp_rules_block_put_wanted(const struct cp_rules_block *block,
			      struct cp_runtime_rules *wanted,
			      uint64_t (*find)(const char *cgroup),
			      struct sn_diag *diag)
{
	bool has_path = false;
	int r = 0;

	for (size_t i = 0; r == 0 && i < block->n; i++) {
		const struct cond *cond = &block->conds[i];

		if (is_path(cond->key) && has_path)
			continue;
		has_path |= cond->key == CP_RULES_KEY_PATHS ||
			    cond->key == CP_RULES_KEY_PATH_PREFIXES;
		for (size_t j = 0; r == 0 && j < cond->texts->n_items; j++)
			r = put_term(cond, j, wanted, find, diag);
	}
	return r;
}

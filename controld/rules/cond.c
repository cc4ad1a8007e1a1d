/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/rules/cond.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>

#include "controld/rules/remote.h"

enum kind {
	KIND_TEXT, /* the whole text */
	KIND_PREFIX, /* a path, and what is below */
	KIND_SUFFIX,
	KIND_GLOB,
	KIND_UID,
	KIND_BITS, /* words, each some bits */
	KIND_CONTAINER,
	KIND_PORTS,
	KIND_CIDR,
	KIND_NAME,
	KIND_MACRO,
};

struct word {
	const char *text; /* NULL ends the list */
	uint32_t bits;
};

enum {
	RESULT_OK = 1,
	RESULT_FAILED = 2,
	ACCESS_READ = 1,
	ACCESS_WRITE = 2,
	ACCESS_CREATE = 4,
	ACCESS_TRUNCATE = 8,
	REQUEST_TRACEME = 1,
	REQUEST_PEEK = 2,
	REQUEST_POKE = 4,
	REQUEST_ATTACH = 8,
	REQUEST_SEIZE = 16,
	FILE_MEMFD = 1,
	FILE_DELETED = 2,
	FILE_UNREACHABLE = 4,
	CONTAINER_ANY = 1,
	CONTAINER_NONE = 2,
};

static const struct word result_words[] = {
	{ "ok", RESULT_OK },
	{ "failed", RESULT_FAILED },
	{ NULL, 0 },
};
static const struct word access_words[] = {
	{ "read", ACCESS_READ },
	{ "write", ACCESS_WRITE },
	{ "create", ACCESS_CREATE },
	{ "truncate", ACCESS_TRUNCATE },
	{ NULL, 0 },
};
static const struct word mode_words[] = {
	{ "setuid", 04000 },	{ "setgid", 02000 },	 { "sticky", 01000 },
	{ "executable", 0111 }, { "world_writable", 2 }, { NULL, 0 },
};
static const struct word request_words[] = {
	{ "traceme", REQUEST_TRACEME }, { "peek", REQUEST_PEEK },
	{ "poke", REQUEST_POKE },	{ "attach", REQUEST_ATTACH },
	{ "seize", REQUEST_SEIZE },	{ NULL, 0 },
};
static const struct word file_words[] = {
	{ "memfd", FILE_MEMFD },
	{ "deleted", FILE_DELETED },
	{ "unreachable", FILE_UNREACHABLE },
	{ NULL, 0 },
};

static const struct row {
	enum kind kind;
	enum cp_rules_source source; /* not of either path */
	const struct word *words;
	enum sn_rt_field field;
} rows[CP_RULES_KEY_COUNT] = {
#define ROW(key) [CP_RULES_KEY_##key]
#define FROM(s)	 CP_RULES_SOURCE_##s
#define IN(f)	 .field = SN_RT_FIELD_##f
	ROW(RESULTS) = { KIND_BITS, 0, result_words, IN(RESULT) },
	ROW(UIDS) = { KIND_UID, IN(UID) },
	ROW(ACCESSES) = { KIND_BITS, 0, access_words, 0 },
	ROW(MODES) = { KIND_BITS, 0, mode_words, 0 },
	ROW(REQUESTS) = { KIND_BITS, 0, request_words, 0 },
	ROW(FILE_KINDS) = { KIND_BITS, 0, file_words, 0 },
	ROW(EXECUTABLE_KINDS) = { KIND_BITS, 0, file_words, 0 },
	ROW(CALLS) = { KIND_TEXT, FROM(CALL), NULL, 0 },
	ROW(COMMS) = { KIND_TEXT, FROM(COMM), NULL, IN(COMM) },
	ROW(PATHS) = { KIND_TEXT, IN(PATH) },
	ROW(PATH_PREFIXES) = { KIND_PREFIX, IN(PATH) },
	ROW(PATH_GLOBS) = { KIND_GLOB, IN(PATH) },
	ROW(PATH_SUFFIXES) = { KIND_SUFFIX, 0, NULL, 0 },
	ROW(EXECUTABLES) = { KIND_PREFIX, FROM(EXECUTABLE), NULL,
			     IN(EXE_PATH) },
	ROW(EXECUTABLE_GLOBS) = { KIND_GLOB, FROM(EXECUTABLE), NULL,
				  IN(EXE_PATH) },
	ROW(CGROUPS) = { KIND_PREFIX, FROM(CGROUP), NULL, IN(CGROUP) },
	ROW(CONTAINERS) = { KIND_CONTAINER, 0, NULL, 0 },
	ROW(NAMESPACES) = { KIND_TEXT, FROM(NAMESPACE), NULL, 0 },
	ROW(PODS) = { KIND_TEXT, FROM(POD), NULL, 0 },
	ROW(PORTS) = { KIND_PORTS, 0, NULL, 0 },
	ROW(CIDRS) = { KIND_CIDR, 0, NULL, 0 },
	ROW(DESTINATION_NAMES) = { KIND_NAME, 0, NULL, 0 },
	ROW(PARENT_COMMS) = { KIND_TEXT, FROM(PARENT_COMM), NULL, 0 },
	ROW(PARENT_EXECUTABLES) = { KIND_PREFIX, FROM(PARENT_EXECUTABLE), NULL,
				    0 },
	ROW(USE) = { KIND_MACRO, 0, NULL, 0 },
	ROW(USE_ANY) = { KIND_MACRO, 0, NULL, 0 },
#undef ROW
#undef FROM
#undef IN
};

void cp_rules_cond_done(struct cp_rules_cond *cond)
{
	for (size_t i = 0; cond->globs && i < cond->texts.n; i++)
		(void)cp_rules_glob_free(cond->globs[i]);
	free(cond->globs);
	free(cond->numbers);
	free(cond->ports);
	free(cond->cidrs);
	free(cond->names);
	(void)cp_rules_set_free(cond->set);
	cp_rules_env_texts_done(&cond->texts);
	*cond = (struct cp_rules_cond){ 0 };
}

/* Compiling; a refusal says what is wrong with a value in the text of diag. */

static int put_word(struct cp_rules_cond *cond, const char *text,
		    struct sn_diag *diag)
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

static int put_uid(struct cp_rules_cond *cond, const char *text, uint32_t *ret,
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

static int put_path(struct cp_rules_cond *cond, const char *text,
		    struct sn_diag *diag)
{
	size_t size;

	if (cp_runtime_rules_check_path(text, &size, diag) != 0)
		return CP_RULES_E_REFUSED;
	(void)cp_rules_set_put(cond->set, text, size);
	return 0;
}

static int put_text(struct cp_rules_cond *cond, const char *text,
		    struct sn_diag *diag)
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

static int put_glob(struct cp_rules_cond *cond, struct cp_rules_env *env,
		    size_t index, struct sn_diag *diag)
{
	size_t size;
	int r;

	if (env->n_globs++ == CP_RULES_ENV_GLOBS_MAX) {
		sn_diag_set(diag, NULL, "there are more than %d patterns",
			    CP_RULES_ENV_GLOBS_MAX);
		return CP_RULES_E_REFUSED;
	}
	r = cp_rules_glob_new(&cond->globs[index], cond->texts.items[index],
			      diag);
	if (r)
		return r > 0 ? CP_RULES_E_REFUSED : r;
	return cp_runtime_rules_check_path(
		       cp_rules_glob_get_above(cond->globs[index]), &size,
		       diag) ?
		       CP_RULES_E_REFUSED :
		       0;
}

static int put_container(struct cp_rules_cond *cond, const char *text,
			 struct sn_diag *diag)
{
	size_t size = strlen(text);

	if (strcmp(text, "any") == 0) {
		cond->bits |= CONTAINER_ANY;
	} else if (strcmp(text, "none") == 0) {
		cond->bits |= CONTAINER_NONE;
	} else if (strspn(text, "0123456789abcdef") != size || size > 64) {
		sn_diag_set(diag, NULL,
			    "'%.64s' is neither 'any', 'none' nor the first "
			    "digits of an id",
			    text);
		return CP_RULES_E_REFUSED;
	}
	return 0;
}

static int put_macro(struct cp_rules_cond *cond, const struct cp_rules_env *env,
		     size_t index, struct sn_diag *diag)
{
	const char *name = cond->texts.items[index];
	int number = cp_rules_env_find_macro(env, name);

	if (number < 0) {
		sn_diag_set(diag, NULL, "there is no macro '%.64s' before this",
			    name);
		return CP_RULES_E_REFUSED;
	}
	cond->numbers[index] = (uint32_t)number;
	return 0;
}

static int put(struct cp_rules_cond *cond, struct cp_rules_env *env,
	       size_t index, struct sn_diag *diag)
{
	const char *text = cond->texts.items[index];

	switch (rows[cond->key].kind) {
	case KIND_BITS:
		return put_word(cond, text, diag);
	case KIND_UID:
		return put_uid(cond, text, &cond->numbers[index], diag);
	case KIND_PREFIX:
		return put_path(cond, text, diag);
	case KIND_TEXT:
		return cond->key == CP_RULES_KEY_PATHS ?
			       put_path(cond, text, diag) :
			       put_text(cond, text, diag);
	case KIND_GLOB:
		return put_glob(cond, env, index, diag);
	case KIND_CONTAINER:
		return put_container(cond, text, diag);
	case KIND_PORTS:
		return cp_policy_ports_parse(text, &cond->ports[index], diag) ?
			       CP_RULES_E_REFUSED :
			       0;
	case KIND_CIDR:
		return cp_rules_remote_put_cidr(cond, text, &cond->cidrs[index],
						diag);
	case KIND_NAME:
		return cp_rules_remote_put_name(cond, text,
						&cond->names[2 * index], diag);
	case KIND_MACRO:
		return put_macro(cond, env, index, diag);
	case KIND_SUFFIX:
		break;
	}
	return 0;
}

/* The room that the kind of its values needs. */
static int make_room(struct cp_rules_cond *cond)
{
	size_t n = cond->texts.n;
	bool is_made = true;

	switch (rows[cond->key].kind) {
	case KIND_UID:
	case KIND_MACRO:
		cond->numbers = calloc(n, sizeof(*cond->numbers));
		is_made = cond->numbers;
		break;
	case KIND_GLOB:
		cond->globs = calloc(n, sizeof(*cond->globs));
		is_made = cond->globs;
		break;
	case KIND_PORTS:
		cond->ports = calloc(n, sizeof(*cond->ports));
		is_made = cond->ports;
		break;
	case KIND_CIDR:
		cond->cidrs = calloc(n, sizeof(*cond->cidrs));
		is_made = cond->cidrs;
		break;
	case KIND_NAME:
		/* With a wildcard a value is two. */
		n *= 2;
		cond->names = calloc(n, sizeof(*cond->names));
		is_made = cond->names;
		break;
	case KIND_TEXT:
	case KIND_PREFIX:
	case KIND_SUFFIX:
	case KIND_BITS:
	case KIND_CONTAINER:
		break;
	}
	return is_made ? cp_rules_set_new(&cond->set, n) : -ENOMEM;
}

int cp_rules_cond_init(struct cp_rules_cond *cond, enum cp_rules_key key,
		       const struct cp_config_schema_strings *source,
		       struct cp_rules_env *env, struct sn_diag *diag)
{
	int r;

	*cond = (struct cp_rules_cond){ .key = key };
	r = cp_rules_env_expand(env, source, &cond->texts, diag);
	if (r == 0)
		r = make_room(cond);
	for (size_t i = 0; r == 0 && i < cond->texts.n; i++) {
		r = put(cond, env, i, diag);
		if (r)
			diag->line = cond->texts.lines[i];
	}
	if (r)
		(void)snprintf(diag->field, sizeof(diag->field), "%s",
			       cp_rules_file_keys[key]);
	return r;
}

/* Judging. */

static enum cp_rules_fit fit_if(bool fits)
{
	return fits ? CP_RULES_FIT_YES : CP_RULES_FIT_NO;
}

static bool has_prefix(const struct cp_rules_cond *cond,
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

static bool has_suffix(const struct cp_rules_cond *cond,
		       const struct cp_rules_text *text)
{
	for (size_t i = 0; i < cond->texts.n; i++) {
		const char *suffix = cond->texts.items[i];
		size_t size = strlen(suffix);

		if (size <= text->size &&
		    memcmp(text->at + text->size - size, suffix, size) == 0)
			return true;
	}
	return false;
}

/* Paths that are not absolute (memory with a name) are no files to patterns. */
static bool has_glob(const struct cp_rules_cond *cond,
		     const struct cp_rules_text *text)
{
	const char *at = text->size ? text->at : "/";
	size_t size = text->size ? text->size : 1;

	if (text->n_bounds == 0)
		return false;
	for (size_t i = 0; i < cond->texts.n; i++) {
		if (cp_rules_glob_match(cond->globs[i], at, size))
			return true;
	}
	return false;
}

static enum cp_rules_fit judge_text(const struct cp_rules_cond *cond,
				    const struct cp_rules_text *text)
{
	enum kind kind = rows[cond->key].kind;

	if (text->known == CP_RULES_KNOWN_ABSENT)
		return CP_RULES_FIT_NO;
	if (text->known == CP_RULES_KNOWN_NOT &&
	    (!text->at || kind != KIND_SUFFIX))
		return CP_RULES_FIT_UNKNOWN;
	switch (kind) {
	case KIND_PREFIX:
		return fit_if(has_prefix(cond, text));
	case KIND_SUFFIX:
		return fit_if(has_suffix(cond, text));
	case KIND_GLOB:
		return fit_if(has_glob(cond, text));
	case KIND_TEXT:
		return fit_if(cp_rules_set_find(cond->set, text->hash, text->at,
						text->size) !=
			      CP_RULES_SET_NONE);
	case KIND_UID:
	case KIND_BITS:
	case KIND_CONTAINER:
	case KIND_PORTS:
	case KIND_CIDR:
	case KIND_NAME:
	case KIND_MACRO:
		break;
	}
	return CP_RULES_FIT_NO;
}

bool cp_rules_cond_is_path(enum cp_rules_key key)
{
	return key == CP_RULES_KEY_PATHS || key == CP_RULES_KEY_PATH_PREFIXES ||
	       key == CP_RULES_KEY_PATH_GLOBS ||
	       key == CP_RULES_KEY_PATH_SUFFIXES;
}

enum cp_rules_fit cp_rules_cond_judge_path(const struct cp_rules_cond *cond,
					   const struct cp_rules_text *path)
{
	return judge_text(cond, path);
}

static uint32_t find_access(const struct cp_rules_view *view)
{
	uint64_t flags = view->event->flags;
	uint32_t bits = 0;

	if (view->kind != SN_RT_EVENT_FILE_OPEN || flags & O_PATH)
		return 0;
	if ((flags & O_ACCMODE) != O_WRONLY)
		bits |= ACCESS_READ;
	if ((flags & O_ACCMODE) != O_RDONLY)
		bits |= ACCESS_WRITE;
	if (flags & O_CREAT)
		bits |= ACCESS_CREATE;
	if (flags & O_TRUNC)
		bits |= ACCESS_TRUNCATE;
	return bits;
}

static uint32_t find_request(const struct cp_rules_view *view)
{
	uint64_t request = view->event->flags;

	if (view->kind != SN_RT_EVENT_PTRACE)
		return 0;
	if (request == PTRACE_TRACEME)
		return REQUEST_TRACEME;
	if (request >= PTRACE_PEEKTEXT && request <= PTRACE_PEEKUSER)
		return REQUEST_PEEK;
	if (request >= PTRACE_POKETEXT && request <= PTRACE_POKEUSER)
		return REQUEST_POKE;
	if (request == PTRACE_ATTACH)
		return REQUEST_ATTACH;
	return request == PTRACE_SEIZE ? REQUEST_SEIZE : 0;
}

static uint32_t find_mode(const struct cp_rules_view *view)
{
	return view->kind == SN_RT_EVENT_FILE_CHMOD ||
			       view->kind == SN_RT_EVENT_FILE_OPEN ?
		       view->event->mode :
		       0;
}

static uint32_t find_file_kind(const Sentinel__V1__RuntimeFile *file)
{
	if (!file)
		return 0;
	return (file->memfd ? FILE_MEMFD : 0) |
	       (file->deleted ? FILE_DELETED : 0) |
	       (file->unreachable ? FILE_UNREACHABLE : 0);
}

static enum cp_rules_fit judge_container(const struct cp_rules_cond *cond,
					 const struct cp_rules_view *view)
{
	const Sentinel__V1__RuntimeProcess *process = view->process;
	const char *id = process->container_id;

	if (!process->cgroup[0])
		return CP_RULES_FIT_UNKNOWN;
	if (!id[0])
		return fit_if(cond->bits & CONTAINER_NONE);
	if (cond->bits & CONTAINER_ANY)
		return CP_RULES_FIT_YES;
	for (size_t i = 0; i < cond->texts.n; i++) {
		const char *text = cond->texts.items[i];

		if (strncmp(id, text, strlen(text)) == 0)
			return CP_RULES_FIT_YES;
	}
	return CP_RULES_FIT_NO;
}

static enum cp_rules_fit judge_ports(const struct cp_rules_cond *cond,
				     const struct cp_rules_view *view)
{
	const Sentinel__V1__RuntimeAddress *address =
		view->kind == SN_RT_EVENT_NET_CONNECT ? view->event->remote :
							view->event->local;

	for (size_t i = 0; address && i < cond->texts.n; i++) {
		if (cp_policy_ports_match(&cond->ports[i],
					  (uint8_t)address->protocol,
					  (uint16_t)address->port))
			return CP_RULES_FIT_YES;
	}
	return CP_RULES_FIT_NO;
}

static enum cp_rules_fit judge_bits(const struct cp_rules_cond *cond,
				    const struct cp_rules_view *view)
{
	const Sentinel__V1__RuntimeFile *exe = view->process->executable;
	uint32_t bits = 0;

	if (cond->key == CP_RULES_KEY_RESULTS)
		bits = view->event->result < 0 ? RESULT_FAILED : RESULT_OK;
	else if (cond->key == CP_RULES_KEY_ACCESSES)
		bits = find_access(view);
	else if (cond->key == CP_RULES_KEY_MODES)
		bits = find_mode(view);
	else if (cond->key == CP_RULES_KEY_REQUESTS)
		bits = find_request(view);
	else if (cond->key == CP_RULES_KEY_FILE_KINDS)
		bits = find_file_kind(view->event->file);
	else if (exe)
		bits = find_file_kind(exe);
	else
		return CP_RULES_FIT_UNKNOWN;
	return fit_if(cond->bits & bits);
}

enum cp_rules_fit cp_rules_cond_judge(const struct cp_rules_cond *cond,
				      struct cp_rules_view *view)
{
	const struct row *row = &rows[cond->key];
	uint32_t uid = view->process->uid;

	switch (row->kind) {
	case KIND_TEXT:
	case KIND_PREFIX:
	case KIND_SUFFIX:
	case KIND_GLOB:
		return judge_text(cond, cp_rules_view_get(view, row->source));
	case KIND_UID:
		return fit_if(cp_rules_set_has(cond->set, &uid, sizeof(uid)));
	case KIND_BITS:
		return judge_bits(cond, view);
	case KIND_CONTAINER:
		return judge_container(cond, view);
	case KIND_PORTS:
		return judge_ports(cond, view);
	case KIND_CIDR:
		return cp_rules_remote_judge_cidrs(cond, view);
	case KIND_NAME:
		return cp_rules_remote_judge_names(cond, view);
	case KIND_MACRO:
		break;
	}
	return CP_RULES_FIT_NO;
}

/* The kernel's part. */

enum sn_rt_field cp_rules_cond_field(enum cp_rules_key key)
{
	return rows[key].field;
}

const void *cp_rules_cond_get_value(const struct cp_rules_cond *cond,
				    size_t index, size_t *size)
{
	const struct row *row = &rows[cond->key];
	const char *text = cond->texts.items[index];
	struct sn_diag diag;

	if (row->kind == KIND_UID) {
		*size = sizeof(cond->numbers[index]);
		return &cond->numbers[index];
	}
	if (row->kind == KIND_GLOB)
		text = cp_rules_glob_get_above(cond->globs[index]);
	*size = strlen(text);
	/* It was checked when it was compiled. */
	if (row->field != SN_RT_FIELD_COMM)
		(void)cp_runtime_rules_check_path(text, size, &diag);
	return text;
}

static int put_term(const struct cp_rules_cond *cond, size_t index,
		    struct cp_runtime_rules *wanted,
		    uint64_t (*find)(const char *cgroup), struct sn_diag *diag)
{
	const struct row *row = &rows[cond->key];
	const char *text = cond->texts.items[index];

	if (row->kind == KIND_GLOB)
		text = cp_rules_glob_get_above(cond->globs[index]);
	switch (row->field) {
	case SN_RT_FIELD_RESULT:
		return cp_runtime_rules_put_result(wanted,
						   strcmp(text, "failed") == 0);
	case SN_RT_FIELD_UID:
		return cp_runtime_rules_put_uid(wanted, cond->numbers[index]);
	case SN_RT_FIELD_COMM:
		return cp_runtime_rules_put_comm(wanted, text, diag);
	case SN_RT_FIELD_PATH:
	case SN_RT_FIELD_EXE_PATH:
		return cp_runtime_rules_put_path(wanted, row->field, text,
						 diag);
	case SN_RT_FIELD_CGROUP:
		return cp_runtime_rules_put_cgroup(
			wanted, find ? find(text) : 0, text, diag);
	case SN_RT_FIELD_EVENT:
	case SN_RT_FIELD_EXE:
	case SN_RT_FIELD_DEVINO:
	case SN_RT_FIELD_COUNT:
		break;
	}
	return 0;
}

int cp_rules_cond_put_wanted(const struct cp_rules_cond *cond,
			     struct cp_runtime_rules *wanted,
			     uint64_t (*find)(const char *cgroup),
			     struct sn_diag *diag)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < cond->texts.n; i++)
		r = put_term(cond, i, wanted, find, diag);
	return r;
}

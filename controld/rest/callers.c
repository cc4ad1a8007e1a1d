/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/rest/callers.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "controld/rest/hex.h"

enum {
	WORDS_MAX = 5,
	FORBIDDEN_MODE = 0027, /* written by the group, or open to others */
};

static const char space[] = " \t\r";

struct cp_rest_callers {
	struct cp_rest_callers_entry entries[CP_REST_CALLERS_MAX];
	size_t n_entries;
};

#define refuse(diag, ...) \
	(sn_diag_set(diag, NULL, __VA_ARGS__), CP_REST_CALLERS_E_REFUSED)

static int parse_name(const char *word, struct cp_rest_callers_entry *entry,
		      struct sn_diag *diag)
{
	size_t size = strlen(word);

	if (size >= sizeof(entry->name) ||
	    strspn(word, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
			 "abcdefghijklmnopqrstuvwxyz0123456789._-") != size)
		return refuse(diag,
			      "a name has up to %zu characters of "
			      "[A-Za-z0-9._-]",
			      sizeof(entry->name) - 1);
	(void)memcpy(entry->name, word, size + 1);
	return 0;
}

static int parse_role(const char *word, struct cp_rest_callers_entry *entry,
		      struct sn_diag *diag)
{
	if (strcmp(word, "viewer") == 0)
		entry->role = CP_RPC_ROLE_VIEWER;
	else if (strcmp(word, "operator") == 0)
		entry->role = CP_RPC_ROLE_OPERATOR;
	else if (strcmp(word, "admin") == 0)
		entry->role = CP_RPC_ROLE_ADMIN;
	else
		return refuse(diag, "'%.32s' is not viewer, operator or admin",
			      word);
	return 0;
}

static int parse_kind(const char *word, struct cp_rest_callers_entry *entry,
		      struct sn_diag *diag)
{
	if (strcmp(word, "token") == 0)
		entry->kind = CP_REST_CALLERS_KIND_TOKEN;
	else if (strcmp(word, "certificate") == 0)
		entry->kind = CP_REST_CALLERS_KIND_CERTIFICATE;
	else
		return refuse(diag, "'%.32s' is not token or certificate",
			      word);
	return 0;
}

static int parse_hash(const char *word, struct cp_rest_callers_entry *entry,
		      struct sn_diag *diag)
{
	bool is_hex = strlen(word) == sizeof(entry->hash) * 2;

	for (size_t i = 0; is_hex && i < sizeof(entry->hash); i++) {
		int high = cp_rest_hex_digit(word[2 * i]);
		int low = cp_rest_hex_digit(word[2 * i + 1]);

		is_hex = high >= 0 && low >= 0;
		if (is_hex)
			entry->hash[i] = (uint8_t)(high << 4 | low);
	}
	/* Not repeated: somebody may have put the token itself there. */
	return is_hex ? 0 :
			refuse(diag, "a SHA-256 has 64 hex digits; this is "
				     "none");
}

static int parse_until(const char *word, struct cp_rest_callers_entry *entry,
		       struct sn_diag *diag)
{
	char again[32];
	struct tm time = { 0 };
	const char *end = strptime(word, "%Y-%m-%dT%H:%M:%SZ", &time);
	time_t seconds;

	if (end && !*end) {
		seconds = timegm(&time);
		/* The 31st of June would be the 1st of July. */
		if (strftime(again, sizeof(again), "%Y-%m-%dT%H:%M:%SZ",
			     &time) > 0 &&
		    strcmp(again, word) == 0) {
			entry->until_s = seconds;
			return 0;
		}
	}
	return refuse(diag, "'%.32s' is no time such as 2027-01-31T00:00:00Z",
		      word);
}

static int parse_line(char *line, struct cp_rest_callers *callers,
		      struct sn_diag *diag)
{
	struct cp_rest_callers_entry entry = { .until_s = INT64_MAX };
	char *words[WORDS_MAX], *state = NULL, *word;
	size_t n = 0;
	int r;

	for (word = strtok_r(line, space, &state); word;
	     word = strtok_r(NULL, space, &state)) {
		if (n == WORDS_MAX)
			return refuse(diag, "the line has too many words");
		words[n++] = word;
	}
	if (n == 0 || words[0][0] == '#')
		return 0;
	if (n < WORDS_MAX - 1)
		return refuse(diag, "a line is NAME ROLE token|certificate "
				    "SHA256 [UNTIL]");
	if (callers->n_entries == CP_REST_CALLERS_MAX)
		return refuse(diag, "there are more than %d callers",
			      CP_REST_CALLERS_MAX);
	r = parse_name(words[0], &entry, diag);
	if (r == 0)
		r = parse_role(words[1], &entry, diag);
	if (r == 0)
		r = parse_kind(words[2], &entry, diag);
	if (r == 0)
		r = parse_hash(words[3], &entry, diag);
	if (r == 0 && n == WORDS_MAX)
		r = parse_until(words[4], &entry, diag);
	if (r == 0 &&
	    cp_rest_callers_find(callers, entry.kind, entry.hash) != NULL)
		r = refuse(diag, "the hash is there twice");
	if (r == 0)
		callers->entries[callers->n_entries++] = entry;
	return r;
}

/* A comment may have any number of words. */
static void cut_comment(char *line)
{
	size_t n = strspn(line, space);

	if (line[n] == '#')
		line[n] = '\0';
}

int cp_rest_callers_parse(const char *text, struct cp_rest_callers **ret,
			  struct sn_diag *diag)
{
	sn_cleanup(cp_rest_callers_freep) struct cp_rest_callers *callers =
		NULL;
	sn_cleanup(sn_freep) char *copy = strdup(text);
	unsigned int number = 0;
	char *rest = copy, *line;

	callers = calloc(1, sizeof(*callers));
	if (!copy || !callers)
		return sn_trace(-ENOMEM);
	while ((line = strsep(&rest, "\n"))) {
		int r;

		number++;
		cut_comment(line);
		r = parse_line(line, callers, diag);
		if (r) {
			sn_diag_at(diag, diag->file, number);
			return r;
		}
	}
	*ret = sn_steal(&callers);
	return 0;
}

static int read_file(const char *path, char *text, size_t size,
		     struct sn_diag *diag)
{
	sn_cleanup(sn_closep) int fd = -1;
	struct stat info;
	ssize_t n;

	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &info) < 0)
		return refuse(diag, "cannot be read: %s", strerror(errno));
	if (!S_ISREG(info.st_mode))
		return refuse(diag, "is no regular file");
	if (info.st_mode & FORBIDDEN_MODE)
		return refuse(diag,
			      "has mode %03o: others must not read it, "
			      "only its owner may write it",
			      info.st_mode & 0777U);
	n = read(fd, text, size);
	if (n < 0)
		return refuse(diag, "cannot be read: %s", strerror(errno));
	if ((size_t)n == size)
		return refuse(diag, "has %zu bytes or more", size);
	text[n] = '\0';
	if (strlen(text) != (size_t)n)
		return refuse(diag, "is no text");
	return 0;
}

int cp_rest_callers_load(const char *path, struct cp_rest_callers **ret,
			 struct sn_diag *diag)
{
	sn_cleanup(sn_freep) char *text = malloc(CP_REST_CALLERS_FILE_BYTES);
	int r;

	if (!text)
		return sn_trace(-ENOMEM);
	sn_diag_at(diag, path, 0);
	r = read_file(path, text, CP_REST_CALLERS_FILE_BYTES, diag);
	return r ? r : cp_rest_callers_parse(text, ret, diag);
}

const struct cp_rest_callers_entry *
cp_rest_callers_find(const struct cp_rest_callers *callers,
		     enum cp_rest_callers_kind kind,
		     const uint8_t hash[CP_REST_CALLERS_HASH_BYTES])
{
	const struct cp_rest_callers_entry *found = NULL;

	for (size_t i = 0; i < callers->n_entries; i++) {
		const struct cp_rest_callers_entry *entry =
			&callers->entries[i];

		if (CRYPTO_memcmp(entry->hash, hash, sizeof(entry->hash)) ==
			    0 &&
		    entry->kind == kind)
			found = entry;
	}
	return found;
}

const struct cp_rest_callers_entry *
cp_rest_callers_find_token(const struct cp_rest_callers *callers,
			   const char *token)
{
	size_t size = strlen(token);
	uint8_t hash[CP_REST_CALLERS_HASH_BYTES];
	unsigned int n = sizeof(hash);

	if (size < CP_REST_CALLERS_TOKEN_CHARS_MIN ||
	    size > CP_REST_CALLERS_TOKEN_CHARS_MAX ||
	    EVP_Digest(token, size, hash, &n, EVP_sha256(), NULL) != 1)
		return NULL;
	return cp_rest_callers_find(callers, CP_REST_CALLERS_KIND_TOKEN, hash);
}

size_t cp_rest_callers_count(const struct cp_rest_callers *callers)
{
	return callers->n_entries;
}

struct cp_rest_callers *cp_rest_callers_free(struct cp_rest_callers *callers)
{
	free(callers);
	return NULL;
}

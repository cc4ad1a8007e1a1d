/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/rules/glob.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { BYTES = 256 };

/* Place i is bit i. A place that is no star is left by a byte that it takes; a
 * star is stayed in by such a byte, and left by none. skips: a star "**" whose
 * slash, the next place, is left with it. */
struct cp_rules_glob {
	uint64_t takes[BYTES]; /* by byte */
	uint64_t stars;
	uint64_t skips;
	uint64_t end; /* the place behind all */
	size_t head_size;
	size_t tail_size;
	char *head; /* before the first place, NUL-terminated */
	char *tail; /* behind the last one */
	char *above;
};

/* A pattern while it is read. */
struct reader {
	const char *at;
	struct sn_diag *diag;
	size_t n;
	struct place {
		bool is_star;
		bool is_skip;
		bool is_fixed; /* belongs to a skip: never part of the tail */
		bool is_plain;
		char byte; /* of a plain one */
		bool takes[BYTES];
	} places[CP_RULES_GLOB_BYTES_MAX];
};

static int refuse(struct reader *reader, const char *why)
{
	sn_diag_set(reader->diag, NULL, "a pattern %s", why);
	return CP_RULES_GLOB_E_REFUSED;
}

static struct place *add(struct reader *reader)
{
	assert(reader->n < SN_ARRAY_SIZE(reader->places));
	return &reader->places[reader->n++];
}

static void put_plain(struct reader *reader, char byte)
{
	struct place *place = add(reader);

	place->is_plain = true;
	place->byte = byte;
	place->takes[(uint8_t)byte] = true;
}

static void put_all(struct place *place, bool with_slash)
{
	(void)memset(place->takes, true, sizeof(place->takes));
	place->takes['/'] = with_slash;
}

static bool is_part_start(const struct reader *reader)
{
	const struct place *places = reader->places;
	size_t n = reader->n;

	return n == 0 || (places[n - 1].is_plain && places[n - 1].byte == '/');
}

static void put_stars(struct reader *reader)
{
	size_t n = strspn(reader->at, "*");
	bool is_skip = n > 1 && reader->at[n] == '/' && is_part_start(reader);
	struct place *place;

	reader->at += n;
	if (is_skip) {
		reader->at++;
		/* What is skipped twice is skipped once. */
		if (reader->n >= 2 && reader->places[reader->n - 2].is_skip)
			return;
	}
	place = add(reader);
	place->is_star = true;
	put_all(place, n > 1);
	if (!is_skip)
		return;
	place->is_skip = true;
	put_plain(reader, '/');
	reader->places[reader->n - 1].is_fixed = true;
}

static int put_class(struct reader *reader)
{
	struct place *place = add(reader);
	const char *at = reader->at + 1;
	bool is_not = *at == '!' || *at == '^';
	bool is_first = true;

	at += is_not;
	for (; *at && (*at != ']' || is_first); at++, is_first = false) {
		uint8_t low = (uint8_t)*at, high = low;

		if (at[1] == '-' && at[2] && at[2] != ']') {
			high = (uint8_t)at[2];
			at += 2;
		}
		if (low > high)
			return refuse(reader, "has a range that is empty");
		for (size_t i = low; i <= high; i++)
			place->takes[i] = true;
	}
	if (!*at)
		return refuse(reader, "has a '[' without its ']'");
	for (size_t i = 0; is_not && i < BYTES; i++)
		place->takes[i] = !place->takes[i];
	place->takes['/'] = false;
	reader->at = at + 1;
	return 0;
}

static int read_pattern(struct reader *reader)
{
	while (*reader->at) {
		int r;

		switch (*reader->at) {
		case '*':
			put_stars(reader);
			continue;
		case '?':
			put_all(add(reader), false);
			break;
		case '[':
			r = put_class(reader);
			if (r)
				return r;
			continue;
		case '\\':
			if (!*++reader->at)
				return refuse(reader,
					      "ends with a lone backslash");
			put_plain(reader, *reader->at);
			break;
		default:
			put_plain(reader, *reader->at);
			break;
		}
		reader->at++;
	}
	return 0;
}

static void put_places(struct cp_rules_glob *glob, const struct place *places,
		       size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct place *place = &places[i];
		uint64_t bit = 1ULL << i;

		glob->stars |= place->is_star ? bit : 0;
		glob->skips |= place->is_skip ? bit : 0;
		for (size_t j = 0; j < BYTES; j++)
			glob->takes[j] |= place->takes[j] ? bit : 0;
	}
	glob->end = 1ULL << n;
}

/* Plain places as text, and the rest as bits. */
static int build(struct cp_rules_glob *glob, const struct reader *reader)
{
	size_t first = 0, last = reader->n;

	while (first < last && reader->places[first].is_plain)
		first++;
	while (last > first && reader->places[last - 1].is_plain &&
	       !reader->places[last - 1].is_fixed)
		last--;
	if (last - first > CP_RULES_GLOB_PLACES_MAX) {
		sn_diag_set(reader->diag, NULL,
			    "a pattern has at most %d bytes from its first "
			    "wildcard to its last one",
			    CP_RULES_GLOB_PLACES_MAX);
		return CP_RULES_GLOB_E_REFUSED;
	}
	for (size_t i = 0; i < first; i++)
		glob->head[glob->head_size++] = reader->places[i].byte;
	for (size_t i = last; i < reader->n; i++)
		glob->tail[glob->tail_size++] = reader->places[i].byte;
	put_places(glob, reader->places + first, last - first);
	/* A pattern without wildcards is a path, and lies above itself. */
	(void)memcpy(glob->above, glob->head, glob->head_size);
	if (first < reader->n)
		*(glob->head_size ? strrchr(glob->above, '/') : glob->above) =
			'\0';
	if (!glob->above[0])
		glob->above[0] = '/';
	return 0;
}

int cp_rules_glob_new(struct cp_rules_glob **ret, const char *pattern,
		      struct sn_diag *diag)
{
	sn_cleanup(cp_rules_glob_freep) struct cp_rules_glob *glob = NULL;
	sn_cleanup(sn_freep) struct reader *reader = NULL;
	size_t size = strlen(pattern);
	int r;

	reader = calloc(1, sizeof(*reader));
	glob = calloc(1, sizeof(*glob));
	if (!reader || !glob)
		return -ENOMEM;
	reader->at = pattern;
	reader->diag = diag;
	if (size > CP_RULES_GLOB_BYTES_MAX)
		return refuse(reader, "is longer than 1024 bytes");
	if (pattern[0] != '/' && strncmp(pattern, "**", 2) != 0)
		return refuse(reader, "begins with / or **");
	glob->head = calloc(3, size + 2);
	if (!glob->head)
		return -ENOMEM;
	glob->tail = glob->head + size + 2;
	glob->above = glob->tail + size + 2;
	r = read_pattern(reader);
	if (r == 0)
		r = build(glob, reader);
	if (r == 0)
		*ret = sn_steal(&glob);
	return r;
}

struct cp_rules_glob *cp_rules_glob_free(struct cp_rules_glob *glob)
{
	if (glob)
		free(glob->head);
	free(glob);
	return NULL;
}

/* With the places that are reached without a byte: fresh ones, in which the path
 * was not before, and stars in which it stayed. A star is skipped only where it
 * begins. No two stars follow each other, but one may follow what is skipped. */
static uint64_t close_over(const struct cp_rules_glob *glob, uint64_t fresh,
			   uint64_t stayed)
{
	uint64_t places = fresh | (fresh & glob->skips) << 2 | stayed;

	return places | (places & glob->stars) << 1;
}

bool cp_rules_glob_match(const struct cp_rules_glob *glob, const char *bytes,
			 size_t size)
{
	uint64_t places = close_over(glob, 1, 0);
	const char *end;

	if (size < glob->head_size + glob->tail_size)
		return false;
	end = bytes + size - glob->tail_size;
	if (memcmp(bytes, glob->head, glob->head_size) != 0 ||
	    memcmp(end, glob->tail, glob->tail_size) != 0)
		return false;
	for (const char *at = bytes + glob->head_size; at < end && places;
	     at++) {
		uint64_t taken = places & glob->takes[(uint8_t)*at];

		places = close_over(glob, (taken & ~glob->stars) << 1,
				    taken & glob->stars);
	}
	return places & glob->end;
}

const char *cp_rules_glob_get_above(const struct cp_rules_glob *glob)
{
	return glob->above;
}

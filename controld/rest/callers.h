/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Who may call over the network: a file of lines
 *
 *	NAME ROLE token|certificate SHA256 [UNTIL]
 *
 * with the SHA-256, in hex, of the token, or of the certificate's public key
 * (SubjectPublicKeyInfo), and the moment from which it is refused
 * (2027-01-31T00:00:00Z). A hash tells a token only to who can guess it, so that
 * tokens have to be long; shorter ones are refused whatever their hash. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "controld/rpc/server.h"
#include "shared/diag.h"
#include "shared/util.h"

enum {
	CP_REST_CALLERS_MAX = 256,
	CP_REST_CALLERS_FILE_BYTES = 64 * 1024,
	CP_REST_CALLERS_NAME_BYTES = 64,
	CP_REST_CALLERS_HASH_BYTES = 32,
	CP_REST_CALLERS_TOKEN_CHARS_MIN = 32,
	CP_REST_CALLERS_TOKEN_CHARS_MAX = 512,
};

enum cp_rest_callers_kind {
	CP_REST_CALLERS_KIND_TOKEN,
	CP_REST_CALLERS_KIND_CERTIFICATE,
};

struct cp_rest_callers_entry {
	char name[CP_REST_CALLERS_NAME_BYTES];
	enum cp_rpc_role role;
	enum cp_rest_callers_kind kind;
	uint8_t hash[CP_REST_CALLERS_HASH_BYTES];
	int64_t until_s; /* Unix time; INT64_MAX: no end */
};

struct cp_rest_callers;

/* Answers besides 0 and -errno. */
enum {
	CP_REST_CALLERS_E_REFUSED = 1, /* diag says where and why */
};

int cp_rest_callers_parse(const char *text, struct cp_rest_callers **ret,
			  struct sn_diag *diag);

/* Others than the owner and its group must not read it, and only the owner may
 * write it. */
int cp_rest_callers_load(const char *path, struct cp_rest_callers **ret,
			 struct sn_diag *diag);

/* Compares with every entry, in a time that does not tell how much was equal.
 * NULL: there is none. Expired ones are found as well. */
const struct cp_rest_callers_entry *
cp_rest_callers_find(const struct cp_rest_callers *callers,
		     enum cp_rest_callers_kind kind,
		     const uint8_t hash[CP_REST_CALLERS_HASH_BYTES]);

/* By its hash; NULL also for one that is too short or too long. */
const struct cp_rest_callers_entry *
cp_rest_callers_find_token(const struct cp_rest_callers *callers,
			   const char *token);

size_t cp_rest_callers_count(const struct cp_rest_callers *callers);

struct cp_rest_callers *cp_rest_callers_free(struct cp_rest_callers *callers);
SN_DEFINE_CLEANUP(struct cp_rest_callers, cp_rest_callers_free)

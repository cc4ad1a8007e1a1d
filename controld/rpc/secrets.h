/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The files that a connection needs: certificates, key, token. They are read
 * anew for each connection, so that what was exchanged takes effect with the
 * next one. Blocking: for a worker. */

#include "shared/diag.h"
#include "shared/util.h"

enum {
	CP_RPC_SECRETS_FILE_BYTES = 1 << 20, /* of a bundle of authorities */
	CP_RPC_SECRETS_TOKEN_BYTES = 8192,
};

/* Paths that are NULL are not read. */
struct cp_rpc_secrets_files {
	char *ca;
	char *certificate;
	char *key;
	char *token;
};

/* 0 or -ENOMEM; what was copied until then is to be freed too. */
int cp_rpc_secrets_copy_files(const struct cp_rpc_secrets_files *files,
			      struct cp_rpc_secrets_files *ret);
void cp_rpc_secrets_free_files(struct cp_rpc_secrets_files *files);

struct cp_rpc_secrets {
	char *ca;
	char *certificate;
	char *key;
	char *token; /* without white space at its ends */
};

/* Answers of cp_rpc_secrets_load() besides 0 and -ENOMEM. */
enum {
	CP_RPC_SECRETS_E_REFUSED = 1, /* diag says which file and why */
};

int cp_rpc_secrets_load(const struct cp_rpc_secrets_files *files,
			struct cp_rpc_secrets *ret, struct sn_diag *diag);
/* Also wipes them. */
void cp_rpc_secrets_done(struct cp_rpc_secrets *secrets);

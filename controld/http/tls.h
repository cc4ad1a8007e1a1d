/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Whether a server could be made of certificate, key and authorities, before one
 * that runs is given up for it. */

#include "controld/http/http.h"
#include "shared/diag.h"

/* Answers besides 0 and -errno. */
enum {
	CP_HTTP_TLS_E_REFUSED = 1, /* diag says which of them, and why */
};

int cp_http_tls_check(const struct cp_http_tls *tls, struct sn_diag *diag);

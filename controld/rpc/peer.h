/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Is the certificate that a server showed the one that we want? That it leads
 * to a known authority has been checked before; here are its name and, where
 * the operator pinned keys, its key. Pure. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "controld/rpc/url.h"
#include "shared/diag.h"

enum {
	CP_RPC_PEER_PIN_BYTES = 32, /* SHA-256 */
	/* The key in use, and those that it may be exchanged for. */
	CP_RPC_PEER_PINS_MAX = 4,
};

/* SHA-256 over the SubjectPublicKeyInfo, DER. */
struct cp_rpc_peer_pin {
	uint8_t hash[CP_RPC_PEER_PIN_BYTES];
};

/* Answers of the calls below besides 0 and -errno; diag->text says why. */
enum {
	CP_RPC_PEER_E_REFUSED = 1,
};

/* "sha256/" and 44 characters of base64. */
int cp_rpc_peer_parse_pin(const char *text, struct cp_rpc_peer_pin *ret,
			  struct sn_diag *diag);

/* NULL: no memory. Never NULL for none of them. Freed with free(). */
struct cp_rpc_peer_pin *
cp_rpc_peer_copy_pins(const struct cp_rpc_peer_pin *pins, size_t n_pins);

/* pem: the server's own certificate. Its subjectAltName (never its common name)
 * must have the host of the URL; without pins any key will do, with pins it must
 * be one of them. */
int cp_rpc_peer_check(const char *pem, const struct cp_rpc_url *url,
		      const struct cp_rpc_peer_pin *pins, size_t n_pins,
		      struct sn_diag *diag);

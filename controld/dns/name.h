/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Domain names in wire form (RFC 1035 3.1), lower case, so that equal names are
 * equal bytes. Text is what people write: with or without the last dot, with
 * \DDD and \X escapes, international labels as U-labels or A-labels (IDNA 2008
 * with the mapping of UTS 46). Pure. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/diag.h"

enum {
	CP_DNS_NAME_WIRE_MAX =
		255, /* RFC 1035 2.3.4, the root's zero included */
	CP_DNS_NAME_LABEL_MAX = 63,
	CP_DNS_NAME_LABELS_MAX = 127,
	/* Every byte as \DDD, a dot behind each label, NUL. */
	CP_DNS_NAME_TEXT_BYTES = 4 * CP_DNS_NAME_WIRE_MAX + 1,
};

/* Answers of the calls below besides 0. */
enum {
	CP_DNS_NAME_E_REFUSED = 1, /* diag->text, if given, says why */
};

struct cp_dns_name {
	uint8_t size; /* bytes of wire, 1 for the root */
	uint8_t wire[CP_DNS_NAME_WIRE_MAX];
};

/* A name as an operator writes it. Refused: empty text, empty labels, what is
 * too long, addresses, and unescaped bytes other than letters, digits, '-' and
 * '_' (the text says what is meant instead of "*", ":" and "/"). */
int cp_dns_name_parse(const char *text, struct cp_dns_name *ret,
		      struct sn_diag *diag);

/* Without the last dot; "." for the root. What is not a letter, digit, '-' or
 * '_' is escaped. Parses back to the same name. Returns buffer. */
char *cp_dns_name_format(const struct cp_dns_name *name,
			 char buffer[CP_DNS_NAME_TEXT_BYTES]);

/* The name at `offset` of a message, decompressed and in lower case. Refused:
 * pointers that do not point backwards or that point into the header, names over
 * 255 bytes, labels over 63, other label types, what is cut off. *end (may be
 * NULL): first offset behind the name where it stands. */
int cp_dns_name_read(const uint8_t *message, size_t size, size_t offset,
		     struct cp_dns_name *ret, size_t *end);

/* The same as it is written, for names that are only passed on. */
int cp_dns_name_read_cased(const uint8_t *message, size_t size, size_t offset,
			   struct cp_dns_name *ret, size_t *end);
void cp_dns_name_lower(struct cp_dns_name *name);

bool cp_dns_name_is_equal(const struct cp_dns_name *a,
			  const struct cp_dns_name *b);

/* Is `name` equal to `ancestor` or below it? */
bool cp_dns_name_is_below(const struct cp_dns_name *name,
			  const struct cp_dns_name *ancestor);

/* Offset in name->wire of the name without its first `n` labels (n = 0: 0, the
 * name itself); -1 when there are fewer. The root is the last suffix. */
int cp_dns_name_suffix(const struct cp_dns_name *name, unsigned int n);
unsigned int cp_dns_name_count_labels(const struct cp_dns_name *name);

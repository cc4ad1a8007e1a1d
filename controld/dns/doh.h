/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Servers that resolve names over HTTPS, by which a workload could learn
 * addresses past its resolver: names and addresses from a file, one a line, '#'
 * begins a comment. A name stands for itself and all names below it. Pure but
 * for the file; the object never changes. */

#include <stdbool.h>
#include <stddef.h>

#include "controld/dns/answer.h"
#include "controld/dns/name.h"
#include "controld/dns/rules.h"
#include "controld/policy/cidr.h"
#include "shared/diag.h"
#include "shared/util.h"

enum {
	CP_DNS_DOH_FILE_BYTES = 1 << 20,
	CP_DNS_DOH_NAMES_MAX = 16384,
	/* Each is a rule in every denylist policy. */
	CP_DNS_DOH_ADDRESSES_MAX = 1024,
};

/* Answers besides 0 and -errno. */
enum {
	CP_DNS_DOH_E_REFUSED = 1, /* diag has file, line and text */
};

struct cp_dns_doh;

/* file names the text in diag. What is given twice counts once. */
int cp_dns_doh_parse(const char *text, size_t size, const char *file,
		     struct cp_dns_doh **ret, struct sn_diag *diag);
/* diag is filled for -errno too if the file cannot be read. */
int cp_dns_doh_load(const char *path, struct cp_dns_doh **ret,
		    struct sn_diag *diag);
struct cp_dns_doh *cp_dns_doh_free(struct cp_dns_doh *doh);
SN_DEFINE_CLEANUP(struct cp_dns_doh, cp_dns_doh_free)

/* Is the name listed, and does no allow rule name it exactly? match: what the
 * policy decides about the name. doh may be NULL: nothing is listed. */
bool cp_dns_doh_is_refused(const struct cp_dns_doh *doh,
			   const struct cp_dns_name *name,
			   const struct cp_dns_match *match);

bool cp_dns_doh_has_address(const struct cp_dns_doh *doh,
			    const struct cp_dns_address *address);

size_t cp_dns_doh_count_names(const struct cp_dns_doh *doh);
/* Host prefixes in the order of cp_policy_cidr_compare(). */
const struct cp_policy_cidr *
cp_dns_doh_get_addresses(const struct cp_dns_doh *doh, size_t *n);

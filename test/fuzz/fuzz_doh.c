// SPDX-License-Identifier: Apache-2.0
/* The reader of the list of DoH servers: refused with a word, or entries that
 * are found again. */

#include <string.h>

#include "controld/dns/doh.h"
#include "test/fuzz/ensure.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look_up(const struct cp_dns_doh *doh)
{
	const struct cp_policy_cidr *addresses;
	size_t n;

	addresses = cp_dns_doh_get_addresses(doh, &n);
	for (size_t i = 0; i < n; i++) {
		struct cp_dns_address address = {
			.family = addresses[i].family,
		};

		(void)memcpy(address.bytes, addresses[i].address,
			     sizeof(address.bytes));
		ensure(cp_dns_doh_has_address(doh, &address),
		       "an address is lost");
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sn_diag diag = { .text = "" };
	struct cp_dns_doh *doh = NULL;
	int r;

	r = cp_dns_doh_parse((const char *)data, size, "doh", &doh, &diag);
	if (r == 0)
		look_up(doh);
	else
		ensure(diag.text[0] != '\0' && !doh, "refused without a word");
	(void)cp_dns_doh_free(doh);
	return 0;
}

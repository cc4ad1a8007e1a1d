/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/config/listen.h"

#include "controld/config/schema.h"
#include "controld/http/address.h"

int cp_config_listen_check(const void *field, struct sn_diag *diag)
{
	const char *text = *(char *const *)field;
	struct cp_http_address address;

	if (!text[0] || cp_http_address_parse(text, &address, diag) == 0)
		return 0;
	return CP_CONFIG_SCHEMA_E_REFUSED;
}
